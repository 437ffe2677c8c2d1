// What data.censored says of a step.
#pragma once

namespace shelfcast::data {

// Whether a stock-out cut a step's sales: in more than half of what a step was made of, where a flag of 0 or
// 1 was averaged over days or rows. A missing flag is none.
constexpr bool is_cut(float flag) { return flag > 0.5F; }

}  // namespace shelfcast::data
