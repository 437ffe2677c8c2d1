// The inner loops of the optimizers, free of torch so that they can be compiled for speed.
#pragma once

#include <cstdint>

namespace shelfcast::trainer {

// What one AdamW update multiplies by; the same for all elements of a range.
struct AdamWFactors {
  float gradient = 1.0F;  // gradients are multiplied by this first
  float beta1 = 0.9F, beta2 = 0.999F;
  float keep = 1.0F;   // 1 - lr * weight decay
  float step = 1e-3F;  // lr / (1 - beta1^t)
  float root = 1.0F;   // 1 / sqrt(1 - beta2^t)
  float eps = 1e-8F;
};

// Updates values and moments of `count` elements in place and clears their gradients.
void adamw_update(const AdamWFactors& factors, std::int64_t count, float* values, float* gradients,
                  float* first_moment, float* second_moment);

struct SgdFactors {
  float gradient = 1.0F;  // gradients are multiplied by this first
  float momentum = 0.0F;
  float keep = 1.0F;  // 1 - lr * weight decay
  float step = 1e-3F;
};

// velocity = momentum * velocity + gradient; value = keep * value - step * velocity. `velocity` may be null
// where momentum is 0. Clears the gradients.
void sgd_update(const SgdFactors& factors, std::int64_t count, float* values, float* gradients,
                float* velocity);

}  // namespace shelfcast::trainer
