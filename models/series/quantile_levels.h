// Quantiles at other levels than those at hand, and of weighted samples: linear between points of the
// distribution function, constant beyond its first and last point.
#pragma once

#include <torch/types.h>

#include <vector>

namespace shelfcast::models {

// `values` [..., n] at `levels` (n of them, any order) -> [..., m] at `wanted`. Throws Error(input) for
// levels outside 0 .. 1 or a number of levels that is not that of the values.
at::Tensor interpolate_quantiles(const std::vector<double>& wanted, const std::vector<double>& levels,
                                 const at::Tensor& values);

// Quantiles [..., m] at `wanted` of samples [..., n], each with its probability mass (any positive unit): the
// sorted samples' masses are summed, and a sample is the quantile at the sum up to and including itself.
// Throws Error(input).
at::Tensor weighted_quantiles(const std::vector<double>& wanted, const at::Tensor& weights_n,
                              const at::Tensor& samples);

// The probability mass each of ascending `levels` stands for: half of the distance between its neighbours, 0
// and 1 being those of the outer ones; they sum to 1. Float32 [n], rounded as published: interpolation
// between close levels shows it.
at::Tensor level_masses(const std::vector<double>& levels);

// Rows among `levels` of each of `wanted`; empty when any is not there (they differ by less than 1e-6 when
// equal).
std::vector<std::int64_t> rows_of_levels(const std::vector<double>& wanted,
                                         const std::vector<double>& levels);

}  // namespace shelfcast::models
