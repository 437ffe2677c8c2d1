#include "trainer/ensemble_forecaster.h"

#include <algorithm>

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

bool EnsembleForecaster::all(bool (Forecaster::*says)() const) const {
  return std::ranges::all_of(members_, [says](const auto& member) { return (*member.*says)(); });
}

void EnsembleForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  using Values = eval::ForecastValues;
  std::vector<std::vector<float> Values::*> parts = {&Values::quantiles_bqh, &Values::mean_bh,
                                                     &Values::median_bh};
  if (says_sums()) parts.push_back(&Values::cumulated_bqh);
  if (says_classes()) parts.push_back(&Values::classes_bch);
  if (says_inventory()) parts.push_back(&Values::inventory_bh);
  std::vector<std::vector<double>> sums(parts.size());
  Values one;
  for (const auto& member : members_) {
    member->forecast(batch, one);
    SHELFCAST_ASSERT(member == members_.front() || one.levels == values.levels);
    values.levels = one.levels;
    for (std::size_t i = 0; i < parts.size(); ++i) add(sums[i], one.*parts[i]);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) divide(sums[i], members_.size(), values.*parts[i]);
}

}  // namespace shelfcast::trainer
