// Losses of means and counts that go by a distribution of demand.
#pragma once

#include <torch/types.h>

namespace shelfcast::models {

// Where a mean in units of its window's scale is below this it bends towards 0 instead of crossing it.
inline constexpr double kBentMean = 0.1;

// `mean` where it is at least k = kBentMean; below, k^2 / (2k - mean), of the same value and slope at k:
// positive everywhere, with a gradient everywhere.
at::Tensor positive_mean(const at::Tensor& mean);

// Half the unit deviance of a Tweedie distribution of this power in (1, 2) (Jorgensen, "The theory of
// dispersion models", 1997, section 4.1): 0 for a forecast without error. `y` >= 0, `mean` > 0, of one shape.
at::Tensor tweedie_loss(const at::Tensor& y, const at::Tensor& mean, double power);

// Negative log likelihood, in nats, of demand `y` >= 0 under a negative binomial with this mean > 0 and
// variance mean + dispersion * mean^2 (Salinas et al., "DeepAR", 2020, section 3.2). Demand need not be
// whole.
at::Tensor negative_binomial_loss(const at::Tensor& y, const at::Tensor& mean, const at::Tensor& dispersion);

// The same for one with a share of further zeros; `mean` is that of all demand, zeros included (Lambert,
// "Zero-inflated Poisson regression", 1992). `zeros` is a logit.
at::Tensor zero_inflated_loss(const at::Tensor& y, const at::Tensor& mean, const at::Tensor& dispersion,
                              const at::Tensor& zeros);

}  // namespace shelfcast::models
