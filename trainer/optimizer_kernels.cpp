#include "trainer/optimizer_kernels.h"

#include <cmath>

namespace shelfcast::trainer {

void adamw_update(const AdamWFactors& factors, std::int64_t count, float* values, float* gradients,
                  float* first_moment, float* second_moment) {
  const AdamWFactors f = factors;
  const float new1 = 1.0F - f.beta1, new2 = 1.0F - f.beta2;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradients[i] * f.gradient;
    const float m = f.beta1 * first_moment[i] + new1 * g;
    const float v = f.beta2 * second_moment[i] + new2 * g * g;
    values[i] = values[i] * f.keep - f.step * m / (std::sqrt(v) * f.root + f.eps);
    first_moment[i] = m;
    second_moment[i] = v;
    gradients[i] = 0.0F;
  }
}

void sgd_update(const SgdFactors& factors, std::int64_t count, float* values, float* gradients,
                float* velocity) {
  const SgdFactors f = factors;
  if (velocity == nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      values[i] = values[i] * f.keep - f.step * (gradients[i] * f.gradient);
      gradients[i] = 0.0F;
    }
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = f.momentum * velocity[i] + gradients[i] * f.gradient;
    values[i] = values[i] * f.keep - f.step * v;
    velocity[i] = v;
    gradients[i] = 0.0F;
  }
}

}  // namespace shelfcast::trainer
