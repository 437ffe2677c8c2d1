#include "eval/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "eval/baselines/catalogue.h"

namespace shelfcast::eval {
namespace {

void require_at_least(const char* field, std::int64_t value, std::int64_t least) {
  if (value >= least) return;
  throw input_error(fmt::format("backtest.{} is {}", field, value),
                    fmt::format("it must be at least {}", least),
                    fmt::format("set backtest.{} to {} or more", field, least));
}

void require_known_baselines(const std::vector<std::string>& baselines) {
  const std::vector<std::string> known = baseline_names();
  for (auto name = baselines.begin(); name != baselines.end(); ++name) {
    if (std::find(baselines.begin(), name, *name) != name)
      throw input_error(fmt::format("backtest.baselines names '{}' twice", *name), "each is judged once",
                        "name it once");
    if (std::ranges::find(known, *name) != known.end()) continue;
    const std::string nearest = nearest_name(*name, known);
    throw input_error(fmt::format("backtest.baselines names '{}', which is no baseline", *name),
                      fmt::format("there are {}", fmt::join(known, ", ")),
                      nearest.empty() ? "name one of those" : fmt::format("did you mean '{}'?", nearest));
  }
}

}  // namespace

void BacktestConfig::validate() const {
  require_at_least("origins", origins, 1);
  require_at_least("stride", stride, 1);
  require_at_least("horizon", horizon, 1);
  require_at_least("batch", batch, 1);
  require_known_baselines(baselines);
  require_at_least("threads", threads, 0);
  require_at_least("season", season, 1);
  require_at_least("window", window, 1);
  require_at_least("learned_rows", learned_rows, 1);
  require_at_least("learned_rounds", learned_rounds, 1);
  require_at_least("bootstrap", bootstrap, 0);
  require_at_least("fans", fans, 0);
}

}  // namespace shelfcast::eval
