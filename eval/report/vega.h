// The plotting library that reports carry with them: Vega.
#pragma once

#include <string_view>

namespace shelfcast::eval {

// Vega's modules as one script that defines `vega` with `parse` and `View`; put together by
// cmake/vega_bundle.cmake when the program is built. Needs no network.
std::string_view vega_script();

}  // namespace shelfcast::eval
