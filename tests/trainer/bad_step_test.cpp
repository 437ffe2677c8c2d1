// A step that is not finite or a spike: every rank decides alike, and the samples are written down.
#include <cmath>

#include "tests/trainer/training_fixture.h"
#include "trainer/bad_step.h"
#include "trainer/run/agreement.h"
#include "trainer/run/rank_times.h"
#include "trainer/step_guard.h"

namespace shelfcast::trainer {
namespace {

// Series 5 has one day with a number that no arithmetic in float survives.
float with_overflow(std::int64_t series, std::int64_t step, float demand) {
  return series == 5 && step == 60 ? 3e38F : demand;
}

class BadSteps : public Training {
 protected:
  BadSteps() : Training({.series = 12, .steps = 160, .all_missing_series = true, .change = with_overflow}) {}
  fs::path list() const { return folder_ / "run" / "bad-steps.jsonl"; }
};

TEST_F(BadSteps, stop_the_run_on_every_rank_and_name_series_and_date) {
  std::vector<std::string> messages(3);
  parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
    try {
      train(recipe("run"), {}, communicator);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      messages[static_cast<std::size_t>(communicator.rank())] = error.what();
    }
  });
  for (const std::string& message : messages) {
    EXPECT_NE(message.find("not finite"), std::string::npos) << message;
    EXPECT_NE(message.find("series series-5 forecast from 2022-"), std::string::npos) << message;
  }
  const nlohmann::json bad = read_lines(list()).at(0);
  EXPECT_EQ(bad.at("action"), "stop");
  ASSERT_FALSE(bad.at("samples").empty());
  for (const nlohmann::json& sample : bad.at("samples")) EXPECT_EQ(sample.at("series"), "series-5") << bad;
}

// What training made of a window is what is looked at, not the window.
TEST_F(Training, a_step_that_augmentation_spoiled_names_what_it_made_of_which_window) {
  const std::string message = message_of([&] {
    train_on(2, recipe("run", {"train.augment={share: 1.0, scale: 120, mix: 0.3}", "train.steps=5"}));
  });
  EXPECT_NE(message.find("not finite"), std::string::npos) << message;
  EXPECT_EQ(message.find("by itself"), std::string::npos) << message;
  const nlohmann::json bad = read_lines(folder_ / "run" / "bad-steps.jsonl").at(0);
  ASSERT_FALSE(bad.at("samples").empty());
  for (const nlohmann::json& sample : bad.at("samples"))
    EXPECT_TRUE(sample.at("loss").is_string()) << sample;  // no number
}

TEST_F(Training, a_step_whose_samples_are_finite_one_by_one_blames_none) {
  const data::Corpus corpus(folder_ / "small.corpus");
  const auto single = parallel::make_single();
  const auto report = [&](StepVerdict verdict) {
    BadStep bad;
    bad.step = 3;
    bad.verdict = verdict;
    return report_bad_step(bad, {{{2, 90}, 1.5}, {{4, 95}, 7.5}}, corpus, nullptr, *single);
  };
  EXPECT_EQ(report(StepVerdict::loss_not_finite).find("none is so by itself; largest series series-4"), 0U)
      << report(StepVerdict::loss_not_finite);
  EXPECT_EQ(report(StepVerdict::spike).find("series series-4 forecast from"), 0U);
}

TEST_F(BadSteps, are_skipped_alike_on_any_number_of_ranks_and_the_weights_stay_finite) {
  const std::vector<std::string> skip = {"train.guard.action=skip", "train.guard.most=30",
                                         "train.validate_windows=1", "train.early_stop=0"};
  std::vector<std::vector<std::int64_t>> skipped;
  for (const int ranks : {1, 3}) {
    fs::remove_all(folder_ / "run");
    EXPECT_EQ(train_on(ranks, recipe("run", skip)).ending, Ending::finished);
    skipped.emplace_back();
    for (const nlohmann::json& bad : read_lines(list())) skipped.back().push_back(bad.at("step"));
    for (const float weight : weights("run")) ASSERT_TRUE(std::isfinite(weight));
    EXPECT_EQ(Checkpoints(folder_ / "run/checkpoints").read_state(30).skipped,
              static_cast<std::int64_t>(skipped.back().size()));
  }
  EXPECT_GT(skipped[0].size(), 0U);
  EXPECT_LT(skipped[0].size(), 30U);
  EXPECT_EQ(skipped[0], skipped[1]);
}

TEST_F(BadSteps, too_many_in_a_row_end_a_run_that_skips) {
  const std::string message = message_of([&] {
    train_alone(recipe("run", {"train.guard.action=skip", "train.guard.most=0"}));
  });
  EXPECT_NE(message.find("not finite"), std::string::npos) << message;
}

class Spikes : public Training {
 protected:
  // Ten thousand times the usual, late in the series, so that only some windows hold it among their targets.
  Spikes()
      : Training({.series = 12,
                  .steps = 160,
                  .all_missing_series = true,
                  .change = [](auto series, auto step, float demand) {
                    return series == 7 && step == 100 ? 1e4F : demand;
                  }}) {}
};

TEST_F(Spikes, are_recognised_and_their_sample_named) {
  train_alone(recipe("run", {"train.guard.action=skip", "train.guard.spike=20", "train.steps=80",
                             "train.batch=6", "train.micro_batch=6"}));
  const std::vector<nlohmann::json> bad = read_lines(folder_ / "run" / "bad-steps.jsonl");
  ASSERT_FALSE(bad.empty());
  for (const nlohmann::json& step : bad) {
    EXPECT_EQ(step.at("verdict"), "the gradient's norm is a spike");
    EXPECT_GT(step.at("step").get<int>(), 20);
    EXPECT_EQ(step.at("samples").at(0).at("series"), "series-7") << step;
  }
}

TEST(StepGuard, judges_spikes_by_the_average_of_good_steps_only) {
  GuardConfig config;
  config.spike = 5;
  TrainState state;
  for (int step = 0; step < 19; ++step) note_step(state, StepVerdict::good, 2.0);
  EXPECT_EQ(judge_step(config, state, 1, 1e6), StepVerdict::good);  // too early to tell
  note_step(state, StepVerdict::good, 2.0);
  EXPECT_DOUBLE_EQ(state.norm_average, 2.0);
  EXPECT_EQ(judge_step(config, state, 1, 9.9), StepVerdict::good);
  EXPECT_EQ(judge_step(config, state, 1, 10.1), StepVerdict::spike);
  note_step(state, StepVerdict::spike, 1e6);
  EXPECT_DOUBLE_EQ(state.norm_average, 2.0);
  EXPECT_EQ(state.bad_in_a_row, 1);
  EXPECT_EQ(judge_step(config, state, std::nan(""), 1), StepVerdict::loss_not_finite);
  EXPECT_EQ(judge_step(config, state, 1, INFINITY), StepVerdict::gradient_not_finite);
}

TEST(Agreement, names_the_rank_and_the_first_line_that_differs) {
  std::vector<std::string> messages(3);
  parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
    const bool other = communicator.rank() == 2;
    try {
      check_agreement({{"build", "1.0"}, {"recipe", other ? "a: 1\n  lr: 0.2\n" : "a: 1\n  lr: 0.1\n"}},
                      communicator);
    } catch (const Error& error) {
      messages[static_cast<std::size_t>(communicator.rank())] = error.what();
    }
  });
  for (const std::string& message : messages) {
    EXPECT_NE(message.find("rank 2"), std::string::npos) << message;
    EXPECT_NE(message.find("another recipe"), std::string::npos) << message;
    EXPECT_NE(message.find("lr: 0.1 on rank 0, lr: 0.2 on rank 2"), std::string::npos) << message;
  }
}

TEST(Stragglers, the_rank_that_needs_longest_by_itself_is_named) {
  StragglerReport report{{{0.1, 1.0, 0.9, 0}, {0.1, 1.8, 0.0, 0}, {0.2, 0.9, 0.8, 0}, {0.1, 1.1, 0.7, 0.5}},
                         {"n0", "n1", "n2", "n3"}};
  EXPECT_NE(report.complaint().find("rank 1 on n1"), std::string::npos) << report.complaint();
  const nlohmann::json compute = report.summary().at("compute");
  EXPECT_DOUBLE_EQ(compute.at("min"), 0.9);
  EXPECT_DOUBLE_EQ(compute.at("median"), 1.05);
  EXPECT_DOUBLE_EQ(compute.at("max"), 1.8);
  EXPECT_EQ(compute.at("worst_rank"), 1);
  EXPECT_EQ(report.summary().at("save").at("worst_rank"), 3);
  report.ranks[1].compute = 1.2;
  EXPECT_EQ(report.complaint(), "");
}

}  // namespace
}  // namespace shelfcast::trainer
