// Stopping and going on: at any step, with every optimizer, on another number of ranks, when validation was
// due.
#include <csignal>
#include <map>
#include <thread>

#include "data/corpus_append.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/run/run_lock.h"

namespace shelfcast::trainer {
namespace {

using Changes = std::vector<std::string>;
class Resuming : public Training, public testing::WithParamInterface<Changes> {};

// 24 windows in micro-batches of 5 (accumulation), an epoch of which the stops are no multiples, early
// stopping at work.
std::vector<std::string> overrides(Changes changes) {
  changes.insert(changes.end(), {"train.micro_batch=5", "train.early_stop=9", "train.validate_every=4",
                                 "train.checkpoint_every=7"});
  return changes;
}

TEST_P(Resuming, three_times_10_steps_are_30_to_the_bit) {
  const TrainResult whole = train_alone(recipe("whole", overrides(GetParam())));
  ::testing::internal::CaptureStdout();
  for (const std::int64_t stop : {10, 20, 30})
    EXPECT_EQ(
        train_alone(recipe("parts", overrides(GetParam())), {.resume = Resume::automatic, .stop_after = stop})
            .step,
        stop);
  // Starting over would end in the same weights.
  const std::string said = ::testing::internal::GetCapturedStdout();
  for (const char* where : {"at step 10", "at step 20"})
    EXPECT_NE(said.find(where), std::string::npos) << said;
  EXPECT_EQ(weights("whole"), weights("parts"));
  const TrainState a = Checkpoints(folder_ / "whole/checkpoints").read_state(30),
                   b = Checkpoints(folder_ / "parts/checkpoints").read_state(30);
  EXPECT_EQ(a.best_step, b.best_step);
  EXPECT_EQ(a.best_metric, b.best_metric);
  EXPECT_EQ(a.best_metric, whole.best_metric);
  EXPECT_EQ(a.validations_without_best, b.validations_without_best);
  EXPECT_EQ(a.norm_average, b.norm_average);
}

TEST_P(Resuming, on_two_ranks_to_the_bit_as_well) {
  train_on(2, recipe("whole", overrides(GetParam())));
  for (const std::int64_t stop : {10, 20, 30})
    train_on(2, recipe("parts", overrides(GetParam())), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
}

INSTANTIATE_TEST_SUITE_P(
    OptimizersAndModels, Resuming,
    testing::Values(Changes{"train.optimizer.name=adamw"}, Changes{"train.optimizer.name=sgd"},
                    Changes{"model.tower=chronos-2-nano"}, Changes{"model.tower=lstm"},
                    Changes{"model.tower=tcn"}, Changes{"model.tower=transformer"},
                    Changes{"model.heads.counts=negative_binomial", "model.loss.counts=1"},
                    Changes{"model.heads.classes=[0.25, 0.75]", "model.loss.class=1",
                            "model.loss.class_weights=balanced", "train.augment.scale=0.3"},
                    Changes{"model.heads.cumulated=true", "model.loss.cumulated=1"},
                    Changes{"data.inventory=visits", "model.heads.inventory=true",
                            "model.loss.inventory=0.5"},
                    Changes{"data.shots=3"}, Changes{"tune.layer_decay=0.7"}));

TEST_F(Training, stops_early_at_the_same_step_when_it_was_stopped_in_its_last_patience) {
  const std::vector<std::string> wild = {"train.optimizer.lr=3",   "train.clip=0",
                                         "train.validate_every=1", "train.early_stop=4",
                                         "train.steps=200",        "train.schedule.warmup=0",
                                         "train.log_every=1",      "train.checkpoint_every=1"};
  const TrainResult whole = train_alone(recipe("whole", wild));
  ASSERT_EQ(whole.ending, Ending::stopped_early);
  train_alone(recipe("parts", wild), {.resume = Resume::never, .stop_after = whole.step - 2});
  ASSERT_EQ(Checkpoints(folder_ / "parts/checkpoints").read_state(whole.step - 2).validations_without_best,
            2);
  const TrainResult parts =
      train_alone(recipe("parts", wild), {.resume = Resume::required, .stop_after = {}});
  EXPECT_EQ(parts.ending, Ending::stopped_early);
  EXPECT_EQ(parts.step, whole.step);
  EXPECT_EQ(parts.best_metric, whole.best_metric);
  EXPECT_EQ(weights("whole"), weights("parts"));
}

TEST_F(Training, goes_on_with_another_number_of_ranks_to_rounding) {
  const std::vector<std::string> sgd = {"train.optimizer.name=sgd", "train.optimizer.lr=0.02"};
  train_alone(recipe("whole", sgd));
  int part = 0;
  for (const int ranks : {2, 3, 1})
    train_on(ranks, recipe("parts", sgd), {.resume = Resume::automatic, .stop_after = 10 * ++part});
  EXPECT_LT(relative_distance(weights("whole"), weights("parts")), 1e-5);
}

TEST_F(Training, means_of_the_loss_are_over_the_steps_since_the_last_line_whenever_it_stopped) {
  const auto lines = [&](const std::string& run) {
    std::map<std::int64_t, double> losses;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("learning_rate")) losses[line.at("step")] = line.at("loss");
    return losses;
  };
  train_alone(recipe("whole", {"train.log_every=8"}));
  for (const std::int64_t stop : {5, 13, 16, 30})
    train_alone(recipe("parts", {"train.log_every=8"}), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(lines("whole").size(), 4U);
  EXPECT_EQ(lines("whole"), lines("parts"));
}

TEST_F(Training, goes_on_with_the_corpus_that_it_began_with_alone) {
  const fs::path corpus = folder_ / "small.corpus";
  train_alone(recipe("run"), {.resume = Resume::never, .stop_after = 10});
  const auto resumed = [&] {
    return message_of([&] { train_alone(recipe("run"), {.resume = Resume::required, .stop_after = {}}); });
  };
  fs::rename(corpus, folder_ / "aside");
  SmallCorpusOptions nine;
  nine.series = 9;
  make_small_corpus(corpus, nine);
  const std::string other = resumed();
  EXPECT_NE(other.find("is not what " + (folder_ / "run").string() + " was started on"), std::string::npos)
      << other;
  EXPECT_NE(other.find("bring the old one back"), std::string::npos) << other;
  fs::remove_all(corpus);
  fs::rename(folder_ / "aside", corpus);
  // Appended to: the manifest that was is kept beside the new one.
  const std::string manifest = read_file(corpus / "manifest.json");
  const fs::path kept = data::kept_manifest(corpus, data::Corpus(corpus).digest());
  fs::copy_file(corpus / "manifest.json", kept);
  std::ofstream(corpus / "manifest.json") << manifest << "\n";
  const std::string grown = resumed();
  EXPECT_NE(grown.find("it was appended to since"), std::string::npos) << grown;
  EXPECT_NE(grown.find("copy its " + kept.filename().string()), std::string::npos) << grown;
  fs::copy_file(kept, corpus / "manifest.json", fs::copy_options::overwrite_existing);
  EXPECT_EQ(resumed(), "");
}

TEST_F(Training, says_which_conditions_of_the_bits_have_changed) {
  train_on(2, recipe("run"), {.resume = Resume::never, .stop_after = 5});
  testing::internal::CaptureStderr();
  train_alone(recipe("run"), {.resume = Resume::required, .stop_after = 8});
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("ranks was 2 and is 1 now"), std::string::npos) << said;
  EXPECT_NE(said.find("to rounding"), std::string::npos) << said;
}

// Calls `interrupt` once the run has logged something.
class Interruption {
 public:
  Interruption(const fs::path& run, std::function<void()> interrupt)
      : thread_(
            [metrics = run / "metrics.jsonl", interrupt = std::move(interrupt)](const std::stop_token& stop) {
              while (!stop.stop_requested() && (!fs::exists(metrics) || fs::file_size(metrics) == 0))
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
              interrupt();
            }) {}

 private:
  std::jthread thread_;
};

TEST_F(Training, makes_up_for_a_validation_that_a_stop_fell_into) {
  // Validation is due after every step, so whenever the stop comes, one is left out.
  const std::vector<std::string> often = {"train.validate_every=1", "train.early_stop=0",
                                          "train.log_every=1"};
  train_alone(recipe("whole", often));
  {
    const Interruption signal(folder_ / "parts", [] { std::raise(SIGUSR1); });
    EXPECT_EQ(train_alone(recipe("parts", often)).ending, Ending::signalled);
  }
  const Checkpoints checkpoints(folder_ / "parts/checkpoints");
  const std::int64_t left_at = checkpoints.steps().back();
  ASSERT_LT(left_at, 30);
  EXPECT_TRUE(checkpoints.read_state(left_at).validation_pending);
  train_alone(recipe("parts", often), {.resume = Resume::required, .stop_after = {}});
  EXPECT_EQ(weights("whole"), weights("parts"));
  const auto validations = [&](const char* run) {
    std::map<std::int64_t, double> all;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("validation_loss")) all[line.at("step")] = line.at("validation_loss").get<double>();
    return all;
  };
  EXPECT_EQ(validations("whole"), validations("parts"));
}

TEST_F(Training, leaves_when_asked_through_the_run_folder_and_the_request_is_gone) {
  const std::vector<std::string> endless = {"train.steps=1000000", "train.validate_every=1000000",
                                            "train.early_stop=0", "train.log_every=1"};
  const fs::path run = folder_ / "run";
  const Interruption request(run, [run] { StopRequest(run).make(); });
  EXPECT_EQ(train_on(2, recipe("run", endless)).ending, Ending::signalled);
  EXPECT_FALSE(fs::exists(run / "stop"));
  EXPECT_EQ(RunLock::holder(run), std::nullopt);
}

TEST_F(Training, refused_because_another_begins_in_its_folder_it_leaves_no_recipe_there) {
  const RunFolder run(folder_ / "run");
  run.make();
  const RunLock lock(run.path());
  EXPECT_NE(message_of([&] { train_alone(recipe("run", {"train.steps=2"})); }).find("is being trained"),
            std::string::npos);
  EXPECT_FALSE(run.exists());
}

TEST_F(Training, keeps_a_second_training_out_of_a_run_folder) {
  train_alone(recipe("run", {"train.steps=2"}));
  const RunLock lock(folder_ / "run");
  ASSERT_TRUE(RunLock::holder(folder_ / "run"));
  const std::string message = message_of(
      [&] { train_alone(recipe("run", {"train.steps=2"}), {.resume = Resume::required, .stop_after = {}}); });
  EXPECT_NE(message.find("is being trained by another process"), std::string::npos) << message;
  EXPECT_NE(message.find(std::to_string(getpid())), std::string::npos) << message;
}

}  // namespace
}  // namespace shelfcast::trainer
