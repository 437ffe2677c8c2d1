#include "models/likelihoods.h"

#include <cmath>

namespace shelfcast::models {

at::Tensor positive_mean(const at::Tensor& mean) {
  // The branch not taken must not divide by zero: its gradient would be NaN.
  const at::Tensor bent = kBentMean / (2.0 - mean.clamp_max(kBentMean) / kBentMean);
  return at::where(mean >= kBentMean, mean, bent);
}

at::Tensor tweedie_loss(const at::Tensor& y, const at::Tensor& mean, double power) {
  const double a = 1.0 - power, b = 2.0 - power;
  return y.pow(b) / (a * b) - y * mean.pow(a) / a + mean.pow(b) / b;
}

at::Tensor negative_binomial_loss(const at::Tensor& y, const at::Tensor& mean, const at::Tensor& dispersion) {
  const at::Tensor size = dispersion.reciprocal(), excess = (dispersion * mean).log1p();
  // log(size / (size + mean)) = -excess, log(mean / (size + mean)) = log(dispersion * mean) - excess.
  return at::lgamma(size) + at::lgamma(y + 1.0) - at::lgamma(y + size) + size * excess -
         y * ((dispersion * mean).log() - excess);
}

at::Tensor zero_inflated_loss(const at::Tensor& y, const at::Tensor& mean, const at::Tensor& dispersion,
                              const at::Tensor& zeros) {
  const at::Tensor log_share = at::log_sigmoid(-zeros);  // of what is not a further zero
  const at::Tensor loss = negative_binomial_loss(y, mean * (-log_share).exp(), dispersion) - log_share;
  // A zero may be of either kind.
  return at::where(y == 0.0, -at::logaddexp(at::log_sigmoid(zeros), -loss), loss);
}

}  // namespace shelfcast::models
