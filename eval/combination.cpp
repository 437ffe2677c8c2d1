#include "eval/combination.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/baselines/methods.h"
#include "eval/nnls.h"

namespace shelfcast::eval {
namespace {

void add_to(std::span<double> sums, std::span<const double> part) {
  for (std::size_t i = 0; i < part.size(); ++i) sums[i] += part[i];
}

std::vector<double> by_inverse_error(std::span<const double> absolute) {
  const bool perfect = std::ranges::any_of(absolute, [](double error) { return error == 0.0; });
  std::vector<double> weights;
  double total = 0.0;
  for (const double error : absolute) {
    weights.push_back(perfect ? (error == 0.0 ? 1.0 : 0.0) : 1.0 / error);
    total += weights.back();
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

std::vector<double> by_stacking(std::span<const double> products, std::size_t members) {
  std::vector<double> gram(members * members);
  std::size_t next = 0;
  for (std::size_t i = 0; i < members; ++i)
    for (std::size_t j = i; j < members; ++j)
      gram[i * members + j] = gram[j * members + i] = products[next++];
  return non_negative_least_squares(gram, products.subspan(next));
}

// Statistical ones before learned ones.
std::vector<std::string> judged_order(std::vector<std::string> baselines) {
  const std::vector<std::string> statistical = method_names();
  std::stable_partition(baselines.begin(), baselines.end(), [&](const std::string& name) {
    return std::ranges::find(statistical, name) != statistical.end();
  });
  return baselines;
}

bool same(const data::Window& a, const data::Window& b) {
  return a.series == b.series && a.origin == b.origin;
}

}  // namespace

const std::vector<CombinationMethod>& combination_methods() {
  static const std::vector<CombinationMethod> kMethods = {
      {"mean", "Mean of forecasts", "all with equal weights"},
      {"inverse_error", "Inverse error", "weights by one over the mean absolute error on earlier origins"},
      {"stacking", "Stacking", "weights by non-negative least squares on earlier origins"}};
  return kMethods;
}

std::vector<double> combination_weights(const std::string& method, std::span<const double> sums,
                                        std::size_t members) {
  std::vector<double> equal(members, 1.0 / static_cast<double>(members));
  if (method == "mean" || !(sums[0] > 0)) return equal;
  if (method == "inverse_error") return by_inverse_error(sums.subspan(1, members));
  const std::vector<double> weights = by_stacking(sums.subspan(1 + members), members);
  return std::ranges::any_of(weights, [](double weight) { return weight > 0; }) ? weights : equal;
}

void Remembered::refit(std::int64_t origin) {
  windows_.clear();
  of_.refit(origin);
}

const ForecastValues& Remembered::values_of(const data::Batch& batch) {
  if (!windows_.empty() && std::ranges::equal(batch.window_b, windows_, same)) return values_;
  windows_.clear();  // stays empty if forecasting fails
  of_.forecast(batch, values_);
  windows_ = batch.window_b;
  return values_;
}

// Weighs the members' means, medians and, where all have them at the same levels, quantiles. Weights are not
// negative, so quantiles do not cross.
class Combiner::Combination final : public Forecaster {
 public:
  Combination(const Combiner& combiner, CombinationMethod method, std::string name)
      : combiner_(combiner), method_(std::move(method)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const std::string& method() const { return method_.name; }
  void set(std::vector<std::vector<double>> weights) { weights_ = std::move(weights); }

  void forecast(const data::Batch& batch, ForecastValues& values) override {
    std::vector<const ForecastValues*> members;
    for (Remembered* member : combiner_.members_) members.push_back(&member->values_of(batch));
    const std::vector<double>& levels = members.front()->levels;
    const bool quantiles =
        std::ranges::all_of(members, [&](const ForecastValues* m) { return m->levels == levels; });
    values.levels = quantiles ? levels : std::vector<double>();
    weigh(batch, members, &ForecastValues::mean_bh, values.mean_bh);
    weigh(batch, members, &ForecastValues::median_bh, values.median_bh);
    values.quantiles_bqh.clear();
    if (!values.levels.empty()) weigh(batch, members, &ForecastValues::quantiles_bqh, values.quantiles_bqh);
  }

 private:
  void weigh(const data::Batch& batch, const std::vector<const ForecastValues*>& members,
             std::vector<float> ForecastValues::*of, std::vector<float>& to) const {
    const std::size_t size = (members.front()->*of).size(), rows = batch.window_b.size();
    to.assign(size, 0.0F);
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t series = batch.window_b[i / (size / rows)].series;
      const std::size_t level = series < 0 ? 0 : combiner_.level_of_[static_cast<std::size_t>(series)];
      double sum = 0.0;
      for (std::size_t m = 0; m < members.size(); ++m)
        sum += weights_[level][m] * double{(members[m]->*of)[i]};
      to[i] = static_cast<float>(sum);
    }
  }

  const Combiner& combiner_;
  CombinationMethod method_;
  std::string name_;
  std::vector<std::vector<double>> weights_;  // [level][member]
};

Combiner::Combiner(const BacktestConfig& config, const std::vector<std::unique_ptr<Remembered>>& forecasters,
                   std::size_t models, std::vector<std::string> levels, std::vector<std::size_t> level_of,
                   std::vector<std::int64_t> origins)
    : horizon_(static_cast<std::size_t>(config.horizon)),
      levels_(std::move(levels)),
      level_of_(std::move(level_of)),
      origins_(std::move(origins)) {
  const CombineConfig& combine = config.combine;
  if (combine.methods.empty()) return;
  if (combine.by == CombineBy::overall) {
    levels_ = {"all"};
    std::ranges::fill(level_of_, 0U);
  }
  const std::vector<std::string> baselines = judged_order(config.baselines);
  SHELFCAST_ASSERT(forecasters.size() == models + baselines.size());
  std::string models_in;  // names of runs differ, and so do their combinations
  for (std::size_t i = 0; i < forecasters.size(); ++i) {
    const std::string name = i < models ? "model" : baselines[i - models];
    if (!combine.of.empty() && std::ranges::find(combine.of, name) == combine.of.end()) continue;
    members_.push_back(forecasters[i].get());
    if (i < models) models_in += (models_in.empty() ? kWithModels : ", ") + forecasters[i]->name();
  }
  if (models == 0 && std::ranges::find(combine.of, "model") != combine.of.end())
    throw input_error("backtest.combine.of names 'model'", "this backtest judges baselines alone",
                      "leave it out");
  if (members_.size() < 2)
    throw input_error(
        fmt::format("backtest.combine has {} forecast to combine", members_.size() == 1 ? "one" : "no"),
        "a combination needs two", "name more of them, or more backtest.baselines");
  for (const std::string& name : combine.methods) {
    const auto method = std::ranges::find(combination_methods(), name, &CombinationMethod::name);
    SHELFCAST_ASSERT(method != combination_methods().end());  // validate() has seen the names
    forecasters_.push_back(std::make_unique<Combination>(*this, *method, method->label + models_in));
  }
}

Combiner::~Combiner() = default;

MemberCells Combiner::cells() const {
  return {empty() ? 0 : members_.size(), levels_.size(), origins_.size(), horizon_};
}

std::vector<Forecaster*> Combiner::forecasters() const {
  std::vector<Forecaster*> all;
  for (const auto& forecaster : forecasters_) all.push_back(forecaster.get());
  return all;
}

std::vector<std::string> Combiner::member_names() const {
  std::vector<std::string> names;
  for (const Remembered* member : members_) names.push_back(member->name());
  return names;
}

void Combiner::add(const data::Batch& batch, const std::vector<std::int64_t>& origin_of_row, std::size_t rows,
                   KeyedSums& sums) const {
  const std::size_t count = members_.size(), model_horizon = batch.target_bh.size() / batch.window_b.size();
  std::vector<const ForecastValues*> members;
  for (Remembered* member : members_) members.push_back(&member->values_of(batch));
  std::vector<double> cell(cells().width());
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t level = level_of_[static_cast<std::size_t>(batch.window_b[row].series)];
    for (std::size_t h = 0; h < horizon_; ++h) {
      const std::size_t at = row * model_horizon + h;
      const double target = batch.target_bh[at];
      if (std::isnan(target)) continue;
      const auto mean_of = [&](std::size_t member) {
        return static_cast<double>(members[member]->mean_bh[at]);
      };
      std::size_t product = 1 + count;
      cell[0] = 1.0;
      for (std::size_t i = 0; i < count; ++i) {
        const double median = members[i]->median_bh[at];
        cell[1 + i] = std::abs(median - target);
        for (std::size_t j = i; j < count; ++j) cell[product++] = mean_of(i) * mean_of(j);
      }
      for (std::size_t i = 0; i < count; ++i) cell[product++] = mean_of(i) * target;
      sums.add(cells()(level, static_cast<std::size_t>(origin_of_row[row]), h), cell);
    }
  }
}

std::vector<double> Combiner::sums_before(std::int64_t origin, const KeyedSums& sums,
                                          std::size_t level) const {
  std::vector<double> total(cells().width());
  for (std::size_t o = 0; sums.keys() > 0 && o < origins_.size() && origins_[o] < origin; ++o)
    for (std::size_t h = 0; h < horizon_ && origins_[o] + static_cast<std::int64_t>(h) < origin; ++h)
      add_to(total, sums[cells()(level, o, h)]);
  return total;
}

void Combiner::learn(std::int64_t origin, const KeyedSums& sums) {
  std::vector<std::vector<double>> by_level;
  std::vector<double> all(cells().width());
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    by_level.push_back(sums_before(origin, sums, level));
    add_to(all, by_level.back());
  }
  for (const auto& forecaster : forecasters_) {
    std::vector<std::vector<double>> weights;
    for (std::size_t level = 0; level < levels_.size(); ++level) {
      // A category that was never judged goes with all.
      const std::vector<double>& known = by_level[level][0] > 0 ? by_level[level] : all;
      weights.push_back(combination_weights(forecaster->method(), known, members_.size()));
      weights_.push_back({forecaster->name(), levels_[level], origin, weights.back()});
    }
    forecaster->set(std::move(weights));
  }
}

}  // namespace shelfcast::eval
