// The `backtest` block of a recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dates.h"

namespace shelfcast::eval {

// What baselines take for a step that was not observed.
enum class SeasonalGaps {
  last_season,  // the value one season before it, itself perhaps filled: the stronger baselines
  last_value,   // the value before it: what published tables were made with
};

// The base-stock policy that forecasts are fed to.
struct OrderConfig {
  std::int64_t review = 7;  // steps between orders; 0 = no orders are simulated
  std::int64_t lead = 3;    // steps until an order arrives
  double service = 0.95;    // wanted probability of no shortage in a protection interval
};

// Whose series weights are learnt on together.
enum class CombineBy { overall, category };

// Forecasts weighted into one (combination.h).
struct CombineConfig {
  std::vector<std::string> methods;  // "mean", "inverse_error", "stacking"; none = nothing is combined
  std::vector<std::string> of;       // baselines of the backtest and "model"; none = all
  CombineBy by = CombineBy::overall;
};

struct BacktestConfig {
  std::int64_t origins = 3;   // rolling origins; the last one's horizon ends on the last day of demand
  std::int64_t stride = 28;   // steps between origins
  std::int64_t horizon = 28;  // steps judged; at most the model's horizon
  std::int64_t batch =
      256;  // E: windows per evaluation batch; part of what results depend on, so never derived
  std::vector<std::string> baselines = {"seasonal_naive", "moving_average",
                                        "naive"};  // statistical and learned ones
  CombineConfig combine;
  std::int64_t threads = 0;  // that share a rank's baselines; 0: this host's cores over its ranks
  std::int64_t history = 0;  // steps before an origin that baselines see and are fitted on; 0 = all of them
  std::int64_t refit_every = 0;  // origins after which forecasters that learn are fitted anew; 0 = never
  static constexpr std::int64_t kByFrequency = 0;
  std::int64_t season = kByFrequency;  // steps: of seasonal baselines and of the MASE scale (season_of)
  std::int64_t window = 28;            // steps the moving average looks back on
  std::int64_t learned_rows = 300000;  // drawn for learned baselines to be fitted on, at most
  std::int64_t learned_rounds = 300;   // trees of gradient boosting
  SeasonalGaps seasonal_gaps = SeasonalGaps::last_season;
  std::vector<std::string> by = {"category", "store", "horizon"};  // also any static's name, and regimes
  std::vector<std::string> views;      // "week", "month": errors of sums over whole ones, too (views.h)
  std::string promotion, price;        // the corpus' covariates of these names; empty = it has none
  std::vector<std::string> hierarchy;  // levels of WRMSSE (hierarchy.h); none = it is not computed
  // Two shares of a series' past, ascending: demand up to the first one's quantile is "low", above the second
  // one's "high", between them "normal" (demand_level.h). Empty: steps are not classified.
  std::vector<double> classes;
  OrderConfig orders;
  std::int64_t bootstrap = 1000;  // resamples of the paired bootstrap over series
  std::int64_t fans = 8;          // series whose forecasts are kept for plots; 0 = none

  // Throws Error(input) naming the field.
  void validate() const;
};

// config.season or, where that is kByFrequency, 7 days, 52 weeks, 12 months.
std::int64_t season_of(const BacktestConfig& config, Frequency frequency);

}  // namespace shelfcast::eval
