// Several models that forecast as one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "eval/forecaster.h"

namespace shelfcast::trainer {

// The mean of its members' forecasts: of their means, medians, and quantiles level by level (which cannot
// cross where the members' do not; Lichtendahl, Grushka-Cockayne and Winkler, 2013); where all members speak
// of sums, classes or stock on hand, of those, too. All members have the same levels; summed in double, in
// their order.
class EnsembleForecaster : public eval::Forecaster {
 public:
  EnsembleForecaster(std::string name, std::vector<std::unique_ptr<eval::Forecaster>> members);

  const std::string& name() const override { return name_; }
  bool says_sums() const override { return all(&Forecaster::says_sums); }
  bool says_classes() const override { return all(&Forecaster::says_classes); }
  bool says_inventory() const override { return all(&Forecaster::says_inventory); }
  void refit(std::int64_t origin) override;
  void forecast(const data::Batch& batch, eval::ForecastValues& values) override;

 private:
  bool all(bool (Forecaster::*says)() const) const;

  std::string name_;
  std::vector<std::unique_ptr<eval::Forecaster>> members_;
};

}  // namespace shelfcast::trainer
