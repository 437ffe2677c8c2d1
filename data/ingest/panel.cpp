#include "data/ingest/panel.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace shelfcast::data {

// Numbers of demand and covariates held at a time.
constexpr std::int64_t kNumbersPerBlock = 8 << 20;

std::int64_t series_per_block(const CorpusInfo& info) {
  const auto columns = static_cast<std::int64_t>(info.covariates.size()) + 1;
  return std::clamp<std::int64_t>(kNumbersPerBlock / std::max<std::int64_t>(1, info.steps * columns), 1,
                                  4096);
}

namespace {

std::int64_t observed_end(const Panel& panel) {
  std::int64_t end = 0;
  PanelRows rows;
  const std::int64_t block = series_per_block(panel.info), steps = panel.info.steps;
  for (std::int64_t first = 0; first < panel.info.series; first += block) {
    const std::int64_t count = std::min(block, panel.info.series - first);
    panel.fill(first, count, rows);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = rows.demand.data() + i * steps;
      std::int64_t step = steps;
      while (step > end && std::isnan(row[step - 1])) --step;
      end = std::max(end, step);
    }
  }
  return end;
}

}  // namespace

void clear_rows(const CorpusInfo& info, std::int64_t series, PanelRows& rows) {
  const auto size = static_cast<std::size_t>(series * info.steps);
  const float missing = std::numeric_limits<float>::quiet_NaN();
  rows.demand.assign(size, missing);
  std::size_t used = 0;
  rows.covariates.resize(info.covariates.size());
  for (const CovariateInfo& covariate : info.covariates) {
    if (covariate.per != "series") continue;
    rows.covariates[used++].assign(size, covariate.kind == Kind::numeric ? missing : -1.0F);
  }
  rows.covariates.resize(used);
}

Panel limit_series(Panel panel, std::int64_t series) {
  if (series >= panel.info.series) return panel;
  if (series < 1)
    throw input_error(fmt::format("a series limit of {} leaves nothing", series), "", "give 1 or more");
  const auto size = static_cast<std::size_t>(series);
  panel.info.series = series;
  panel.table.names.resize(size);
  for (auto& codes : panel.table.codes) codes.resize(std::min(codes.size(), size));
  for (auto& values : panel.table.values) values.resize(std::min(values.size(), size));
  panel.info.demand_end = observed_end(panel);
  if (panel.info.demand_end == 0 && !panel.continues) {
    throw input_error(fmt::format("none of the first {} series has observed demand", series), "",
                      "raise the series limit");
  }
  return panel;
}

namespace {

// The first `kept` of every row's `steps` columns.
void cut_rows(std::vector<float>& values, std::int64_t steps, std::int64_t kept) {
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / steps;
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy_n(values.begin() + row * steps, kept, values.begin() + row * kept);
  values.resize(static_cast<std::size_t>(rows * kept));
}

}  // namespace

Panel limit_time(Panel panel, Date until) {
  const std::int64_t steps = panel.info.steps;
  const std::int64_t kept = panel.info.axis.step_at_or_before(until) + 1;
  if (kept >= steps) return panel;
  if (kept < 1)
    throw input_error(fmt::format("nothing is left until {}", format_date(until)),
                      fmt::format("the table begins on {}", format_date(panel.info.axis.start)),
                      "choose a later day");
  panel.info.steps = kept;
  for (auto& values : panel.shared) cut_rows(values, steps, kept);
  panel.fill = [fill = std::move(panel.fill), steps, kept](std::int64_t first, std::int64_t series,
                                                           PanelRows& rows) {
    fill(first, series, rows);
    cut_rows(rows.demand, steps, kept);
    for (auto& values : rows.covariates) cut_rows(values, steps, kept);
  };
  panel.info.demand_end = observed_end(panel);
  if (panel.info.demand_end == 0)
    throw input_error(fmt::format("no demand is observed until {}", format_date(until)), "",
                      "choose a later day");
  return panel;
}

}  // namespace shelfcast::data
