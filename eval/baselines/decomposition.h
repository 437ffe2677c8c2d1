// Classical seasonal decomposition by centred moving averages.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shelfcast::eval {

enum class Season { none, additive, multiplicative };

// How much each of the `season` steps of a season lies above (additive; they add up to 0) or by how many
// times (multiplicative; their mean is 1) the trend, a centred moving average over one season. Element 0
// belongs to the first step of `history`. Needs a history of at least two seasons; with
// Season::multiplicative a positive one.
std::vector<double> seasonal_indices(std::span<const double> history, std::int64_t season, Season kind);

// Whether the autocorrelation at lag `season` differs from 0 at the one-sided level of 5 %, given those at
// shorter lags (Bartlett's formula). False for a constant history, one shorter than two seasons and seasons
// shorter than 4.
bool is_seasonal(std::span<const double> history, std::int64_t season);

bool is_constant(std::span<const double> history);
bool is_positive(std::span<const double> history);

}  // namespace shelfcast::eval
