// A norm's sum, shared among threads without depending on how many there are.
#pragma once

#include <cstdint>

namespace shelfcast::parallel {

// Sum of squares in double. Blocks of fixed size are summed each by itself, then in order: any number of
// OpenMP threads gives the same bits.
double sum_of_squares(const float* values, std::int64_t count);

}  // namespace shelfcast::parallel
