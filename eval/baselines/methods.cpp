#include "eval/baselines/methods.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/baselines/ets.h"
#include "eval/baselines/intermittent.h"
#include "eval/baselines/simple.h"
#include "eval/baselines/theta.h"

namespace shelfcast::eval {
namespace {

using Steps = std::span<double>;

// A method whose steps are all alike.
template <double (*kForecast)(std::span<const double>)>
MadeBy flat(const History& history, const MethodOptions& /*options*/, Steps steps) {
  std::ranges::fill(steps, kForecast(history.filled));
  return MadeBy::method;
}

template <MadeBy (*kForecast)(std::span<const double>, Steps)>
MadeBy plain(const History& history, const MethodOptions& /*options*/, Steps steps) {
  return kForecast(history.filled, steps);
}

template <MadeBy (*kForecast)(std::span<const double>, std::int64_t, Steps)>
MadeBy seasonal(const History& history, const MethodOptions& options, Steps steps) {
  return kForecast(history.filled, options.season, steps);
}

}  // namespace

const std::vector<NamedMethod>& statistical_methods() {
  static const std::vector<NamedMethod> methods{
      {"naive", "Naive", "repeats the last observed value",
       [](const History& history, const MethodOptions&, Steps steps) {
         naive(history, steps);
         return MadeBy::method;
       }},
      {"seasonal_naive", "Seasonal Naive", "repeats the last season", seasonal<seasonal_naive>},
      {"drift", "Drift", "draws the line through the first and the last value on", plain<drift>},
      {"moving_average", "Moving average ({})",
       "repeats the mean of the values observed among the last steps",
       [](const History& history, const MethodOptions& options, Steps steps) {
         return moving_average(history, options.window, steps);
       }},
      {"ses", "SES", "simple exponential smoothing, alpha fitted", flat<ses>},
      {"holt", "Holt", "smooths level and growth: ETS(A,A,N), maximum likelihood", plain<holt>},
      {"holt_winters", "Holt-Winters", "smooths level, growth and season: ETS(A,A,A), maximum likelihood",
       seasonal<holt_winters>},
      {"holt_winters_multiplicative", "Holt-Winters (multiplicative)",
       "ETS(M,A,M) where the history is positive, ETS(A,A,A) elsewhere",
       seasonal<multiplicative_holt_winters>},
      {"ets", "ETS", "the exponential smoothing model with the least AICc", seasonal<ets>},
      {"theta", "Theta",
       "the Theta method's variant with the least squared error, season taken out where significant",
       seasonal<theta>},
      {"croston", "Croston", "smoothed demand sizes over smoothed intervals between demands", flat<croston>},
      {"sba", "SBA", "Croston's forecast times 0.95", flat<sba>},
      {"tsb", "TSB", "smoothed demand sizes times the smoothed probability of demand", flat<tsb>},
      {"adida", "ADIDA", "smooths sums over the mean interval between demands", flat<adida>},
      {"imapa", "IMAPA", "the mean of such forecasts over all intervals up to that", flat<imapa>},
  };
  return methods;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const NamedMethod& method : statistical_methods()) names.push_back(method.name);
  return names;
}

std::string label_of(const NamedMethod& method, std::int64_t window) {
  return fmt::format(fmt::runtime(method.label), window);
}

MadeBy forecast_history(const NamedMethod& method, const History& history, const MethodOptions& options,
                        std::span<double> steps) {
  if (!history.filled.empty()) return method.forecast(history, options, steps);
  std::ranges::fill(steps, 0.0);
  return MadeBy::method;
}

}  // namespace shelfcast::eval
