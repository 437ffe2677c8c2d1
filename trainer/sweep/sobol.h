// Sobol points: a sequence that fills a cube evenly, whatever number of points is taken.
#pragma once

#include <cstdint>

namespace shelfcast::trainer {

inline constexpr int kSobolDimensions = 24;

// Coordinate `dimension` (0-based, below kSobolDimensions) of point `index` in Gray-code order, as a 32-bit
// fraction of 1. Direction numbers of Joe and Kuo, "Constructing Sobol sequences with better two-dimensional
// projections", 2008 (new-joe-kuo-6); order of Antonov and Saleev, 1979.
std::uint32_t sobol(std::uint32_t index, int dimension);

}  // namespace shelfcast::trainer
