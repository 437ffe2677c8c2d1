#include "data/ingest/frequency.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/error.h"

namespace shelfcast::data {
namespace {

using std::chrono::days;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The first whole period that begins on or after `date`.
Date first_period(Date date, Frequency frequency) {
  if (frequency == Frequency::weekly) {
    const std::chrono::weekday weekday{date};
    return date + (std::chrono::Monday - weekday);
  }
  const std::chrono::year_month_day day{date};
  if (day.day() == std::chrono::day{1}) return date;
  return Date{(day.year() / day.month() / 1) + std::chrono::months{1}};
}

// bounds[p] .. bounds[p + 1] are the daily steps of period p.
std::vector<std::int64_t> period_bounds(const CorpusInfo& daily, const TimeAxis& axis) {
  std::vector<std::int64_t> bounds;
  for (std::int64_t period = 0;; ++period) {
    const std::int64_t step = (axis.date_of(period) - daily.axis.start).count();
    if (step > daily.steps) break;
    bounds.push_back(step);
  }
  return bounds;
}

bool present(float value, Kind kind) { return kind == Kind::numeric ? !std::isnan(value) : value >= 0; }

// A day that is not observed may have sold anything: so may its period.
float sum_of_observed(const float* values, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += values[i];
  return static_cast<float>(sum);
}

float combine(const float* values, std::int64_t count, Kind kind, Aggregate aggregate) {
  double sum = 0;
  std::int64_t n = 0;
  float first = 0, last = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!present(values[i], kind)) continue;
    if (n == 0) first = values[i];
    last = values[i];
    sum += values[i];
    ++n;
  }
  if (n == 0) return kind == Kind::numeric ? kNan : -1.0F;
  if (kind == Kind::categorical) return aggregate == Aggregate::last ? last : first;
  switch (aggregate) {
    case Aggregate::sum:
      return static_cast<float>(sum);
    case Aggregate::mean:
      return static_cast<float>(sum / static_cast<double>(n));
    case Aggregate::last:
      return last;
    case Aggregate::first:
      return first;
  }
  return kNan;
}

struct Resampler {
  Panel daily;
  std::vector<std::int64_t> bounds;
  EmptyPeriod empty = EmptyPeriod::missing;
  PanelRows rows;  // daily rows of the block at hand

  std::int64_t periods() const { return static_cast<std::int64_t>(bounds.size()) - 1; }

  std::vector<float> resample(const std::vector<float>& values, Kind kind, Aggregate aggregate) const {
    const std::int64_t steps = daily.info.steps, rows_in = static_cast<std::int64_t>(values.size()) / steps;
    std::vector<float> result(static_cast<std::size_t>(rows_in * periods()));
    for (std::int64_t row = 0; row < rows_in; ++row) {
      for (std::int64_t p = 0; p < periods(); ++p) {
        const auto first = static_cast<std::size_t>(p);
        result[static_cast<std::size_t>(row * periods() + p)] = combine(
            values.data() + row * steps + bounds[first], bounds[first + 1] - bounds[first], kind, aggregate);
      }
    }
    return result;
  }

  float demand_of(const float* daily_demand, std::int64_t count) const {
    if (empty == EmptyPeriod::missing) return sum_of_observed(daily_demand, count);
    const float sum = combine(daily_demand, count, Kind::numeric, Aggregate::sum);
    return std::isnan(sum) ? 0.0F : sum;
  }

  // Whether a table holds any day of a period.
  std::vector<bool> any_day(const std::vector<bool>& daily_cells) const {
    const auto steps = static_cast<std::size_t>(daily.info.steps), rows_in = daily_cells.size() / steps;
    std::vector<bool> result;
    for (std::size_t row = 0; row < rows_in; ++row) {
      const auto day = daily_cells.begin() + static_cast<std::ptrdiff_t>(row * steps);
      for (std::size_t p = 0; p + 1 < bounds.size(); ++p)
        result.push_back(std::find(day + bounds[p], day + bounds[p + 1], true) != day + bounds[p + 1]);
    }
    return result;
  }

  void mark_said(std::int64_t first, std::int64_t series, Said& said) const {
    daily.said(first, series, said);
    said.demand = any_day(said.demand);
    for (auto& covariate : said.covariates) covariate = any_day(covariate);
  }

  void fill(std::int64_t first, std::int64_t series, std::int64_t demand_end, PanelRows& out) {
    daily.fill(first, series, rows);
    out.demand.resize(static_cast<std::size_t>(series * periods()));
    for (std::int64_t row = 0; row < series; ++row)
      for (std::int64_t p = 0; p < periods(); ++p) {
        const std::int64_t begin = bounds[static_cast<std::size_t>(p)],
                           end = bounds[static_cast<std::size_t>(p) + 1];
        out.demand[static_cast<std::size_t>(row * periods() + p)] =
            p < demand_end ? demand_of(rows.demand.data() + row * daily.info.steps + begin, end - begin)
                           : kNan;
      }
    out.covariates.resize(rows.covariates.size());
    std::size_t used = 0;
    for (std::size_t c = 0; c < daily.info.covariates.size(); ++c) {
      if (daily.info.covariates[c].per != "series") continue;
      out.covariates[used] =
          resample(rows.covariates[used], daily.info.covariates[c].kind, daily.aggregates[c]);
      ++used;
    }
  }
};

}  // namespace

Panel to_frequency(Panel panel, Frequency frequency, EmptyPeriod empty) {
  if (panel.info.axis.frequency == frequency) return panel;
  if (panel.info.axis.frequency != Frequency::daily) {
    throw input_error(fmt::format("a table of frequency {} cannot become {}",
                                  to_string(panel.info.axis.frequency), to_string(frequency)),
                      "", "only daily tables can be summed up");
  }
  auto resampler = std::make_shared<Resampler>();
  const TimeAxis axis{first_period(panel.info.axis.start, frequency), frequency};
  resampler->bounds = period_bounds(panel.info, axis);
  resampler->empty = empty;
  std::int64_t demand_end = 0;
  while (demand_end + 1 < static_cast<std::int64_t>(resampler->bounds.size()) &&
         resampler->bounds[static_cast<std::size_t>(demand_end) + 1] <= panel.info.demand_end) {
    ++demand_end;
  }
  if (resampler->periods() == 0 || (demand_end == 0 && !panel.continues)) {
    throw input_error(
        fmt::format("the table holds no whole {}", frequency == Frequency::weekly ? "week" : "month"),
        fmt::format("{} days from {}", panel.continues ? panel.info.steps : panel.info.demand_end,
                    format_date(panel.info.axis.start)));
  }
  resampler->daily = std::move(panel);
  const Panel& daily = resampler->daily;

  Panel result;
  result.info = daily.info;
  result.info.axis = axis;
  result.info.steps = resampler->periods();
  result.info.demand_end = demand_end;
  result.info.aggregation = "sum";
  result.info.notes +=
      fmt::format(" Daily values were summed into {}; {}.",
                  frequency == Frequency::weekly ? "weeks ending on Sunday" : "calendar months",
                  empty == EmptyPeriod::zero ? "a day that is not observed counts as 0"
                                             : "a period with a day that is not observed is not observed");
  result.table = daily.table;
  result.aggregates = daily.aggregates;
  result.documents = daily.documents;
  result.gaps = daily.gaps;
  result.fills = daily.fills;
  result.continues = daily.continues;
  result.summed = true;
  for (std::size_t c = 0; c < daily.shared.size(); ++c) {
    result.shared.push_back(
        resampler->resample(daily.shared[c], daily.info.covariates[c].kind, daily.aggregates[c]));
  }
  result.fill = [resampler, demand_end](std::int64_t first, std::int64_t series, PanelRows& rows) {
    resampler->fill(first, series, demand_end, rows);
  };
  if (daily.said)
    result.said = [resampler](std::int64_t first, std::int64_t series, Said& said) {
      resampler->mark_said(first, series, said);
    };
  return result;
}

}  // namespace shelfcast::data
