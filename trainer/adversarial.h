// Adversarial training: windows are learned from once more, with tokens changed so that they are harder.
#pragma once

#include <functional>

#include "models/demand_model.h"
#include "models/token_change.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

// Forward of a micro-batch with a change of its tokens (nullptr = none); the same draws at every call.
using ChangedLoss = std::function<models::LossSums(models::TokenChange*)>;

// Called before a backward, with how many of the same micro-batch follow it. Empty: its gradients stay here.
using BeforeBackward = std::function<void(int more)>;

// Forward and backward of a micro-batch: its loss, and as the method asks `weight` times its loss with
// changed tokens. The change of a window is its own: none is read off a batch. Gradients add up where they
// are; `before_backward`, if any, is called before each backward. Returns the loss without a change.
models::LossSums adversarial_backward(const AdversarialConfig& config, const ChangedLoss& loss_of,
                                      const BeforeBackward& before_backward);

}  // namespace shelfcast::trainer
