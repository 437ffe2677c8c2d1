#include "models/series/covariates.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace shelfcast::models {
namespace {

using Names = std::vector<std::optional<std::string>>;

CovariateValues names(Names values) { return {{}, std::move(values)}; }
CovariateValues numbers(std::vector<float> values) { return {std::move(values), {}}; }

void expect_row(const at::Tensor& row, const std::vector<float>& expected) {
  ASSERT_EQ(row.size(0), static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float got = row[static_cast<std::int64_t>(i)].item<float>();
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(got)) << i;
    } else {
      EXPECT_NEAR(got, expected[i], 1e-4F) << i;
    }
  }
}

ForecastTask one_target() {
  ForecastTask task;
  task.targets = {{10.0F, 20.0F, 30.0F, 40.0F}};
  task.known_covariates = {{"event", names({"a", "a", "b", "b"}), names({"b", "new", std::nullopt})}};
  return task;
}

TEST(PrepareTasks, one_target_gives_names_the_published_smoothed_means_and_unseen_ones_the_mean) {
  const auto prepared = prepare_tasks({one_target()}, 3);
  expect_row(prepared[0].context_rt[0], {10.0F, 20.0F, 30.0F, 40.0F});
  expect_row(prepared[0].context_rt[1], {18.3333F, 18.3333F, 31.6667F, 31.6667F});
  expect_row(prepared[0].future_rh[0], {NAN, NAN, NAN});
  expect_row(prepared[0].future_rh[1], {31.6667F, 25.0F, 25.0F});
}

TEST(PrepareTasks, means_leave_missing_targets_out_and_missing_names_are_a_category) {
  ForecastTask task = one_target();
  task.targets = {{10.0F, NAN, 30.0F, 44.0F}};
  task.known_covariates[0].past = names({"a", "a", std::nullopt, std::nullopt});
  const auto prepared = prepare_tasks({task}, 3);
  expect_row(prepared[0].context_rt[1],
             {19.0F, 19.0F, 34.0F, 34.0F});  // mean 28; (28 + 10) / 2, (28 + 74) / 3
  expect_row(prepared[0].future_rh[1], {28.0F, 28.0F, 34.0F});
}

TEST(PrepareTasks, a_task_without_any_observed_target_gets_zero_for_every_name) {
  ForecastTask task = one_target();
  task.targets = {{NAN, NAN, NAN, NAN}};
  expect_row(prepare_tasks({task}, 3)[0].context_rt[1], {0.0F, 0.0F, 0.0F, 0.0F});
}

TEST(PrepareTasks, several_targets_give_names_their_place_in_all_tasks_and_unseen_ones_nothing) {
  ForecastTask task = one_target();
  task.targets.push_back({1.0F, 1.0F, 1.0F, 1.0F});
  ForecastTask other = task;
  other.known_covariates[0].past = names({"c", "a", "aa", std::nullopt});
  const auto prepared = prepare_tasks({task, other}, 3);  // a 0, aa 1, b 2, c 3, missing 4
  expect_row(prepared[0].context_rt[2], {0.0F, 0.0F, 2.0F, 2.0F});
  expect_row(prepared[0].future_rh[2], {2.0F, NAN, 4.0F});
  expect_row(prepared[1].context_rt[2], {3.0F, 0.0F, 1.0F, 4.0F});
  EXPECT_EQ(prepared[0].targets, 2);
}

TEST(PrepareTasks, rows_are_targets_then_past_then_known_covariates) {
  ForecastTask task = one_target();
  task.past_covariates = {{"price", numbers({1.0F, 2.0F, NAN, 4.0F}), {}}};
  task.known_covariates[0] = {"visits", numbers({5.0F, 6.0F, 7.0F, 8.0F}), {}};  // known ahead, not available
  const PreparedTask prepared = prepare_tasks({task}, 2)[0];
  expect_row(prepared.context_rt[1], {1.0F, 2.0F, NAN, 4.0F});
  expect_row(prepared.context_rt[2], {5.0F, 6.0F, 7.0F, 8.0F});
  expect_row(prepared.future_rh.flatten(), std::vector<float>(6, NAN));
}

void expect_refused(const ForecastTask& task, const std::string& part) {
  try {
    prepare_tasks({one_target(), task}, 3);
    FAIL() << "nothing was said about " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("task 1"), std::string::npos) << error.what();
  }
}

TEST(PrepareTasks, refuses_what_does_not_fit_and_names_task_and_column) {
  ForecastTask task = one_target();
  task.known_covariates[0].past.names.pop_back();
  expect_refused(task, "\"event\" of task 1 has 3 steps");
  task = one_target();
  task.known_covariates[0].future.names.pop_back();
  expect_refused(task, "has 2 steps ahead");
  task = one_target();
  task.known_covariates[0].future = numbers({1.0F, 2.0F, 3.0F});
  expect_refused(task, "changes between numbers and names");
  task = one_target();
  std::swap(task.past_covariates, task.known_covariates);
  expect_refused(task, "has a future");
  task = one_target();
  task.targets.push_back({1.0F});
  expect_refused(task, "4 and 1 steps");
  task.targets.clear();
  expect_refused(task, "has no target");
}

}  // namespace
}  // namespace shelfcast::models
