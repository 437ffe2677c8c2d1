#include "trainer/weight_average.h"

#include <algorithm>

#include "models/threads.h"

namespace shelfcast::trainer {

WeightAverage::WeightAverage(parallel::FlatBuffers& buffers, double decay)
    : buffers_(buffers), decay_(decay) {
  if (decay > 0) average_ = buffers.values().clone();
}

void WeightAverage::update() {
  if (active()) average_.lerp_(buffers_.values(), 1.0 - decay_);
}

void WeightAverage::exchange() {
  if (!active()) return;
  if (!average_.device().is_cpu()) {
    const at::Tensor kept = average_.clone();
    average_.copy_(buffers_.values());
    buffers_.values().copy_(kept);
    return;
  }
  float* a = average_.mutable_data_ptr<float>();
  float* b = buffers_.values().mutable_data_ptr<float>();
  models::parallel_for(average_.numel(), 1 << 16, [&](std::int64_t first, std::int64_t last) {
    std::swap_ranges(a + first, a + last, b + first);
  });
}

}  // namespace shelfcast::trainer
