#include "trainer/micro_batch_probe.h"

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "trainer/device.h"

namespace shelfcast::trainer {

std::int64_t extrapolated(std::int64_t count, const std::function<std::int64_t(std::int64_t)>& taken_by) {
  const std::int64_t few = std::min<std::int64_t>(count, 2), more = std::min<std::int64_t>(count, 6);
  const std::int64_t at_few = taken_by(few);
  if (count <= more) return taken_by(count);
  const std::int64_t at_more = taken_by(more);
  return at_more + (at_more - at_few) * (count - more) / (more - few);
}

double seconds_of(std::int64_t count, const at::Device& device,
                  const std::function<void(std::int64_t)>& work) {
  const std::int64_t tried = device.is_cpu() ? std::min<std::int64_t>(count, 8) : count;
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < (device.is_cpu() ? 2 : 4); ++i) {
    wait_for(device);
    const auto started = Clock::now();
    work(tried);
    wait_for(device);
    best = std::min(best, seconds_since(started));
  }
  return best * static_cast<double>(count) / static_cast<double>(tried);
}

void make_gradients(const std::vector<models::Parameter>& parameters) {
  for (const models::Parameter& parameter : parameters) {
    at::Tensor tensor = parameter.tensor;
    if (tensor.requires_grad()) tensor.mutable_grad() = at::zeros_like(tensor);
  }
}

void move_with_gradients(const at::Device& device, const std::vector<models::Parameter>& parameters) {
  for (const models::Parameter& parameter : parameters) at::Tensor(parameter.tensor).mutable_grad().reset();
  models::move_to(device, parameters);
  make_gradients(parameters);
}

}  // namespace shelfcast::trainer
