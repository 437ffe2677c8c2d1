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

void add(TargetCounts& counts, const TargetCounts& part) {
  counts.judged += part.judged;
  counts.missing += part.missing;
  counts.zeros += part.zeros;
  counts.history.cells += part.history.cells;
  counts.history.missing += part.history.missing;
  counts.history.zeros += part.history.zeros;
}

}  // namespace

void BatchErrors::merge(const BatchErrors& part) {
  SHELFCAST_ASSERT(part.tables.size() == tables.size());
  add(counts, part.counts);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    tables[i].merge(part.tables[i]);
    dates[i].merge(part.dates[i]);
    regimes[i].merge(part.regimes[i]);
    classes[i].merge(part.classes[i]);
    orders[i].merge(part.orders[i]);
  }
  for (std::size_t i = 0; i < views.size(); ++i) views[i].merge(part.views[i]);
  members.merge(part.members);
  SHELFCAST_ASSERT(part.first_series - first_series + std::ssize(part.profiles) <= std::ssize(profiles));
  std::ranges::copy(part.profiles, profiles.begin() + (part.first_series - first_series));
}

void BatchErrors::pack(std::vector<double>& out) const {
  const Coverage& history = counts.history;
  out.insert(out.end(),
             {counts.judged, counts.missing, counts.zeros, history.cells, history.missing, history.zeros,
              static_cast<double>(tables.size()), static_cast<double>(views.size())});
  for (const ErrorTable& view : views) view.pack(out);
  for (std::size_t i = 0; i < tables.size(); ++i) {
    tables[i].pack(out);
    dates[i].pack(out);
    regimes[i].pack(out);
    classes[i].pack(out);
    orders[i].pack(out);
    out.push_back(static_cast<double>(window_errors[i].size()));
    out.insert(out.end(), window_errors[i].begin(), window_errors[i].end());
  }
  members.pack(out);
  out.insert(out.end(), {static_cast<double>(first_series), static_cast<double>(profiles.size())});
  for (const SeriesProfile& p : profiles)
    out.insert(out.end(), {p.steps, p.demands, p.size, p.squares, p.age});
}

BatchErrors BatchErrors::unpack(std::span<const double>& in) {
  constexpr std::size_t kHead = 8;
  SHELFCAST_ASSERT(in.size() >= kHead);
  BatchErrors errors;
  errors.counts = {in[0], in[1], in[2], {in[3], in[4], in[5]}};
  const auto tables = static_cast<std::size_t>(in[6]), views = static_cast<std::size_t>(in[7]);
  in = in.subspan(kHead);
  for (std::size_t i = 0; i < views; ++i) errors.views.push_back(ErrorTable::unpack(in));
  for (std::size_t i = 0; i < tables; ++i) {
    errors.tables.push_back(ErrorTable::unpack(in));
    errors.dates.push_back(KeyedSums::unpack(in));
    errors.regimes.push_back(KeyedSums::unpack(in));
    errors.classes.push_back(KeyedSums::unpack(in));
    errors.orders.push_back(KeyedSums::unpack(in));
    SHELFCAST_ASSERT(!in.empty());
    const auto count = static_cast<std::size_t>(in[0]);
    SHELFCAST_ASSERT(in.size() > count);
    errors.window_errors.emplace_back(in.begin() + 1, in.begin() + 1 + static_cast<std::ptrdiff_t>(count));
    in = in.subspan(1 + count);
  }
  errors.members = KeyedSums::unpack(in);
  constexpr std::size_t kProfile = 5;
  SHELFCAST_ASSERT(in.size() >= 2);
  errors.first_series = static_cast<std::int64_t>(in[0]);
  errors.profiles.resize(static_cast<std::size_t>(in[1]));
  in = in.subspan(2);
  SHELFCAST_ASSERT(in.size() >= kProfile * errors.profiles.size());
  for (SeriesProfile& profile : errors.profiles) {
    profile = {in[0], in[1], in[2], in[3], in[4]};
    in = in.subspan(kProfile);
  }
  return errors;
}

Judge::Judge(const std::filesystem::path& corpus, const data::FeatureSpec& spec, const BacktestConfig& config,
             std::vector<data::Window> windows, std::vector<std::int64_t> origins,
             std::vector<Forecaster*> forecasters, JudgeExtras extras)
    : model_horizon_(static_cast<std::size_t>(spec.horizon)),
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
  forecaster.forecast(batch_, values_);
  const std::size_t steps = static_cast<std::size_t>(batch_.windows) * model_horizon_;
  SHELFCAST_ASSERT(values_.mean_bh.size() == steps && values_.median_bh.size() == steps &&
                   values_.quantiles_bqh.size() == steps * values_.levels.size());
  if (&forecaster == forecasters_.front()) first_levels_ = values_.levels;
  const ErrorLayout layout(values_.levels);
  errors.tables.emplace_back(layout, shape_);
  errors.dates.emplace_back(cells_.cells(), DateCells::kWidth);
  errors.regimes.emplace_back(regime_levels_, layout.width());
  errors.window_errors.emplace_back(extras_.window_errors ? rows_ * horizon_ : 0,
                                    std::numeric_limits<double>::quiet_NaN());
  errors.classes.emplace_back(extras_.classes.empty() ? 0 : extras_.date_levels,
                              kDemandLevels * kDemandLevels);
  errors.orders.emplace_back(order_cells_.cells(), OrderCells::kWidth);
  for (std::size_t row = 0; row < rows_; ++row) {
    judge_window(forecaster, row, errors);
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

void Judge::simulate(std::size_t row, BatchErrors& errors) const {
  const auto origin = static_cast<std::size_t>(origin_of_row_[row]);
  const std::int64_t series = batch_.window_b[row].series;
  const double deviation = interval_deviation(order_config_, history_.scale(series, origin).squared);
  const std::size_t level = extras_.date_level_of[static_cast<std::size_t>(series)];
  for (std::size_t f = 0; f < safety_factors().size(); ++f) {
    const OrderSums sums =
        simulate_orders(order_config_, mean_of(row), targets_of(row), safety_factors()[f] * deviation);
    errors.orders.back().add(order_cells_(level, origin, f),
                             std::array{sums.demand, sums.lost, sums.held, sums.steps});
  }
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
    check_finite(forecaster, row, step, sum);
    add_extras(row, step, judged,
               errors.tables.back().add(series, origin, static_cast<std::int64_t>(step), judged), errors);
  }
}

void Judge::add_extras(std::size_t row, std::size_t step, const Judged& judged, std::span<const double> sums,
                       BatchErrors& errors) const {
  const double absolute = std::abs(judged.median - judged.target), error = judged.mean - judged.target;
  const double quantile_loss = judged.quantiles.empty() ? point_quantile_loss(absolute, error, first_levels_)
                                                        : errors.tables.back().layout().quantile_loss(sums);
  const std::array<double, DateCells::kWidth> cell{1.0, absolute, error * error, quantile_loss};
  const std::size_t level = extras_.date_level_of[static_cast<std::size_t>(batch_.window_b[row].series)];
  errors.dates.back().add(cells_(level, static_cast<std::size_t>(origin_of_row_[row]), step), cell);
  for (const std::vector<std::size_t>& regime : regime_of_)
    errors.regimes.back().add(regime[row * horizon_ + step], sums);
  if (!thresholds_.empty()) classify(row, judged, errors);
  if (extras_.window_errors) errors.window_errors.back()[row * horizon_ + step] = error;
}

// One more in the confusion matrix of its category; the median says what is forecast.
void Judge::classify(std::size_t row, const Judged& judged, BatchErrors& errors) const {
  const std::int64_t series = batch_.window_b[row].series;
  const LevelThresholds& thresholds = thresholds_[static_cast<std::size_t>(series - shape_.first_series)];
  if (!thresholds.known()) return;
  std::array<double, kDemandLevels * kDemandLevels> one{};
  one[thresholds.level_of(judged.target) * kDemandLevels + thresholds.level_of(judged.median)] = 1.0;
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
