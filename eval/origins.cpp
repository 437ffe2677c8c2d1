#include "eval/origins.h"

#include <fmt/format.h>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

std::string date_of(const data::CorpusInfo& info, std::int64_t step) {
  return format_date(info.axis.date_of(step));
}

[[noreturn]] void throw_too_short(const BacktestConfig& config, const data::CorpusInfo& info) {
  throw input_error(
      fmt::format("the backtest's {} origins do not fit into the history", config.origins),
      fmt::format(
          "demand covers {} steps from {}; {} origins {} steps apart with a horizon of {} need more than {}",
          info.demand_end, date_of(info, 0), config.origins, config.stride, config.horizon,
          config.horizon + (config.origins - 1) * config.stride),
      "lower backtest.origins, backtest.stride or backtest.horizon");
}

}  // namespace

std::vector<std::int64_t> rolling_origins(const BacktestConfig& config, const data::CorpusInfo& info,
                                          std::int64_t validate_end) {
  const std::int64_t last = info.demand_end - config.horizon;
  const std::int64_t first = last - (config.origins - 1) * config.stride;
  if (first < 1) throw_too_short(config, info);  // a forecast needs at least one step of history
  if (first < validate_end) {
    throw input_error(
        fmt::format("the backtest's origin {} reaches into training or validation", date_of(info, first)),
        fmt::format("its horizon starts before {}, the first date the model has not seen",
                    date_of(info, validate_end)),
        fmt::format("lower backtest.origins (now {}) or backtest.stride (now {}), or train with an earlier "
                    "data.validate_until",
                    config.origins, config.stride));
  }
  std::vector<std::int64_t> origins;
  for (std::int64_t origin = first; origin <= last; origin += config.stride) origins.push_back(origin);
  return origins;
}

std::vector<std::vector<std::int64_t>> stages_of(const std::vector<std::int64_t>& origins,
                                                 std::int64_t refit_every) {
  std::vector<std::vector<std::int64_t>> stages;
  const auto each = refit_every > 0 ? static_cast<std::size_t>(refit_every) : origins.size();
  for (std::size_t o = 0; o < origins.size(); ++o) {
    if (o % each == 0) stages.emplace_back();
    stages.back().push_back(origins[o]);
  }
  return stages;
}

std::vector<data::Window> evaluation_windows(std::int64_t series, const std::vector<std::int64_t>& origins) {
  std::vector<data::Window> windows;
  windows.reserve(static_cast<std::size_t>(series) * origins.size());
  for (std::int64_t s = 0; s < series; ++s)
    for (const std::int64_t origin : origins) windows.push_back({s, origin});
  return windows;
}

}  // namespace shelfcast::eval
