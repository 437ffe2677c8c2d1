// Which keys of a recipe a command other than `train` may set.
#pragma once

#include <string>
#include <vector>

namespace shelfcast::trainer {

// Throws Error(input) for the first override "block.key=value" that sets none of `settable` (whole blocks, or
// keys): nothing would come of it. `what` is what cannot take it: "the backtest of a run". Overrides without
// a value are left to read_recipe().
void require_settable(const std::vector<std::string>& overrides, const std::vector<std::string>& settable,
                      const std::string& what);

}  // namespace shelfcast::trainer
