// What a backtest asks for: forecasts of a batch of windows, from the model or from a baseline. Free of
// torch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"

namespace shelfcast::eval {

// In units of demand, row-major: b windows, q quantiles (levels ascending, never crossing), h horizon steps.
struct ForecastValues {
  std::vector<double> levels;  // may be empty: a point forecast only
  std::vector<float> quantiles_bqh;
  std::vector<float> mean_bh;    // the mean head, or a baseline's point forecast
  std::vector<float> median_bh;  // what MAE, WAPE and MASE judge; a baseline's point forecast again
  // Quantiles of demand added up over the first h steps, at `levels`; empty where nothing is said of sums.
  std::vector<float> cumulated_bqh{};
  // How likely demand is low, normal and high (demand_level.h); empty where the median says which it is.
  std::vector<float> classes_bch{};
  // Stock on hand at each step's end; empty where nothing is said of it.
  std::vector<float> inventory_bh{};
  // 1 where a simpler method stood in for a baseline (baselines/made_by.h); empty where none ever does.
  std::vector<std::uint8_t> simpler_b{};
};

class Forecaster {
 public:
  virtual ~Forecaster() = default;
  virtual const std::string& name() const = 0;
  // Whether forecasts have quantiles of sums (ForecastValues::cumulated_bqh).
  virtual bool says_sums() const { return false; }
  // Whether forecasts say how likely each class of demand is (ForecastValues::classes_bch).
  virtual bool says_classes() const { return false; }
  // Whether forecasts have stock on hand (ForecastValues::inventory_bh).
  virtual bool says_inventory() const { return false; }
  // Called before windows from step `origin` on are forecast: at the first origin, and at every
  // backtest.refit_every-th after it. Who learns from data learns anew, from what came before that step and
  // nothing else. Collective: every rank calls it.
  virtual void refit(std::int64_t /*origin*/) {}
  // Fills `values` for all windows of `batch`, padding rows included. Depends on nothing but the batch and
  // the last refit, bit for bit.
  virtual void forecast(const data::Batch& batch, ForecastValues& values) = 0;
};

}  // namespace shelfcast::eval
