// Least squares whose solution has no number below 0.
#pragma once

#include <span>
#include <vector>

namespace shelfcast::eval {

// The x >= 0 that makes |A x - y|^2 least, from A'A [n, n] (row-major, symmetric) and A'y [n]: the active set
// method of Lawson and Hanson (1974). Columns that (nearly) depend on those in use stay at 0.
std::vector<double> non_negative_least_squares(std::span<const double> gram, std::span<const double> product);

}  // namespace shelfcast::eval
