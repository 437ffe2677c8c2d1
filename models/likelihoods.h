// Losses of means and counts that go by a distribution of demand.
#pragma once

#include <torch/types.h>

#include <vector>

namespace shelfcast::models {

// `mean` where it is at least k = kBentMean (base/count_distribution.h); below, k^2 / (2k - mean), of the
// same value and slope at k: positive everywhere, with a gradient everywhere.
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

// Quantiles of the same counts at ascending `levels`, [n, q], of n cells in host double precision; no
// gradient. `zeros_n`: logits, undefined without further zeros.
at::Tensor count_quantiles(const at::Tensor& mean_n, const at::Tensor& dispersion_n,
                           const at::Tensor& zeros_n, const std::vector<double>& levels);

}  // namespace shelfcast::models
