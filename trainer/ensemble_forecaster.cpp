#include "trainer/ensemble_forecaster.h"

#include "base/error.h"

namespace shelfcast::trainer {

namespace {

void add(std::vector<double>& sums, const std::vector<float>& values) {
  sums.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) sums[i] += static_cast<double>(values[i]);
}

void divide(const std::vector<double>& sums, std::size_t by, std::vector<float>& means) {
  means.resize(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i)
    means[i] = static_cast<float>(sums[i] / static_cast<double>(by));
}

}  // namespace

EnsembleForecaster::EnsembleForecaster(std::string name,
                                       std::vector<std::unique_ptr<eval::Forecaster>> members)
    : name_(std::move(name)), members_(std::move(members)) {
  SHELFCAST_ASSERT(!members_.empty());
}

void EnsembleForecaster::refit(std::int64_t origin) {
  for (const auto& member : members_) member->refit(origin);
}

void EnsembleForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  std::vector<double> quantiles, means, medians;
  eval::ForecastValues one;
  for (const auto& member : members_) {
    member->forecast(batch, one);
    SHELFCAST_ASSERT(member == members_.front() || one.levels == values.levels);
    values.levels = one.levels;
    add(quantiles, one.quantiles_bqh);
    add(means, one.mean_bh);
    add(medians, one.median_bh);
  }
  divide(quantiles, members_.size(), values.quantiles_bqh);
  divide(means, members_.size(), values.mean_bh);
  divide(medians, members_.size(), values.median_bh);
}

}  // namespace shelfcast::trainer
