#include "eval/summary.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "eval/class_metrics.h"
#include "eval/demand_level.h"

namespace shelfcast::eval {
namespace {

// Groups of series and of steps, in the order asked for.
void add_groups(const ErrorTable& table, const KeyedSums& regime_sums, const JudgedGroups& groups,
                ForecasterResult& result) {
  const ErrorLayout& layout = table.layout();
  for (const Grouping& grouping : groups.of_series) {
    const auto sums = table.by_level(grouping.level_of, grouping.levels.size());
    for (std::size_t l = 0; l < sums.size(); ++l)
      result.groups.push_back({grouping.name, grouping.levels[l], layout.scores(sums[l])});
  }
  std::size_t key = 0;
  for (const Regime& regime : groups.of_steps)
    for (const std::string& level : regime.levels())
      result.groups.push_back({regime.name(), level, layout.scores(regime_sums[key++])});
  if (groups.by_horizon)
    for (std::int64_t h = 0; h < table.shape().horizon; ++h)
      result.groups.push_back({"horizon", fmt::format("{}", h + 1), layout.scores(table.step(h))});
}

// Of a view: all series ("week"), then groups of series ("week/category"). Regimes change from day to day.
void add_view(const std::string& view, const ErrorTable& table, const JudgedGroups& groups,
              ForecasterResult& result) {
  const auto add = [&](const std::string& group, const std::string& level, std::span<const double> sums) {
    result.groups.push_back({group, level, view_scores(table.layout(), sums)});
  };
  add(view, "all", table.total());
  for (const Grouping& grouping : groups.of_series) {
    const auto sums = table.by_level(grouping.level_of, grouping.levels.size());
    for (std::size_t l = 0; l < sums.size(); ++l)
      add(view_group(view, grouping.name), grouping.levels[l], sums[l]);
  }
  if (groups.by_horizon)
    for (std::int64_t h = 0; h < table.shape().horizon; ++h)
      add(view_group(view, "horizon"), fmt::format("{}", h + 1), table.step(h));
}

// `first_levels`: of the first forecaster, where point forecasts are judged, too.
ForecasterResult summary_of(const std::string& name, const ErrorTable& table,
                            const std::vector<double>& first_levels, const KeyedSums& regime_sums,
                            const JudgedGroups& groups) {
  const ErrorLayout& layout = table.layout();
  ForecasterResult result{name, layout.levels(), {"overall", "all", layout.scores(table.total())}, {}, {}};
  std::vector<std::vector<double>> windows;
  for (std::int64_t o = 0; o < table.shape().origins; ++o) {
    const auto sums = table.origin(o);
    windows.emplace_back(sums.begin(), sums.end());
  }
  const std::vector<Score> means = layout.window_means(windows);
  result.overall.scores.insert(result.overall.scores.end(), means.begin(), means.end());
  add_groups(table, regime_sums, groups, result);
  for (std::int64_t s = 0; s < table.shape().series; ++s) {
    const auto sums = table.series(s);
    const double absolute = ErrorLayout::absolute_error(sums);
    result.series.push_back(
        {static_cast<std::int64_t>(ErrorLayout::count(sums)),
         absolute,
         ErrorLayout::squared_error(sums),
         ErrorLayout::absolute_target(sums),
         layout.levels().empty()
             ? point_quantile_loss(absolute, ErrorLayout::median_signed_error(sums), first_levels)
             : layout.quantile_loss(sums),
         {}});
  }
  return result;
}

// Means over the origins that judge a date.
std::vector<DateWrmsse> by_date(const std::vector<double>& steps, std::size_t horizon,
                                const std::vector<std::int64_t>& origins) {
  std::map<std::int64_t, std::pair<double, double>> sums;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (std::isnan(steps[i])) continue;
    auto& [total, n] = sums[origins[i / horizon] + static_cast<std::int64_t>(i % horizon)];
    total += steps[i];
    n += 1.0;
  }
  std::vector<DateWrmsse> dates;
  for (const auto& [step, sum] : sums) dates.push_back({step, sum.first / sum.second});
  return dates;
}

std::vector<DateWrmsse> add_hierarchy(const HierarchyErrors& hierarchy, const DateCells& cells,
                                      const std::vector<std::int64_t>& origins, ForecasterResult& result) {
  std::vector<GroupScores> levels;
  for (const HierarchyErrors::LevelScore& level : hierarchy.scores())
    levels.push_back({"hierarchy", level.level, {level.score}});
  result.overall.scores.push_back(levels.back().scores.front());
  result.groups.insert(result.groups.begin(), levels.begin(), levels.end() - 1);
  const HierarchyErrors::Parts parts = hierarchy.parts();
  for (std::size_t s = 0; s < parts.series.size(); ++s) result.series[s].wrmsse = parts.series[s];
  return by_date(parts.steps, cells.horizon, origins);
}

void add_orders(const BacktestConfig& config, const KeyedSums& sums,
                const std::vector<std::string>& categories, const std::vector<std::int64_t>& origins,
                ForecasterResult& result) {
  std::vector<GroupScores> levels;
  for (const OrderScores& level : order_scores(config.orders, sums, origins, config.horizon, categories))
    levels.push_back({"orders", level.level, level.scores});
  const std::vector<Score>& all = levels.back().scores;
  result.overall.scores.insert(result.overall.scores.end(), all.begin(), all.end());
  if (categories.size() > 1) result.groups.insert(result.groups.begin(), levels.begin(), levels.end() - 1);
}

// Of demand added up over the first step, the first two, ...
void add_sums(const KeyedSums& sums, const std::vector<double>& levels, ForecasterResult& result) {
  const ErrorLayout layout(levels);
  for (std::size_t step = 0; step < sums.keys(); ++step)
    result.groups.push_back({"cumulated", fmt::format("{}", step + 1), view_scores(layout, sums[step])});
}

// Of stock on hand, by category and all series together.
void add_inventory(const KeyedSums& sums, const std::vector<std::string>& categories,
                   ForecasterResult& result) {
  if (sums.keys() == 0) return;
  const ErrorLayout layout;
  std::vector<double> all(sums.width());
  for (std::size_t level = 0; level < categories.size(); ++level) {
    if (categories.size() > 1)
      result.groups.push_back({"inventory", categories[level], view_scores(layout, sums[level])});
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += sums[level][i];
  }
  result.groups.push_back({"inventory", "all", view_scores(layout, all)});
}

// Confusion matrices by category, and added up for all series.
void add_classes(const KeyedSums& sums, const std::vector<std::string>& categories,
                 ForecasterResult& result) {
  std::vector<GroupScores> levels;
  std::vector<double> all(sums.width());
  for (std::size_t level = 0; level < categories.size(); ++level) {
    levels.push_back({"classes", categories[level], class_scores(sums[level], demand_levels())});
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += sums[level][i];
  }
  const std::vector<Score> scores = class_scores(all, demand_levels());
  result.overall.scores.insert(result.overall.scores.end(), scores.begin(), scores.end());
  if (categories.size() > 1) result.groups.insert(result.groups.begin(), levels.begin(), levels.end());
}

// The losses of a forecaster, by series and, in each category, by date.
LossRecord losses_of(const ForecasterResult& forecaster, const std::vector<double>& first_levels,
                     const KeyedSums& dates, const DateCells& cells,
                     const std::vector<std::int64_t>& origins) {
  LossRecord record;
  record.name = forecaster.name;
  record.levels = forecaster.levels.empty() ? first_levels : forecaster.levels;
  for (const SeriesErrors& errors : forecaster.series) add_series(errors, record);
  for (std::size_t level = 0; level < cells.levels; ++level) {
    std::map<std::int64_t, DateSums> by_step;
    for (std::size_t o = 0; o < cells.origins; ++o) {
      for (std::size_t h = 0; h < cells.horizon; ++h) {
        const std::span<const double> sums = dates[cells(level, o, h)];
        if (sums[0] == 0) continue;
        const std::int64_t step = origins[o] + static_cast<std::int64_t>(h);
        DateSums& date = by_step.try_emplace(step, DateSums{step}).first->second;
        date.n += sums[0];
        date.absolute += sums[1];
        date.squared += sums[2];
        date.quantile += sums[3];
      }
    }
    std::vector<DateSums>& level_dates = record.dates.emplace_back();
    for (const auto& [step, date] : by_step) level_dates.push_back(date);
  }
  return record;
}

}  // namespace

void summarise(const std::vector<Forecaster*>& forecasters, const BatchErrors& errors,
               const std::vector<HierarchyErrors>& hierarchies, const JudgedGroups& groups,
               const DateCells& cells, BacktestResult& result) {
  const std::vector<std::int64_t>& origins = result.judgement.origins;
  const std::vector<double>& first_levels = errors.tables.front().layout().levels();
  for (std::size_t i = 0; i < forecasters.size(); ++i) {
    ForecasterResult& forecaster = result.forecasters.emplace_back(
        summary_of(forecasters[i]->name(), errors.tables[i], first_levels, errors.regimes[i], groups));
    forecaster.says_classes = forecasters[i]->says_classes();
    forecaster.simpler_windows = static_cast<std::int64_t>(errors.simpler[i]);
    for (std::size_t v = 0; v < groups.views.size(); ++v)
      add_view(groups.views[v], errors.views[i * groups.views.size() + v], groups, forecaster);
    add_sums(errors.sums[i], forecasters[i]->says_sums() ? forecaster.levels : std::vector<double>(),
             forecaster);
    add_inventory(errors.inventory[i], result.categories, forecaster);
    std::vector<DateWrmsse> wrmsse_dates;
    if (!hierarchies.empty()) wrmsse_dates = add_hierarchy(hierarchies[i], cells, origins, forecaster);
    if (!result.config.classes.empty()) add_classes(errors.classes[i], result.categories, forecaster);
    if (result.config.orders.review > 0)
      add_orders(result.config, errors.orders[i], result.categories, origins, forecaster);
    result.losses.push_back(losses_of(forecaster, first_levels, errors.dates[i], cells, origins));
    result.losses.back().wrmsse_dates = std::move(wrmsse_dates);
  }
}

}  // namespace shelfcast::eval
