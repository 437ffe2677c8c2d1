#include "models/series/covariates.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace shelfcast::models {

namespace {

using Names = std::vector<std::optional<std::string>>;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Places of the names of every column, over all tasks.
using Places = std::map<std::string, std::map<std::string, std::int64_t>>;

void check_column(const Covariate& column, std::size_t task, std::size_t steps, std::size_t horizon) {
  const auto problem = [&](const std::string& what) {
    return fmt::format("covariate \"{}\" of task {} {}", column.name, task, what);
  };
  for (const CovariateValues* values : {&column.past, &column.future}) {
    if (!values->numbers.empty() && !values->names.empty())
      throw input_error(problem("has numbers and names"), "it must be one or the other");
  }
  if (column.past.size() != steps) {
    throw input_error(problem(fmt::format("has {} steps", column.past.size())),
                      fmt::format("the targets have {}", steps));
  }
  if (column.future.size() != 0 && column.future.size() != horizon) {
    throw input_error(problem(fmt::format("has {} steps ahead", column.future.size())),
                      fmt::format("the horizon is {}", horizon));
  }
  if (column.future.size() != 0 && column.future.names.empty() != column.past.names.empty())
    throw input_error(problem("changes between numbers and names"),
                      "its past and its future must be of one kind");
}

void check(const ForecastTask& task, std::size_t number, std::size_t horizon) {
  if (task.targets.empty() || task.targets[0].empty())
    throw input_error(fmt::format("task {} has no target", number), "it needs one of at least one step");
  for (const auto& target : task.targets) {
    if (target.size() != task.targets[0].size()) {
      throw input_error(fmt::format("targets of task {} have {} and {} steps", number, task.targets[0].size(),
                                    target.size()),
                        "they must be equally long");
    }
  }
  for (const Covariate& column : task.past_covariates) {
    check_column(column, number, task.targets[0].size(), horizon);
    if (column.future.size() != 0) {
      throw input_error(fmt::format("past covariate \"{}\" of task {} has a future", column.name, number), "",
                        "list it among the known covariates");
    }
  }
  for (const Covariate& column : task.known_covariates)
    check_column(column, number, task.targets[0].size(), horizon);
}

template <typename Visit>
void each_column(const ForecastTask& task, Visit visit) {
  for (const Covariate& column : task.past_covariates) visit(column);
  for (const Covariate& column : task.known_covariates) visit(column);
}

Places places_of(const std::vector<ForecastTask>& tasks) {
  Places places;
  for (const ForecastTask& task : tasks) {
    each_column(task, [&places](const Covariate& column) {
      auto& own = places[column.name];
      for (const auto& name : column.past.names) {
        if (name) own.emplace(*name, 0);
      }
    });
  }
  for (auto& [column, names] : places) {
    std::int64_t next = 0;
    for (auto& [name, place] : names) place = next++;
  }
  return places;
}

// The smoothed mean of one task's target for each name.
class TargetMeans {
 public:
  TargetMeans(const Names& past, const std::vector<float>& target) {
    for (std::size_t t = 0; t < target.size(); ++t) {
      if (!std::isfinite(target[t])) continue;
      all_.add(target[t]);
      by_name_[past[t]].add(target[t]);
    }
  }
  float at(const std::optional<std::string>& name) const {
    const double mean = all_.count > 0 ? all_.sum / all_.count : 0.0;
    const auto found = by_name_.find(name);
    const Sum own = found == by_name_.end() ? Sum{} : found->second;
    return static_cast<float>((kSmooth * mean + own.sum) / (kSmooth + own.count));
  }

 private:
  struct Sum {
    double sum = 0.0, count = 0.0;
    void add(double value) {
      sum += value;
      ++count;
    }
  };
  static constexpr double kSmooth = 1.0;
  Sum all_;
  std::map<std::optional<std::string>, Sum> by_name_;
};

float ordinal(const std::optional<std::string>& name, const std::map<std::string, std::int64_t>& places) {
  if (!name) return static_cast<float>(places.size());
  const auto found = places.find(*name);
  return found == places.end() ? kMissing : static_cast<float>(found->second);
}

std::vector<float> encoded(const CovariateValues& values, const Covariate& column, const ForecastTask& task,
                           const Places& places) {
  if (values.names.empty()) return values.numbers;
  std::vector<float> result;
  if (task.targets.size() == 1) {
    const TargetMeans means(column.past.names, task.targets[0]);
    for (const auto& name : values.names) result.push_back(means.at(name));
  } else {
    for (const auto& name : values.names) result.push_back(ordinal(name, places.at(column.name)));
  }
  return result;
}

at::Tensor rows_of(const std::vector<std::vector<float>>& rows) {
  const auto steps = static_cast<std::int64_t>(rows[0].size());
  at::Tensor result = at::empty({static_cast<std::int64_t>(rows.size()), steps}, at::kFloat);
  float* out = result.mutable_data_ptr<float>();
  for (const auto& row : rows) out = std::copy(row.begin(), row.end(), out);
  return result;
}

}  // namespace

std::vector<PreparedTask> prepare_tasks(const std::vector<ForecastTask>& tasks, std::int64_t horizon) {
  if (horizon < 1) throw input_error(fmt::format("the horizon is {}", horizon), "it must be at least 1");
  const auto ahead = static_cast<std::size_t>(horizon);
  for (std::size_t i = 0; i < tasks.size(); ++i) check(tasks[i], i, ahead);
  const Places places = places_of(tasks);
  std::vector<PreparedTask> result;
  for (const ForecastTask& task : tasks) {
    std::vector<std::vector<float>> past = task.targets;
    std::vector<std::vector<float>> future(past.size(), std::vector<float>(ahead, kMissing));
    each_column(task, [&](const Covariate& column) {
      past.push_back(encoded(column.past, column, task, places));
      future.push_back(encoded(column.future, column, task, places));
      future.back().resize(ahead, kMissing);
    });
    result.push_back({rows_of(past), rows_of(future), static_cast<std::int64_t>(task.targets.size())});
  }
  return result;
}

}  // namespace shelfcast::models
