// Forecasting tasks: series to forecast with what is known beside them, turned into rows of numbers for
// Chronos-2.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

namespace shelfcast::models {

// Numbers (NaN = missing) or names (nothing = missing, which is a category of its own). A column of flags is
// one of names.
struct CovariateValues {
  std::vector<float> numbers;
  std::vector<std::optional<std::string>> names;
  std::size_t size() const { return numbers.size() + names.size(); }
};

struct Covariate {
  std::string name;      // the same column has the same name, and the same kind, in all tasks
  CovariateValues past;  // one a step of the targets
  // One a step ahead where the column is known ahead; empty where it is not, or not available this time.
  CovariateValues future;
};

// One thing to forecast. All its series exchange information, tasks do not.
struct ForecastTask {
  std::vector<std::vector<float>> targets;  // [series][steps], equally long, at least one; NaN = missing
  std::vector<Covariate> past_covariates;   // only their past is known
  std::vector<Covariate> known_covariates;  // their future is known as well
};

// A task as rows: targets, past covariates, known covariates.
struct PreparedTask {
  at::Tensor context_rt;  // float32
  at::Tensor future_rh;   // float32, NaN = unknown (always for targets and past covariates)
  std::int64_t targets = 0;
};

// Columns of names become numbers as in the reference package. One target: the mean of the target over the
// task's steps of that name, drawn towards the task's mean by one step's weight; a name that the task's past
// lacks gets the task's mean. Several targets: the place of the name among all sorted names of that column in
// all of `tasks`, missing last; a name that none of them had in its past becomes NaN. Throws Error(input)
// naming the task and the column.
std::vector<PreparedTask> prepare_tasks(const std::vector<ForecastTask>& tasks, std::int64_t horizon);

}  // namespace shelfcast::models
