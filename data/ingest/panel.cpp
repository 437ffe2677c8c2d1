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
  if (panel.info.demand_end == 0) {
    throw input_error(fmt::format("none of the first {} series has observed demand", series), "",
                      "raise the series limit");
  }
  return panel;
}

}  // namespace shelfcast::data
