#include "eval/config.h"

#include <fmt/format.h>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

void require_at_least(const char* field, std::int64_t value, std::int64_t least) {
  if (value >= least) return;
  throw input_error(fmt::format("backtest.{} is {}", field, value),
                    fmt::format("it must be at least {}", least),
                    fmt::format("set backtest.{} to {} or more", field, least));
}

}  // namespace

void BacktestConfig::validate() const {
  require_at_least("origins", origins, 1);
  require_at_least("stride", stride, 1);
  require_at_least("horizon", horizon, 1);
  require_at_least("batch", batch, 1);
  require_at_least("season", season, 1);
  require_at_least("window", window, 1);
  require_at_least("bootstrap", bootstrap, 0);
  require_at_least("fans", fans, 0);
}

}  // namespace shelfcast::eval
