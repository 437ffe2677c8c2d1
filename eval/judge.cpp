#include "eval/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

std::vector<std::size_t> covariates_of(const std::vector<Regime>& regimes) {
  std::vector<std::size_t> covariates;
  covariates.reserve(regimes.size());
  for (const Regime& regime : regimes) covariates.push_back(regime.covariate);
  return covariates;
}

ErrorLayout sums_layout(const ForecastValues& values) {
  return ErrorLayout(values.cumulated_bqh.empty() ? std::vector<double>() : values.levels);
}

// On straight lines between levels, the outermost quantile beyond them.
double median_of(const std::vector<double>& levels, std::span<const double> quantiles) {
  const auto above = static_cast<std::size_t>(std::ranges::lower_bound(levels, 0.5) - levels.begin());
  if (above == 0 || above == levels.size()) return above == 0 ? quantiles.front() : quantiles.back();
  const double share = (0.5 - levels[above - 1]) / (levels[above] - levels[above - 1]);
  return quantiles[above - 1] + share * (quantiles[above] - quantiles[above - 1]);
}

}  // namespace

Judge::Judge(const data::CorpusSource& corpus, const data::FeatureSpec& spec, const BacktestConfig& config,
             std::vector<data::Window> windows, std::vector<std::int64_t> origins,
             std::vector<Forecaster*> forecasters, JudgeExtras extras)
    : context_(static_cast<std::size_t>(spec.context)),
      model_horizon_(static_cast<std::size_t>(spec.horizon)),
      horizon_(static_cast<std::size_t>(config.horizon)),
      origins_(std::move(origins)),
      forecasters_(std::move(forecasters)),
      extras_(std::move(extras)),
      cells_{extras_.date_levels, origins_.size(), horizon_},
      order_config_(config.orders),
      order_cells_{config.orders.review > 0 ? extras_.date_levels : 0, origins_.size()},
      reader_(corpus, spec, std::move(windows), config.batch),
      history_(corpus, spec.censored, config.season, origins_, covariates_of(extras_.regimes)) {
  axis_ = history_.corpus().info().axis;
  series_names_ = history_.corpus().series_names();
  for (const Regime& regime : extras_.regimes) regime_levels_ += regime.levels().size();
}

BatchErrors Judge::judge(std::int64_t index) {
  load(index);
  BatchErrors errors;
  errors.counts = count();
  add_profiles(errors);
  for (Forecaster* forecaster : forecasters_) judge_forecaster(*forecaster, errors);
  if (extras_.combiner != nullptr) {
    const MemberCells cells = extras_.combiner->cells();
    errors.members = KeyedSums(cells.cells(), cells.width());
    extras_.combiner->add(batch_, origin_of_row_, rows_, errors.members);
  }
  return errors;
}

void Judge::load(std::int64_t index) {
  reader_.read(index, batch_);
  const auto padding =
      std::ranges::find_if(batch_.window_b, [](const data::Window& w) { return w.series < 0; });
  rows_ = static_cast<std::size_t>(padding - batch_.window_b.begin());
  SHELFCAST_ASSERT(rows_ > 0);
  origin_of_row_.clear();
  for (std::size_t row = 0; row < rows_; ++row) {
    const auto found = std::ranges::lower_bound(origins_, batch_.window_b[row].origin);
    origin_of_row_.push_back(found - origins_.begin());
  }
  const std::int64_t first = batch_.window_b.front().series, last = batch_.window_b[rows_ - 1].series;
  shape_ = {first, last - first + 1, std::ssize(origins_), static_cast<std::int64_t>(horizon_)};
  history_.load(first, shape_.series);
  fit_thresholds();
  find_regimes();
}

void Judge::fit_thresholds() {
  thresholds_.clear();
  if (extras_.classes.empty()) return;
  for (std::int64_t s = shape_.first_series; s < shape_.first_series + shape_.series; ++s)
    thresholds_.push_back(fit_levels(history_.demand(s).first(static_cast<std::size_t>(extras_.fitted_until)),
                                     {extras_.classes[0], extras_.classes[1]}));
}

void Judge::find_regimes() {
  regime_of_.assign(extras_.regimes.size(), {});
  std::size_t first_level = 0;
  for (std::size_t r = 0; r < extras_.regimes.size(); ++r) {
    const Regime& regime = extras_.regimes[r];
    for (std::size_t row = 0; row < rows_; ++row) {
      const data::Window& window = batch_.window_b[row];
      for (const std::size_t level : regime_levels(regime, history_.covariate(r, window.series),
                                                   window.origin, static_cast<std::int64_t>(horizon_)))
        regime_of_[r].push_back(first_level + level);
    }
    first_level += regime.levels().size();
  }
}

float Judge::target(std::size_t row, std::size_t step) const {
  return batch_.target_bh[row * model_horizon_ + step];
}

TargetCounts Judge::count() const {
  TargetCounts counts;
  for (std::size_t row = 0; row < rows_; ++row) {
    for (std::size_t step = 0; step < horizon_; ++step) {
      counts.missing += std::isnan(target(row, step)) ? 1.0 : 0.0;
      counts.zeros += target(row, step) == 0.0F ? 1.0 : 0.0;
    }
    // A series cut by a batch border is in two batches; its first origin is in one.
    if (origin_of_row_[row] != 0) continue;
    const Coverage coverage = history_.coverage(batch_.window_b[row].series);
    counts.history.cells += coverage.cells;
    counts.history.missing += coverage.missing;
    counts.history.zeros += coverage.zeros;
  }
  counts.judged = static_cast<double>(rows_ * horizon_) - counts.missing;
  return counts;
}

// A series cut by a batch border is in two batches; its first origin is in one.
void Judge::add_profiles(BatchErrors& errors) const {
  for (std::size_t row = 0; row < rows_; ++row) {
    if (origin_of_row_[row] != 0) continue;
    const std::int64_t series = batch_.window_b[row].series;
    if (errors.profiles.empty()) errors.first_series = series;
    SHELFCAST_ASSERT(series == errors.first_series + std::ssize(errors.profiles));
    errors.profiles.push_back(profile_of(history_.demand(series), origins_.front()));
  }
}

void Judge::judge_forecaster(Forecaster& forecaster, BatchErrors& errors) {
  values_.cumulated_bqh.clear();
  values_.classes_bch.clear();
  values_.inventory_bh.clear();
  values_.simpler_b.clear();
  forecaster.forecast(batch_, values_);
  const std::size_t steps = static_cast<std::size_t>(batch_.windows) * model_horizon_;
  SHELFCAST_ASSERT(values_.mean_bh.size() == steps && values_.median_bh.size() == steps &&
                   values_.quantiles_bqh.size() == steps * values_.levels.size());
  SHELFCAST_ASSERT(values_.cumulated_bqh.size() ==
                   (forecaster.says_sums() ? values_.quantiles_bqh.size() : 0));
  SHELFCAST_ASSERT(values_.classes_bch.size() == (forecaster.says_classes() ? steps * kDemandLevels : 0));
  SHELFCAST_ASSERT(values_.inventory_bh.size() == (forecaster.says_inventory() ? steps : 0));
  if (&forecaster == forecasters_.front()) first_levels_ = values_.levels;
  const ErrorLayout layout(values_.levels);
  errors.tables.emplace_back(layout, shape_);
  errors.dates.emplace_back(cells_.cells(), DateCells::kWidth);
  errors.regimes.emplace_back(regime_levels_, layout.width());
  errors.window_errors.emplace_back(extras_.window_errors ? rows_ * horizon_ : 0,
                                    std::numeric_limits<double>::quiet_NaN());
  errors.classes.emplace_back(extras_.classes.empty() ? 0 : extras_.date_levels,
                              kDemandLevels * kDemandLevels);
  errors.sums.emplace_back(extras_.sums ? horizon_ : 0, sums_layout(values_).width());
  errors.inventory.emplace_back(values_.inventory_bh.empty() ? 0 : extras_.date_levels,
                                ErrorLayout().width());
  errors.orders.emplace_back(order_cells_.cells(), OrderCells::kWidth);
  const std::span simpler = std::span(values_.simpler_b).first(std::min(rows_, values_.simpler_b.size()));
  errors.simpler.push_back(static_cast<double>(std::ranges::count(simpler, 1)));
  for (std::size_t row = 0; row < rows_; ++row) {
    judge_window(forecaster, row, errors);
    if (extras_.sums) judge_sums(forecaster, row, errors);
    if (!values_.inventory_bh.empty()) judge_inventory(forecaster, row, errors);
    if (order_cells_.levels > 0) simulate(row, errors);
  }
  for (const View& view : extras_.views) judge_view(view, errors);
}

void Judge::judge_view(const View& view, BatchErrors& errors) const {
  TableShape shape = shape_;
  shape.horizon = view.most;
  ErrorTable& table = errors.views.emplace_back(ErrorLayout(), shape);
  for (std::size_t row = 0; row < rows_; ++row)
    add_periods(view, batch_.window_b[row].series, origin_of_row_[row], mean_of(row), targets_of(row), table);
}

std::span<const float> Judge::mean_of(std::size_t row) const {
  return std::span(values_.mean_bh).subspan(row * model_horizon_, horizon_);
}

std::span<const float> Judge::targets_of(std::size_t row) const {
  return std::span(batch_.target_bh).subspan(row * model_horizon_, horizon_);
}

// Of whole sums alone: up to the first step that was not observed.
void Judge::judge_sums(const Forecaster& forecaster, std::size_t row, BatchErrors& errors) const {
  const ErrorLayout layout = sums_layout(values_);
  const std::size_t levels = layout.levels().size();
  std::vector<double> quantiles(levels), added(layout.width());
  Judged judged;
  judged.quantiles = quantiles;
  for (std::size_t step = 0; step < horizon_ && !std::isnan(target(row, step)); ++step) {
    judged.target += target(row, step);
    judged.mean += mean_of(row)[step];
    double sum = judged.mean;
    for (std::size_t q = 0; q < levels; ++q) {
      quantiles[q] = values_.cumulated_bqh[(row * levels + q) * model_horizon_ + step];
      sum += quantiles[q];
    }
    check_finite(forecaster, row, step, sum);
    judged.median = levels > 0 ? median_of(values_.levels, quantiles) : judged.mean;
    std::ranges::fill(added, 0.0);
    layout.add(judged, added);
    errors.sums.back().add(step, added);
  }
}

void Judge::judge_inventory(const Forecaster& forecaster, std::size_t row, BatchErrors& errors) const {
  const ErrorLayout layout;
  const std::size_t level = extras_.date_level_of[static_cast<std::size_t>(batch_.window_b[row].series)];
  std::vector<double> added(layout.width());
  for (std::size_t step = 0; step < horizon_; ++step) {
    const float held = batch_.inventory_bu[row * (context_ + model_horizon_) + context_ + step];
    if (std::isnan(held)) continue;
    const double forecast = values_.inventory_bh[row * model_horizon_ + step];
    check_finite(forecaster, row, step, forecast);
    Judged judged;
    judged.target = held;
    judged.mean = judged.median = forecast;
    std::ranges::fill(added, 0.0);
    layout.add(judged, added);
    errors.inventory.back().add(level, added);
  }
}

void Judge::simulate(std::size_t row, BatchErrors& errors) const {
  const auto origin = static_cast<std::size_t>(origin_of_row_[row]);
  const std::int64_t series = batch_.window_b[row].series;
  const double deviation = interval_deviation(order_config_, history_.scale(series, origin).squared);
  const std::size_t level = extras_.date_level_of[static_cast<std::size_t>(series)];
  std::vector<double> safety(safety_factors().begin(), safety_factors().end());
  for (double& units : safety) units *= deviation;
  const std::vector<OrderSums> sums = simulate_orders(order_config_, mean_of(row), targets_of(row), safety);
  for (std::size_t f = 0; f < sums.size(); ++f)
    errors.orders.back().add(order_cells_(level, origin, f),
                             std::array{sums[f].demand, sums[f].lost, sums[f].held, sums[f].steps});
}

void Judge::judge_window(const Forecaster& forecaster, std::size_t row, BatchErrors& errors) {
  const std::int64_t series = batch_.window_b[row].series, origin = origin_of_row_[row];
  const std::size_t levels = values_.levels.size();
  std::vector<double> quantiles(levels);
  Judged judged;
  const SeasonalScale scale = history_.scale(series, static_cast<std::size_t>(origin));
  judged.scale = scale.absolute;
  judged.squared_scale = scale.squared;
  judged.quantiles = quantiles;
  for (std::size_t step = 0; step < horizon_; ++step) {
    if (std::isnan(target(row, step))) continue;
    judged.target = target(row, step);
    judged.median = values_.median_bh[row * model_horizon_ + step];
    judged.mean = values_.mean_bh[row * model_horizon_ + step];
    double sum =
        judged.median + judged.mean;  // one look at all of them: a sum with a non-finite term is not finite
    for (std::size_t q = 0; q < levels; ++q) {
      quantiles[q] = values_.quantiles_bqh[(row * levels + q) * model_horizon_ + step];
      sum += quantiles[q];
    }
    if (!values_.classes_bch.empty()) sum += values_.classes_bch[row * kDemandLevels * model_horizon_ + step];
    check_finite(forecaster, row, step, sum);
    add_extras(row, step, judged,
               errors.tables.back().add(series, origin, static_cast<std::int64_t>(step), judged), errors);
  }
}

void Judge::add_extras(std::size_t row, std::size_t step, const Judged& judged, std::span<const double> sums,
                       BatchErrors& errors) const {
  const double of_median = judged.median - judged.target, absolute = std::abs(of_median),
               error = judged.mean - judged.target;
  const double quantile_loss = judged.quantiles.empty()
                                   ? point_quantile_loss(absolute, of_median, first_levels_)
                                   : errors.tables.back().layout().quantile_loss(sums);
  const std::array<double, DateCells::kWidth> cell{1.0, absolute, error * error, quantile_loss};
  const std::size_t level = extras_.date_level_of[static_cast<std::size_t>(batch_.window_b[row].series)];
  errors.dates.back().add(cells_(level, static_cast<std::size_t>(origin_of_row_[row]), step), cell);
  for (const std::vector<std::size_t>& regime : regime_of_)
    errors.regimes.back().add(regime[row * horizon_ + step], sums);
  if (!thresholds_.empty()) classify(row, step, judged, errors);
  if (extras_.window_errors) errors.window_errors.back()[row * horizon_ + step] = error;
}

// The likeliest class, or the median's where the forecaster tells none.
std::size_t Judge::class_forecast(std::size_t row, std::size_t step, double median,
                                  const LevelThresholds& thresholds) const {
  if (values_.classes_bch.empty()) return thresholds.level_of(median);
  std::size_t best = 0;
  const auto likely = [&](std::size_t c) {
    return values_.classes_bch[(row * kDemandLevels + c) * model_horizon_ + step];
  };
  for (std::size_t c = 1; c < kDemandLevels; ++c)
    if (likely(c) > likely(best)) best = c;
  return best;
}

// One more in the confusion matrix of its category.
void Judge::classify(std::size_t row, std::size_t step, const Judged& judged, BatchErrors& errors) const {
  const std::int64_t series = batch_.window_b[row].series;
  const LevelThresholds& thresholds = thresholds_[static_cast<std::size_t>(series - shape_.first_series)];
  if (!thresholds.known()) return;
  std::array<double, kDemandLevels * kDemandLevels> one{};
  one[thresholds.level_of(judged.target) * kDemandLevels +
      class_forecast(row, step, judged.median, thresholds)] = 1.0;
  errors.classes.back().add(extras_.date_level_of[static_cast<std::size_t>(series)], one);
}

void Judge::check_finite(const Forecaster& forecaster, std::size_t row, std::size_t step,
                         double value) const {
  if (std::isfinite(value)) return;
  const data::Window& window = batch_.window_b[row];
  throw data_error(fmt::format("{} forecast a value that is not a number for series {} on {}",
                               forecaster.name(), series_names_[static_cast<std::size_t>(window.series)],
                               format_date(axis_.date_of(window.origin + static_cast<std::int64_t>(step)))),
                   "its errors cannot be judged", "look at the training log for losses that are not finite");
}

}  // namespace shelfcast::eval
