#include "models/censored.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "models/transfer.h"

namespace shelfcast::models {
namespace {

constexpr double kSmallestDecay = 1e-3;     // of a tail, in the window's scale
constexpr double kSmallestSurvival = 1e-6;  // beyond this the tail says nothing any more

// Quantiles of n distributions, row by row, with their exponential tails.
class Quantiles {
 public:
  Quantiles(const at::Tensor& values_nq, const std::vector<double>& levels)
      : value_nq_(std::get<0>(values_nq.detach().sort(1)).contiguous()),
        level_nq_(sent(levels, value_nq_.options()).expand_as(value_nq_).contiguous()),
        last_(value_nq_.size(1) - 1) {
    const std::size_t q = levels.size();
    upper_n1_ = decay(last_ - 1, std::log((1.0 - levels[q - 2]) / (1.0 - levels[q - 1])));
    lower_n1_ = decay(0, std::log(levels[1] / levels[0]));
  }

  // P(demand > x) of each row, [n, 1] for x [n, 1].
  at::Tensor survival(const at::Tensor& x_n1) const {
    const at::Tensor above = at::searchsorted(value_nq_, x_n1, /*out_int32=*/false, /*right=*/true);
    const at::Tensor inside = 1.0 - interpolate(value_nq_, level_nq_, x_n1, above);
    const at::Tensor beyond =
        (1.0 - column(level_nq_, last_)) * ((column(value_nq_, last_) - x_n1) / upper_n1_).exp();
    const at::Tensor before = 1.0 - column(level_nq_, 0) * ((x_n1 - column(value_nq_, 0)) / lower_n1_).exp();
    return at::where(above > last_, beyond, at::where(above == 0, before, inside));
  }

  // The value that is exceeded with probability s, [n, k] for s [n, k].
  at::Tensor exceeded_with(const at::Tensor& s_nk) const {
    const at::Tensor level_nk = 1.0 - s_nk;
    const at::Tensor above = at::searchsorted(level_nq_, level_nk);
    const at::Tensor inside = interpolate(level_nq_, value_nq_, level_nk, above);
    const at::Tensor beyond =
        column(value_nq_, last_) + upper_n1_ * ((1.0 - column(level_nq_, last_)) / s_nk).log();
    const at::Tensor before = column(value_nq_, 0) + lower_n1_ * (level_nk / column(level_nq_, 0)).log();
    return at::where(above > last_, beyond, at::where(above == 0, before, inside));
  }

 private:
  static at::Tensor column(const at::Tensor& x_nq, std::int64_t index) { return x_nq.narrow(1, index, 1); }

  // Units per e-fold of probability between two neighbouring quantiles, [n, 1].
  at::Tensor decay(std::int64_t index, double folds) const {
    return ((column(value_nq_, index + 1) - column(value_nq_, index)) / folds).clamp_min(kSmallestDecay);
  }

  // Along the line through the neighbours of x; `above` is the index of the upper one.
  at::Tensor interpolate(const at::Tensor& from_nq, const at::Tensor& to_nq, const at::Tensor& x_nk,
                         const at::Tensor& above) const {
    const at::Tensor high = above.clamp(1, last_), low = high - 1;
    const at::Tensor from = from_nq.gather(1, low), to = to_nq.gather(1, low);
    const at::Tensor width = (from_nq.gather(1, high) - from).clamp_min(1e-12);
    return to + (x_nk - from) / width * (to_nq.gather(1, high) - to);
  }

  at::Tensor value_nq_, level_nq_;  // ascending in each row
  at::Tensor upper_n1_, lower_n1_;  // decay of the tails
  std::int64_t last_;
};

}  // namespace

at::Tensor demands_above(const at::Tensor& quantiles_nq, const std::vector<double>& levels,
                         const at::Tensor& bound_n) {
  const at::NoGradGuard no_grad;
  const at::Tensor bound_n1 = bound_n.unsqueeze(1);
  if (levels.size() < 2) return at::maximum(bound_n1, quantiles_nq).expand({bound_n.size(0), kHiddenDemands});
  const Quantiles quantiles(quantiles_nq, levels);
  const at::Tensor survival_n1 = quantiles.survival(bound_n1).clamp(kSmallestSurvival, 1.0);
  const at::Tensor share_k = (kHiddenDemands - 0.5 - at::arange(kHiddenDemands, bound_n.options())) /
                             static_cast<double>(kHiddenDemands);
  return at::maximum(quantiles.exceeded_with(survival_n1 * share_k), bound_n1);
}

}  // namespace shelfcast::models
