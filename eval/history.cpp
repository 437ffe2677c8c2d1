#include "eval/history.h"
#include "data/censored.h"

#include <cmath>
#include <limits>

namespace shelfcast::eval {

std::vector<SeasonalScale> seasonal_scales(std::span<const float> demand, std::int64_t season,
                                           std::span<const std::int64_t> origins) {
  std::vector<SeasonalScale> scales;
  double sum = 0.0, squares = 0.0, pairs = 0.0;
  std::int64_t t = season;
  for (const std::int64_t origin : origins) {
    for (; t < std::min(origin, std::ssize(demand)); ++t) {
      const double change = static_cast<double>(demand[static_cast<std::size_t>(t)]) -
                            static_cast<double>(demand[static_cast<std::size_t>(t - season)]);
      if (std::isnan(change)) continue;
      sum += std::abs(change);
      squares += change * change;
      pairs += 1.0;
    }
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    scales.push_back(pairs > 0 ? SeasonalScale{sum / pairs, squares / pairs} : SeasonalScale{kNone, kNone});
  }
  return scales;
}

HistoryReader::HistoryReader(const data::CorpusSource& corpus, const std::string& censored,
                             std::int64_t season, std::vector<std::int64_t> origins,
                             const std::vector<std::size_t>& covariates)
    : corpus_(corpus), censored_(!censored.empty()), season_(season), origins_(std::move(origins)) {
  if (censored_) columns_.push_back(corpus_.info().covariate_index(censored));
  columns_.insert(columns_.end(), covariates.begin(), covariates.end());
}

void HistoryReader::load(std::int64_t first, std::int64_t count) {
  corpus_.read(first, count, 0, corpus_.info().demand_end, columns_, block_);
  if (censored_) mask_censored();
  scales_.clear();
  for (std::int64_t series = first; series < first + count; ++series) {
    const std::vector<SeasonalScale> scales = seasonal_scales(demand(series), season_, origins_);
    scales_.insert(scales_.end(), scales.begin(), scales.end());
  }
}

std::span<const float> HistoryReader::demand(std::int64_t series) const {
  const auto steps = static_cast<std::size_t>(block_.steps);
  return std::span(block_.demand)
      .subspan(static_cast<std::size_t>(series - block_.first_series) * steps, steps);
}

std::span<const float> HistoryReader::covariate(std::size_t index, std::int64_t series) const {
  return block_.row(index + (censored_ ? 1 : 0), series);
}

void HistoryReader::mask_censored() {
  const auto steps = static_cast<std::size_t>(block_.steps);
  for (std::int64_t i = 0; i < block_.series; ++i) {
    const std::span<const float> cut = block_.row(0, block_.first_series + i);
    for (std::size_t t = 0; t < steps; ++t)
      if (data::is_cut(cut[t]))
        block_.demand[static_cast<std::size_t>(i) * steps + t] = std::numeric_limits<float>::quiet_NaN();
  }
}

SeasonalScale HistoryReader::scale(std::int64_t series, std::size_t origin) const {
  return scales_[static_cast<std::size_t>(series - block_.first_series) * origins_.size() + origin];
}

Coverage HistoryReader::coverage(std::int64_t series) const {
  Coverage coverage;
  for (const float value : demand(series)) {
    coverage.cells += 1.0;
    coverage.missing += std::isnan(value) ? 1.0 : 0.0;
    coverage.zeros += value == 0.0F ? 1.0 : 0.0;
  }
  return coverage;
}

}  // namespace shelfcast::eval
