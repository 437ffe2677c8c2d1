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

void require_each_once(const char* field, const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name)
    if (std::find(names.begin(), name, *name) != name)
      throw input_error(fmt::format("backtest.{} names '{}' twice", field, *name), "each is judged once",
                        "name it once");
}

void require_known_baselines(const std::vector<std::string>& baselines) {
  require_each_once("baselines", baselines);
  const std::vector<std::string> known = baseline_names();
  for (const std::string& name : baselines) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string nearest = nearest_name(name, known);
    throw input_error(fmt::format("backtest.baselines names '{}', which is no baseline", name),
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
  require_each_once("hierarchy", hierarchy);
  require_at_least("threads", threads, 0);
  require_at_least("orders.review", orders.review, 0);
  require_at_least("orders.lead", orders.lead, 0);
  if (!(orders.service > 0.0 && orders.service < 1.0))
    throw input_error(fmt::format("backtest.orders.service is {}", orders.service), "it is a probability",
                      "set it above 0 and below 1");
  require_at_least("history", history, 0);
  require_at_least("refit_every", refit_every, 0);
  require_at_least("season", season, 1);
  require_at_least("window", window, 1);
  require_at_least("learned_rows", learned_rows, 1);
  require_at_least("learned_rounds", learned_rounds, 1);
  require_at_least("bootstrap", bootstrap, 0);
  require_at_least("fans", fans, 0);
}

}  // namespace shelfcast::eval
