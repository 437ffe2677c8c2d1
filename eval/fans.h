// A few series whose forecasts are kept for plots: large, typical and badly forecast ones, not a flattering
// pick.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/loader.h"
#include "eval/forecaster.h"
#include "eval/result.h"

namespace shelfcast::eval {

struct FanChoice {
  std::int64_t series = 0;
  std::string why;
};

// Up to `count` different series with judged targets, after one forecaster's errors: in turn the largest
// sellers, typical ones (near the median of WAPE), the worst (largest WAPE in the better-selling half), and
// ones drawn by key.
std::vector<FanChoice> choose_fans(const std::vector<SeriesErrors>& errors, std::int64_t count);

// Forecasts the chosen series once more from `origin`, in one batch of its own. The history shown is at most
// four horizons long. Plots only: another batch shape may round the last digit differently than the judged
// forecasts.
std::vector<Fan> forecast_fans(const data::CorpusSource& corpus, const data::FeatureSpec& spec,
                               const std::vector<FanChoice>& choices, std::int64_t origin,
                               std::int64_t horizon, const std::vector<Forecaster*>& forecasters,
                               const std::vector<std::string>& series_names);

}  // namespace shelfcast::eval
