// Whether a step may change the weights: decided from numbers that are the same on every rank.
#pragma once

#include <string>

#include "trainer/recipe/config.h"
#include "trainer/run/checkpoint.h"  // TrainState

namespace shelfcast::trainer {

enum class StepVerdict { good, loss_not_finite, gradient_not_finite, spike };

// "the loss is not finite", ...
std::string describe(StepVerdict verdict);

// Loss and norm are reduced over all ranks, so every rank judges alike without another word. Spikes are
// judged once 20 good steps have made an average; it takes a tenth of each new norm (units: loss per weight).
StepVerdict judge_step(const GuardConfig& config, const TrainState& state, double loss, double gradient_norm);

// Remembers a step in the state that checkpoints store, so that a resumed run judges as if it had never
// stopped.
void note_step(TrainState& state, StepVerdict verdict, double gradient_norm);

}  // namespace shelfcast::trainer
