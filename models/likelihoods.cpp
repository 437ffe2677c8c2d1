#include "models/likelihoods.h"

#include <ATen/Parallel.h>

#include "base/count_distribution.h"

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

at::Tensor count_quantiles(const at::Tensor& mean_n, const at::Tensor& dispersion_n,
                           const at::Tensor& zeros_n, const std::vector<double>& levels) {
  const auto on_host = [](const at::Tensor& x_n) { return x_n.detach().cpu().to(at::kDouble).contiguous(); };
  const at::Tensor mean = on_host(mean_n), dispersion = on_host(dispersion_n);
  const at::Tensor share = zeros_n.defined() ? on_host(zeros_n.sigmoid()) : at::zeros_like(mean);
  at::Tensor quantiles_nq =
      at::empty({mean.numel(), static_cast<std::int64_t>(levels.size())}, mean.options());
  const double *means = mean.const_data_ptr<double>(), *dispersions = dispersion.const_data_ptr<double>(),
               *shares = share.const_data_ptr<double>();
  auto* const out = quantiles_nq.mutable_data_ptr<double>();
  at::parallel_for(0, mean.numel(), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      // The mean is that of all demand, further zeros included.
      const CountDistribution counts{means[i] / (1.0 - shares[i]), dispersions[i], shares[i]};
      counts.quantiles(levels, {out + i * std::ssize(levels), levels.size()});
    }
  });
  return quantiles_nq.to(mean_n.options());
}

}  // namespace shelfcast::models
