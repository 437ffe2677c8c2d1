// The retrain's state machine: who is promoted, what is kept, and that a kill at any step costs nothing.
#include "trainer/retrain/retrain.h"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include <csignal>
#include <thread>

#include "tests/support/kill_points.h"
#include "tests/trainer/retrain_fixture.h"
#include "trainer/sweep/process.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kill_at_every_step;

class RetrainTest : public RetrainFixture {
 protected:
  std::vector<std::string> names_in(const char* folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir() / folder))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_F(RetrainTest, the_first_is_promoted_a_better_one_too_and_a_worse_one_is_not) {
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(current(), "0001-2022-04-12");
  new_days(120);
  quality(2, 0.9);
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(current(), "0002-2022-05-02");
  new_days(140);
  quality(3, 1.1);
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  const History all = history();
  ASSERT_EQ(all.retrains().size(), 3U);
  EXPECT_TRUE(all.retrains()[0].decision->promoted);
  EXPECT_TRUE(all.retrains()[1].decision->promoted);
  EXPECT_NEAR(*all.retrains()[1].decision->gain, 0.1, 1e-12);
  EXPECT_EQ(all.retrains()[1].new_steps, 20);
  EXPECT_FALSE(all.retrains()[2].decision->promoted);
  EXPECT_THAT(all.retrains()[2].decision->why, HasSubstr("gain -22.22 % is not above +0.00 %"));
  // The champion stays, exported anew with the new days.
  EXPECT_EQ(current(), "0003-2022-05-22");
  EXPECT_THAT(read_file(dir() / "current" / "of"), HasSubstr("runs/0002"));
  const std::string report = read_file(dir() / "retrains/0003/report.md");
  EXPECT_THAT(report, AllOf(HasSubstr("Rejected"), HasSubstr("bundle 0003-2022-05-22 from run 0002"),
                            HasSubstr("| food |"), HasSubstr("The 20 new steps beside the 20 before")));
  EXPECT_THAT(report, HasSubstr("The champion's mae was 0.9 when it was promoted (retrain 0002) and is 0.9"));
  EXPECT_THAT(read_file(dir() / "history.md"), AllOf(HasSubstr("| promoted |"), HasSubstr("| rejected |")));
}

TEST_F(RetrainTest, without_anything_new_nothing_is_done) {
  retrain();
  const std::string before = state();
  EXPECT_EQ(retrain(), Retrainer::Ending::nothing_new);
  EXPECT_EQ(state(), before);
  EXPECT_EQ(calls("train"), 1);
  // Another recipe is something new.
  EXPECT_EQ(retrain("set: {train.batch: 128}\n"), Retrainer::Ending::done);
  EXPECT_EQ(history().retrains().size(), 2U);
}

TEST_F(RetrainTest, a_challenger_starts_from_the_champion_or_from_scratch) {
  retrain();
  new_days(120);
  retrain();
  EXPECT_THAT(read_file(dir() / "retrains/0002/recipe.yaml"),
              HasSubstr("start: " + (dir() / "runs/0001").string()));
  new_days(140);
  retrain("start: scratch\n");
  EXPECT_THAT(read_file(dir() / "retrains/0003/recipe.yaml"), HasSubstr("start: null"));
}

TEST_F(RetrainTest, what_is_set_for_warm_starts_holds_for_them_alone) {
  const std::string warm = "warm_set: {data.recent: 30, data.replay: 0.5, train.ewc.strength: 2}\n";
  retrain(warm);
  EXPECT_EQ(retrain(warm), Retrainer::Ending::nothing_new);
  EXPECT_THAT(read_file(dir() / "retrains/0001/recipe.yaml"), HasSubstr("recent: 0"));
  new_days(120);
  retrain(warm);
  EXPECT_THAT(read_file(dir() / "retrains/0002/recipe.yaml"),
              AllOf(HasSubstr("recent: 30"), HasSubstr("replay: 0.5"), HasSubstr("strength: 2")));
}

TEST_F(RetrainTest, killed_at_any_step_it_ends_like_one_that_was_not) {
  quality(2, 0.9);
  retrain();
  const fs::path before = folder_ / "before";
  fs::copy(dir(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto back_to_the_first = [&] {
    fs::remove_all(dir());
    fs::copy(before, dir(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::remove(folder_ / "c.corpus");
    fs::create_directory_symlink(folder_ / "c100.corpus", folder_ / "c.corpus");
    new_days(120);
  };
  back_to_the_first();
  retrain();
  const std::string undisturbed = state();
  const int kills = kill_at_every_step(
      back_to_the_first, [&] { retrain(); },
      [&](int step) {
        // Until a retrain switches it, `current` is a whole bundle of the first.
        EXPECT_TRUE(fs::exists(dir() / "current" / "of")) << "step " << step;
        // What was killed after its last note has nothing left to do.
        retrain();
        EXPECT_EQ(state(), undisturbed) << "step " << step;
      });
  EXPECT_GT(kills, 20);
}

TEST_F(RetrainTest, what_failed_is_told_noted_and_gone_on_with) {
  write("break-train", "");
  const std::string message = message_of([&] { retrain(); });
  EXPECT_THAT(message, AllOf(HasSubstr("retrain 1: training failed"), HasSubstr("error: train is broken"),
                             HasSubstr("training.log")));
  EXPECT_THAT(describe_status({dir()}, history()), HasSubstr("next training (training failed: exit code 1"));
  fs::remove(folder_ / "break-train");
  write("break-export", "");
  EXPECT_THAT(message_of([&] { retrain(); }), HasSubstr("exporting failed"));
  fs::remove(folder_ / "break-export");
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(history().retrains().size(), 1U);
  EXPECT_EQ(calls("train"), 2);
  EXPECT_EQ(calls("backtest"), 1);
}

TEST_F(RetrainTest, a_failed_append_names_its_reason_and_begins_nothing) {
  write("break-ingest", "");
  EXPECT_THAT(message_of([&] { retrain(); }),
              AllOf(HasSubstr("could not be appended"), HasSubstr("error: ingest is broken")));
  EXPECT_TRUE(history().retrains().empty());
}

TEST_F(RetrainTest, an_empty_folder_of_new_sales_is_nothing_new) {
  RetrainFile with_folder = file();
  fs::create_directory(folder_ / "incoming");
  with_folder.new_days.from = (folder_ / "incoming").string();
  Retrainer(with_folder, folder_ / "shelfcast").run({});
  EXPECT_EQ(calls("ingest"), 0);
  EXPECT_EQ(history().retrains().size(), 1U);
}

TEST_F(RetrainTest, the_past_is_not_rehearsed_on_a_corpus_that_knows_the_future) {
  // It ends on 2022-04-12.
  const auto until = [&](const char* day) {
    return Retrainer(file(), folder_ / "shelfcast").run(parse_date(day));
  };
  EXPECT_THAT(message_of([&] { until("2022-04-11"); }),
              AllOf(HasSubstr("knows days until 2022-04-12"), HasSubstr("--until 2022-04-11")));
  EXPECT_TRUE(history().retrains().empty());
  EXPECT_EQ(until("2022-04-12"), Retrainer::Ending::done);
  // What was done is done, whatever day it is called again for.
  EXPECT_EQ(until("2022-04-11"), Retrainer::Ending::nothing_new);
}

TEST_F(RetrainTest, asked_to_leave_it_tells_the_training_and_goes_on_at_the_next_call) {
  write("slow-train", "");
  {
    const LeaveSignals signals;
    std::thread asker([&] {
      while (!fs::exists(folder_ / "waiting")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::raise(SIGTERM);
    });
    EXPECT_EQ(retrain(), Retrainer::Ending::left);
    asker.join();
  }
  EXPECT_THAT(read_file(dir() / "retrains/0001/training.log"), HasSubstr("saved"));
  EXPECT_THAT(describe_status({dir()}, history()), HasSubstr("asked to leave while training"));
  fs::remove(folder_ / "slow-train");
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
}

TEST_F(RetrainTest, a_corpus_that_changed_meanwhile_is_refused_with_both_digests) {
  write("break-backtest", "");
  message_of([&] { retrain(); });
  fs::remove(folder_ / "break-backtest");
  fs::remove(folder_ / "c.corpus");
  fs::create_directory_symlink(folder_ / "c120.corpus", folder_ / "c.corpus");
  EXPECT_THAT(message_of([&] { retrain(); }),
              AllOf(HasSubstr("changed under retrain 1"), HasSubstr("the retrain began with xxh3:")));
  Retrainer(file(), folder_ / "shelfcast").abandon();
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(current(), "0002-2022-05-02");
}

TEST_F(RetrainTest, a_damaged_last_checkpoint_is_no_end_of_training) {
  write("break-train", "");
  EXPECT_THROW(retrain(), Error);
  fs::remove(folder_ / "break-train");
  const fs::path checkpoint = dir() / "runs/0001/checkpoints/90";
  fs::create_directories(checkpoint);
  fs::copy_file(folder_ / "manifest.json", checkpoint / "manifest.json");
  std::ofstream(checkpoint / "state.json") << "{\"step\": 90";  // cut short
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(calls("train"), 2);
}

TEST_F(RetrainTest, current_never_leads_to_a_bundle_that_is_not_there) {
  write("break-export", "");
  EXPECT_THROW(retrain(), Error);
  std::ofstream(RetrainFolder{dir()}.ledger(), std::ios::app)
      << R"({"event":"exported","retrain":1,"version":1,"bundle":"0001-lost","run":"0001"})"
      << "\n";
  EXPECT_THAT(message_of([&] { retrain(); }), HasSubstr("0001-lost is missing"));
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir() / "current")));
}

TEST_F(RetrainTest, a_champion_that_is_missing_is_named) {
  retrain();
  fs::remove_all(dir() / "runs/0001");
  new_days(120);
  EXPECT_THAT(message_of([&] { retrain(); }),
              AllOf(HasSubstr("the champion"), HasSubstr("runs/0001 is missing")));
}

TEST_F(RetrainTest, a_second_one_in_the_same_folder_is_refused) {
  const Retrainer first(file(), folder_ / "shelfcast");
  EXPECT_THAT(message_of([&] { retrain(); }), AllOf(HasSubstr("is being retrained by another process"),
                                                    HasSubstr(fmt::format("process {}", getpid()))));
}

TEST_F(RetrainTest, fixed_dates_in_the_recipe_are_refused) {
  EXPECT_THAT(message_of([&] { retrain("set: {data.train_until: 2022-03-01}\n"); }),
              HasSubstr("fixes data.train_until"));
}

TEST_F(RetrainTest, what_would_fail_with_a_champion_is_refused_before_there_is_one) {
  EXPECT_THAT(message_of([&] { retrain("warm_set: {train.stepz: 5}\n"); }),
              AllOf(HasSubstr("w.yaml: a retrain that begins with the champion"), HasSubstr("train.stepz")));
  const std::string lora =
      "set: {model.weights: " + (testing::source_dir() / "tests/golden/bolt/wide_heads").string() +
      ", tune.method: lora}\n";
  EXPECT_THAT(message_of([&] { retrain(lora); }),
              AllOf(HasSubstr("begins with the champion"), HasSubstr("run.start names a run"),
                    HasSubstr("start: scratch")));
  EXPECT_FALSE(fs::exists(dir() / "runs"));
  EXPECT_EQ(calls("ingest"), 0);
}

TEST_F(RetrainTest, a_limit_for_categories_needs_them_in_the_backtest) {
  const std::string limit = "promote: {significance: none, min_gain: -0.9, most_loss: 0.0}\n";
  EXPECT_THAT(message_of([&] { retrain(limit + "set: {backtest.by: [store]}\n"); }),
              AllOf(HasSubstr("w.yaml: promote.most_loss"), HasSubstr("does not list category")));
  EXPECT_FALSE(fs::exists(dir() / "runs"));
  retrain(limit);
  new_days(120);
  quality(2, 1.1);
  retrain(limit);
  EXPECT_THAT(history().retrains().at(1).decision->why, HasSubstr("category food would lose"));
}

TEST_F(RetrainTest, a_tower_that_no_bundle_can_hold_is_refused_before_anything_is_trained) {
  EXPECT_THAT(message_of([&] { retrain("set: {model.tower: lstm}\n"); }),
              AllOf(HasSubstr("r.yaml's model cannot be exported"), HasSubstr("its tower is lstm")));
  EXPECT_FALSE(fs::exists(dir() / "runs"));
}

TEST_F(RetrainTest, rolls_back_to_what_was_current_before_and_on_from_there) {
  retrain();
  EXPECT_THAT(message_of([&] { Retrainer(file(), folder_ / "shelfcast").roll_back(); }),
              HasSubstr("no version before"));
  new_days(120);
  quality(2, 0.9);
  retrain();
  Retrainer(file(), folder_ / "shelfcast").roll_back();
  EXPECT_EQ(current(), "0001-2022-04-12");
  EXPECT_EQ(history().current()->run, "0001");
  EXPECT_EQ(retrain(), Retrainer::Ending::nothing_new);
  EXPECT_EQ(current(), "0001-2022-04-12");
  // The next challenger meets the champion that was rolled back to; a second rollback goes there, not to 2.
  new_days(140);
  quality(3, 0.95);
  retrain();
  EXPECT_EQ(history().last().champion, "0001");
  EXPECT_EQ(current(), "0003-2022-05-22");
  Retrainer(file(), folder_ / "shelfcast").roll_back();
  EXPECT_EQ(current(), "0001-2022-04-12");
  EXPECT_THAT(read_file(dir() / "history.md"), HasSubstr("Rolled back from version 0003 to 0001"));
}

TEST_F(RetrainTest, a_rollback_gives_up_what_is_under_way) {
  retrain();
  new_days(120);
  retrain();
  new_days(140);
  write("break-train", "");
  message_of([&] { retrain(); });
  Retrainer(file(), folder_ / "shelfcast").roll_back();
  EXPECT_EQ(current(), "0001-2022-04-12");
  EXPECT_TRUE(history().last().abandoned);
}

TEST_F(RetrainTest, killed_while_rolling_back_current_is_one_of_the_two) {
  retrain();
  new_days(120);
  quality(2, 0.9);
  retrain();
  const fs::path before = folder_ / "before";
  fs::copy(dir(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  kill_at_every_step(
      [&] {
        fs::remove_all(dir());
        fs::copy(before, dir(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      },
      [&] { Retrainer(file(), folder_ / "shelfcast").roll_back(); },
      [&](int) {
        EXPECT_TRUE(current() == "0001-2022-04-12" || current() == "0002-2022-05-02");
        if (history().rollbacks().empty()) Retrainer(file(), folder_ / "shelfcast").roll_back();
        EXPECT_EQ(current(), "0001-2022-04-12");
        EXPECT_EQ(history().rollbacks().size(), 1U);
      });
}

TEST_F(RetrainTest, keeps_the_last_versions_and_the_runs_they_came_from) {
  quality(2, 1.5);
  quality(3, 1.5);
  quality(4, 0.5);
  retrain("keep: 2\n");
  int batch = 64;
  for (int i = 2; i <= 4; ++i) retrain(fmt::format("keep: 2\nset: {{train.batch: {}}}\n", batch *= 2));
  // Versions 3 (run 1, which stayed champion) and 4.
  EXPECT_THAT(names_in("bundles"), ElementsAre("0003-2022-04-12", "0004-2022-04-12"));
  EXPECT_THAT(names_in("runs"), ElementsAre("0001", "0004"));
}

TEST_F(RetrainTest, a_full_disk_is_told_and_costs_nothing) {
  fs::create_directory(dir());
  if (::mount("tmpfs", dir().c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "cannot mount a small disk here";
  retrain();
  new_days(120);
  std::ofstream(dir() / "filler") << std::string(1 << 20, 'x');
  const std::string message = message_of([&] { retrain(); });
  fs::remove(dir() / "filler");
  EXPECT_EQ(current(), "0001-2022-04-12");
  EXPECT_EQ(retrain(), Retrainer::Ending::done);
  EXPECT_EQ(history().retrains().size(), 2U);
  ::umount(dir().c_str());
  EXPECT_THAT(message, HasSubstr("No space left"));
}

}  // namespace
}  // namespace shelfcast::trainer
