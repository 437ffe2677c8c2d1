#pragma once

#include <cmath>

namespace shelfcast {

// log |gamma(x)|. std::lgamma writes a global besides and is not safe to call from several threads.
inline double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

}  // namespace shelfcast
