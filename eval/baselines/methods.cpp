#include "eval/baselines/methods.h"

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
void flat(const History& history, const MethodOptions& /*options*/, Steps steps) {
  std::ranges::fill(steps, kForecast(history.filled));
}

template <void (*kForecast)(std::span<const double>, Steps)>
void plain(const History& history, const MethodOptions& /*options*/, Steps steps) {
  kForecast(history.filled, steps);
}

template <void (*kForecast)(std::span<const double>, std::int64_t, Steps)>
void seasonal(const History& history, const MethodOptions& options, Steps steps) {
  kForecast(history.filled, options.season, steps);
}

}  // namespace

const std::vector<NamedMethod>& statistical_methods() {
  static const std::vector<NamedMethod> methods{
      {"naive", "Naive",
       [](const History& history, const MethodOptions&, Steps steps) { naive(history, steps); }},
      {"seasonal_naive", "Seasonal Naive", seasonal<seasonal_naive>},
      {"drift", "Drift", plain<drift>},
      {"moving_average", "Moving average ({})",
       [](const History& history, const MethodOptions& options, Steps steps) {
         moving_average(history, options.window, steps);
       }},
      {"ses", "SES", flat<ses>},
      {"holt", "Holt", plain<holt>},
      {"holt_winters", "Holt-Winters", seasonal<holt_winters>},
      {"holt_winters_multiplicative", "Holt-Winters (multiplicative)", seasonal<multiplicative_holt_winters>},
      {"ets", "ETS", seasonal<ets>},
      {"theta", "Theta", seasonal<theta>},
      {"croston", "Croston", flat<croston>},
      {"sba", "SBA", flat<sba>},
      {"tsb", "TSB", flat<tsb>},
      {"adida", "ADIDA", flat<adida>},
      {"imapa", "IMAPA", flat<imapa>},
  };
  return methods;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const NamedMethod& method : statistical_methods()) names.push_back(method.name);
  return names;
}

void forecast_history(const NamedMethod& method, const History& history, const MethodOptions& options,
                      std::span<double> steps) {
  if (history.filled.empty())
    std::ranges::fill(steps, 0.0);
  else
    method.forecast(history, options, steps);
}

}  // namespace shelfcast::eval
