// Significance of ratios, WQL and WRMSSE, against bootstraps that compute the whole metric anew for every
// draw.
#include "eval/comparisons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "base/random.h"
#include "eval/hierarchy.h"
#include "eval/metrics.h"

namespace shelfcast::eval {
namespace {

const std::vector<double> kLevels{0.1, 0.5, 0.7};  // not even around 0.5

ComparisonPlan plan_of(std::size_t series, std::int64_t resamples) {
  ComparisonPlan plan;
  plan.categories = {"all"};
  plan.category_of.resize(series);
  plan.judged.assign(series, 1);
  plan.horizon = 4;
  plan.resamples = resamples;
  return plan;
}

const Comparison& on(const std::vector<Comparison>& comparisons, const std::string& metric) {
  for (const Comparison& c : comparisons)
    if (c.metric == metric) return c;
  throw std::runtime_error("no " + metric);
}

// Targets of some series and two forecasts of them: quantiles and points.
struct Forecasts {
  static constexpr std::size_t kSeries = 40, kSteps = 6;
  std::vector<double> target, quantiles, points;  // [series, step], [series, step, level], [series, step]

  Forecasts(std::uint32_t seed, double noise, double point_noise) {
    std::mt19937 random(seed);
    std::gamma_distribution<double> gamma(2.0, 4.0);
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < kSeries * kSteps; ++i) {
      const double y = gamma(random), middle = y + noise * normal(random);
      target.push_back(y);
      for (const double shift : {-2.0, 0.0, 1.0}) quantiles.push_back(middle + shift);
      points.push_back(y + point_noise * normal(random));
    }
  }
  // 2 * mean pinball over the levels, by the formula.
  double loss(std::size_t i, bool of_points) const {
    double sum = 0.0;
    for (std::size_t q = 0; q < kLevels.size(); ++q) {
      const double error = target[i] - (of_points ? points[i] : quantiles[i * kLevels.size() + q]);
      sum += error >= 0 ? kLevels[q] * error : (kLevels[q] - 1) * error;
    }
    return 2.0 * sum / 3.0;
  }
  LossRecord record(bool of_points) const {
    LossRecord record;
    record.name = of_points ? "points" : "quantiles";
    record.levels = kLevels;
    for (std::size_t s = 0; s < kSeries; ++s) {
      double total = 0.0;
      for (std::size_t i = s * kSteps; i < (s + 1) * kSteps; ++i)
        total += of_points
                     ? point_quantile_loss(std::abs(points[i] - target[i]), points[i] - target[i], kLevels)
                     : loss(i, false);
      record.quantile.push_back(total);
      record.absolute.push_back(1.0);
      record.squared.push_back(1.0);
    }
    return record;
  }
  // WQL of the drawn series, numerators and denominators.
  double wql(const std::vector<std::size_t>& drawn, bool of_points) const {
    double losses = 0.0, demand = 0.0;
    for (const std::size_t s : drawn)
      for (std::size_t i = s * kSteps; i < (s + 1) * kSteps; ++i)
        losses += loss(i, of_points), demand += std::abs(target[i]);
    return losses / demand;
  }
};

TEST(Comparisons, of_wql_are_those_of_the_ratio_computed_anew_for_every_draw) {
  const Forecasts forecasts(3, 2.0, 3.0);
  constexpr std::int64_t kResamples = 400;
  const std::vector<LossRecord> records{forecasts.record(false), forecasts.record(true)};
  const Comparison c = on(compare_losses(records, 1, plan_of(Forecasts::kSeries, kResamples)).overall, "wql");
  std::vector<double> differences;
  for (std::int64_t r = 0; r < kResamples; ++r) {
    RandomStream stream(mix(key_of("backtest.bootstrap"), static_cast<std::uint64_t>(r)));
    std::vector<std::size_t> drawn;
    for (std::size_t i = 0; i < Forecasts::kSeries; ++i) drawn.push_back(stream.below(Forecasts::kSeries));
    differences.push_back(forecasts.wql(drawn, false) / forecasts.wql(drawn, true) - 1);
  }
  const double outer = outer_share(Forecasts::kSeries);
  EXPECT_NEAR(*c.low, sample_quantile(differences, outer), 1e-12);
  EXPECT_NEAR(*c.high, sample_quantile(differences, 1 - outer), 1e-12);
  EXPECT_EQ(c.verdict, Verdict::better);
}

TEST(Comparisons, of_wql_need_the_same_levels) {
  const Forecasts forecasts(3, 2.0, 3.0);
  std::vector<LossRecord> records{forecasts.record(false), forecasts.record(true)};
  records[1].levels = {0.5};
  for (const Comparison& c : compare_losses(records, 1, plan_of(Forecasts::kSeries, 10)).overall)
    EXPECT_NE(c.metric, "wql");
  for (LossRecord& record : records) record.levels.clear();  // two point forecasts
  for (const Comparison& c : compare_losses(records, 1, plan_of(Forecasts::kSeries, 10)).overall)
    EXPECT_NE(c.metric, "wql");
}

TEST(PointQuantileLoss, is_the_absolute_error_where_levels_lie_evenly_around_one_half) {
  EXPECT_DOUBLE_EQ(point_quantile_loss(3, -3, std::vector{0.1, 0.5, 0.9}), 3.0);
  EXPECT_DOUBLE_EQ(point_quantile_loss(3, -3, {}), 3.0);
  EXPECT_DOUBLE_EQ(point_quantile_loss(3, -3, std::vector{0.9}), 2 * 0.9 * 3);  // too low by 3
  EXPECT_DOUBLE_EQ(point_quantile_loss(3, 3, std::vector{0.9}), 2 * 0.1 * 3);
}

// Series in groups: levels "all", "group" and each by itself, at two origins.
struct Tree {
  std::size_t series, groups = 5, origins = 2, horizon = 6, steps = 60;
  std::vector<double> history;  // [series, steps + horizon]: what was sold before the second origin, and
                                // before the first one without the last `horizon`
  std::mt19937 random;

  explicit Tree(std::size_t n, std::uint32_t seed) : series(n), random(seed) {
    std::gamma_distribution<double> gamma(2.0, 1.0);
    for (std::size_t s = 0; s < n; ++s) {
      const double level = 1.0 + gamma(random);
      for (std::size_t t = 0; t < steps + horizon; ++t) history.push_back(level * gamma(random));
    }
  }
  std::int64_t origin(std::size_t o) const { return static_cast<std::int64_t>(steps + o * horizon); }
  std::vector<HierarchyLevel> levels() const {
    std::vector<HierarchyLevel> levels{
        {"all", 1, std::vector<std::uint32_t>(series)}, {"group", groups, {}}, {"series", series, {}}};
    for (std::uint32_t s = 0; s < series; ++s) {
      levels[1].node_of.push_back(s % static_cast<std::uint32_t>(groups));
      levels[2].node_of.push_back(s);
    }
    return levels;
  }
  // Errors [series, origin, step] that groups share in part.
  std::vector<double> errors(double shared, double own) {
    std::normal_distribution<double> normal;
    std::vector<double> common;
    for (std::size_t i = 0; i < groups * origins * horizon; ++i) common.push_back(shared * normal(random));
    std::vector<double> errors;
    for (std::size_t s = 0; s < series; ++s)
      for (std::size_t i = 0; i < origins * horizon; ++i)
        errors.push_back(common[s % groups * origins * horizon + i] + own * normal(random));
    return errors;
  }

  struct Node {
    std::vector<std::size_t> members;  // a series that was drawn twice is there twice
  };
  // Naive scale and sales of the last 28 steps of a sum of series at an origin.
  std::pair<double, double> past(const Node& node, std::size_t o) const {
    std::vector<double> sums(static_cast<std::size_t>(origin(o)));
    double sales = 0.0, squares = 0.0;
    for (const std::size_t s : node.members)
      for (std::size_t t = 0; t < sums.size(); ++t) sums[t] += history[s * (steps + horizon) + t];
    for (std::size_t t = sums.size() - 28; t < sums.size(); ++t) sales += sums[t];
    for (std::size_t t = 1; t < sums.size(); ++t)
      squares += (sums[t] - sums[t - 1]) * (sums[t] - sums[t - 1]);
    return {squares / static_cast<double>(sums.size() - 1), sales};
  }
  // WRMSSE of drawn series, everything computed anew: sums, scales and weights.
  double wrmsse(const std::vector<std::size_t>& drawn, const std::vector<double>& errors) const {
    double total = 0.0;
    for (const int level : {0, 1, 2}) {
      std::map<std::size_t, Node> nodes;
      for (std::size_t i = 0; i < drawn.size(); ++i)
        nodes[level == 0 ? 0 : level == 1 ? drawn[i] % groups : i].members.push_back(drawn[i]);
      for (std::size_t o = 0; o < origins; ++o) {
        double value = 0.0, weights = 0.0;
        for (const auto& [key, node] : nodes) {
          const auto [scale, sales] = past(node, o);
          double squares = 0.0;
          for (std::size_t h = 0; h < horizon; ++h) {
            double error = 0.0;
            for (const std::size_t s : node.members) error += errors[(s * origins + o) * horizon + h];
            squares += error * error;
          }
          value += sales * std::sqrt(squares / static_cast<double>(horizon) / scale);
          weights += sales;
        }
        total += value / weights / static_cast<double>(3 * origins);
      }
    }
    return total;
  }
  std::vector<std::size_t> everybody() const {
    std::vector<std::size_t> all;
    for (std::size_t s = 0; s < series; ++s) all.push_back(s);
    return all;
  }
  HierarchyPast past_of(const std::vector<HierarchyLevel>& levels) const {
    std::vector<double> packed;
    for (const HierarchyLevel& level : levels) {
      std::vector<Node> nodes(level.nodes);
      for (std::size_t s = 0; s < series; ++s) nodes[level.node_of[s]].members.push_back(s);
      std::vector<double> scales, weights;
      for (const Node& node : nodes)
        for (std::size_t o = 0; o < origins; ++o) {
          Node all{everybody()};
          scales.push_back(past(node, o).first);
          weights.push_back(past(node, o).second / past(all, o).second);
        }
      packed.push_back(static_cast<double>(scales.size()));
      packed.insert(packed.end(), scales.begin(), scales.end());
      packed.insert(packed.end(), weights.begin(), weights.end());
    }
    return HierarchyPast(packed);
  }
  HierarchyErrors::Parts parts(const std::vector<double>& errors) const {
    const auto levels = this->levels();
    const HierarchyPast past = past_of(levels);
    HierarchyErrors sums(levels, past, origins, horizon);
    for (std::size_t s = 0; s < series; ++s)
      for (std::size_t o = 0; o < origins; ++o)
        sums.add(static_cast<std::int64_t>(s), o,
                 std::span(errors).subspan((s * origins + o) * horizon, horizon));
    EXPECT_NEAR(*sums.scores().back().score.value, wrmsse(everybody(), errors), 1e-12);
    return sums.parts();
  }
  LossRecord record(const std::vector<double>& errors) const {
    LossRecord record;
    record.absolute.assign(series, 1.0);
    record.squared = record.quantile = record.absolute;
    record.wrmsse = parts(errors).series;
    return record;
  }
};

TEST(WrmsseParts, add_up_and_are_what_a_series_errors_change_by_when_they_grow_a_little) {
  Tree tree(23, 5);
  std::vector<double> errors = tree.errors(0.5, 1.0);
  const HierarchyErrors::Parts parts = tree.parts(errors);
  const double whole = tree.wrmsse(tree.everybody(), errors);
  double sum = 0.0;
  for (const double part : parts.series) sum += part;
  EXPECT_NEAR(sum, whole, 1e-6);
  const std::size_t windows = tree.origins * tree.horizon;
  for (const std::size_t s : {0, 7, 22}) {
    std::vector<double> grown = errors;
    for (std::size_t i = s * windows; i < (s + 1) * windows; ++i) grown[i] *= 1.0 + 1e-5;
    EXPECT_NEAR(parts.series[s], (tree.wrmsse(tree.everybody(), grown) - whole) / 1e-5, 1e-5);
  }
  double mean = 0.0;
  for (const double step : parts.steps) mean += step / static_cast<double>(windows);
  EXPECT_NEAR(mean, whole, 1e-6);
}

TEST(WrmsseParts, of_steps_are_what_wrmsse_changes_by_when_a_date_counts_a_little_more) {
  // One node, scale and weight 1, errors 3 and 1, and a step that was not observed:
  // WRMSSE = sqrt((9 p + 1) / (p + 1)) at p = 1, whose derivative is 1 / sqrt(5).
  const std::vector<HierarchyLevel> levels{{"all", 1, {0, 0}}};
  const HierarchyPast past(std::vector<double>{1, 1, 1});
  HierarchyErrors sums(levels, past, 1, 3);
  const double nan = std::nan("");
  sums.add(0, 0, std::vector{1.0, nan, 1.0});
  sums.add(1, 0, std::vector{2.0, nan, nan});
  const HierarchyErrors::Parts parts = sums.parts();
  const double whole = std::sqrt(5.0);
  EXPECT_NEAR((parts.steps[0] - whole) / 2, 1 / std::sqrt(5.0), 1e-12);
  EXPECT_NEAR((parts.steps[2] - whole) / 2, -1 / std::sqrt(5.0), 1e-12);
  EXPECT_TRUE(std::isnan(parts.steps[1]));
}

TEST(Comparisons, of_wrmsse_have_the_interval_of_a_bootstrap_that_adds_series_up_anew) {
  Tree tree(150, 11);
  const std::vector<double> model = tree.errors(0.8, 1.0), baseline = tree.errors(0.9, 1.1);
  const std::vector<LossRecord> records{tree.record(model), tree.record(baseline)};
  const Comparison c = on(compare_losses(records, 1, plan_of(tree.series, 2000)).overall, "wrmsse");
  const std::vector<std::size_t> all = tree.everybody();
  EXPECT_NEAR(*c.difference, tree.wrmsse(all, model) / tree.wrmsse(all, baseline) - 1, 1e-6);

  std::vector<double> differences;
  for (int r = 0; r < 500; ++r) {
    std::vector<std::size_t> drawn;
    for (std::size_t i = 0; i < tree.series; ++i) drawn.push_back(tree.random() % tree.series);
    differences.push_back(tree.wrmsse(drawn, model) / tree.wrmsse(drawn, baseline) - 1);
  }
  const double low = sample_quantile(differences, 0.025), high = sample_quantile(differences, 0.975);
  RecordProperty("brute", std::to_string(low) + " " + std::to_string(high));
  EXPECT_NEAR(*c.low, low, 0.15 * (high - low));
  EXPECT_NEAR(*c.high, high, 0.15 * (high - low));
}

TEST(Comparisons, call_nothing_significant_between_forecasts_equally_good) {
  int called = 0;
  constexpr int kTrials = 60;
  for (std::uint32_t trial = 0; trial < kTrials; ++trial) {
    Tree tree(60, trial);
    std::vector<LossRecord> records{tree.record(tree.errors(0.0, 1.0)), tree.record(tree.errors(0.0, 1.0))};
    const Forecasts first(2 * trial, 2.0, 0.0), second(2 * trial + 1, 2.0, 0.0);
    for (const auto& [record, forecasts] : {std::pair(&records[0], &first), {&records[1], &second}}) {
      record->quantile = forecasts->record(false).quantile;
      record->quantile.resize(60, 1.0);
      record->levels = kLevels;
    }
    const auto comparisons = compare_losses(records, 1, plan_of(60, 200)).overall;
    ASSERT_EQ(comparisons.size(), 4U);
    for (const char* metric : {"wql", "wrmsse"})
      called += on(comparisons, metric).verdict == Verdict::unclear ? 0 : 1;
  }
  EXPECT_LE(called, 2 * kTrials / 10);  // 5 % by chance, and both are small samples
}

}  // namespace
}  // namespace shelfcast::eval
