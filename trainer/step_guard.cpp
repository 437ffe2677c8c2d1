#include "trainer/step_guard.h"

#include <cmath>

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kWarmUp = 20;   // good steps before a norm can be called a spike
constexpr double kNewestWeight = 0.1;  // of a norm in the running average

}  // namespace

std::string describe(StepVerdict verdict) {
  switch (verdict) {
    case StepVerdict::good:
      return "good";
    case StepVerdict::loss_not_finite:
      return "the loss is not finite";
    case StepVerdict::gradient_not_finite:
      return "the gradient is not finite";
    case StepVerdict::spike:
      return "the gradient's norm is a spike";
  }
  return "";
}

StepVerdict judge_step(const GuardConfig& config, const TrainState& state, double loss,
                       double gradient_norm) {
  if (!std::isfinite(loss)) return StepVerdict::loss_not_finite;
  if (!std::isfinite(gradient_norm)) return StepVerdict::gradient_not_finite;
  const bool judges_spikes = config.spike > 0 && state.good_steps >= kWarmUp;
  return judges_spikes && gradient_norm > config.spike * state.norm_average ? StepVerdict::spike
                                                                            : StepVerdict::good;
}

void note_step(TrainState& state, StepVerdict verdict, double gradient_norm) {
  if (verdict != StepVerdict::good) {
    ++state.bad_in_a_row;
    return;
  }
  state.bad_in_a_row = 0;
  // The first norms are averaged evenly.
  const double weight = std::max(kNewestWeight, 1.0 / static_cast<double>(state.good_steps + 1));
  state.norm_average += weight * (gradient_norm - state.norm_average);
  ++state.good_steps;
}

}  // namespace shelfcast::trainer
