#include "trainer/device_optimizers.h"

#include <ATen/ops/_fused_adamw.h>

#include <map>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

// Elements that lie together and are updated alike.
struct Stretch {
  parallel::Slice elements;
  double lr_scale;
  bool decay;
};

std::vector<Stretch> stretches_of(const std::vector<parallel::FlatRange>& ranges,
                                  const parallel::Slice& share) {
  std::vector<Stretch> stretches;
  for (const parallel::FlatRange& range : ranges) {
    const std::int64_t begin = std::max(range.offset, share.begin),
                       end = std::min(range.offset + range.elements, share.end);
    if (begin >= end) continue;
    if (!stretches.empty() && stretches.back().lr_scale == range.lr_scale &&
        stretches.back().decay == range.decay)
      stretches.back().elements.end = end;  // the padding between them is zero and stays so
    else
      stretches.push_back({{begin, end}, range.lr_scale, range.decay});
  }
  return stretches;
}

class DeviceOptimizer : public Optimizer {
 public:
  DeviceOptimizer(const OptimizerConfig& config, const OptimizerScope& scope,
                  std::vector<OptimizerState> state)
      : Optimizer(config, scope, std::move(state)),
        stretches_(stretches_of(scope.buffers.ranges(), share_)) {}

 protected:
  void update_all(double lr, double gradient_scale) override {
    const at::NoGradGuard no_grad;
    at::Tensor gradients = buffers_.gradients();
    gradients.narrow(0, share_.begin - buffers_.held().begin, share_.size()).mul_(gradient_scale);
    update(lr);
    gradients.zero_();
  }
  // From gradients that are scaled already.
  virtual void update(double lr) = 0;

  static at::Tensor part(const at::Tensor& flat, const Stretch& stretch, std::int64_t flat_begin = 0) {
    return flat.narrow(0, stretch.elements.begin - flat_begin, stretch.elements.size());
  }

  std::vector<Stretch> stretches_;
};

class DeviceAdamW : public DeviceOptimizer {
 public:
  DeviceAdamW(const OptimizerConfig& config, const OptimizerScope& scope)
      : DeviceOptimizer(config, scope, scope.flat_states({"first_moment", "second_moment"})) {}

 private:
  void update(double lr) override {
    struct Alike {
      std::vector<at::Tensor> values, gradients, first, second, steps;
    };
    const at::Tensor step = at::full({}, static_cast<double>(steps()), buffers_.values().options());
    std::map<std::pair<double, bool>, Alike> groups;
    for (const Stretch& stretch : stretches_) {
      Alike& alike = groups[{stretch.lr_scale, stretch.decay}];
      alike.values.push_back(part(buffers_.values(), stretch));
      alike.gradients.push_back(part(buffers_.gradients(), stretch, buffers_.held().begin));
      alike.first.push_back(part(state()[0].values, stretch, share_.begin));
      alike.second.push_back(part(state()[1].values, stretch, share_.begin));
      alike.steps.push_back(step);
    }
    for (auto& [factors, alike] : groups)
      at::_fused_adamw_(alike.values, alike.gradients, alike.first, alike.second, {}, alike.steps,
                        lr * factors.first, config_.beta1, config_.beta2,
                        factors.second ? config_.weight_decay : 0.0, config_.eps, /*amsgrad=*/false,
                        /*maximize=*/false);
  }
};

class DeviceSgd : public DeviceOptimizer {
 public:
  DeviceSgd(const OptimizerConfig& config, const OptimizerScope& scope)
      : DeviceOptimizer(
            config, scope,
            config.momentum > 0 ? scope.flat_states({"velocity"}) : std::vector<OptimizerState>{}) {}

 private:
  void update(double lr) override {
    for (const Stretch& stretch : stretches_) {
      const double rate = lr * stretch.lr_scale;
      at::Tensor values = part(buffers_.values(), stretch),
                 change = part(buffers_.gradients(), stretch, buffers_.held().begin);
      if (!state().empty()) {
        at::Tensor velocity = part(state()[0].values, stretch, share_.begin);
        change = velocity.mul_(config_.momentum).add_(change);
      }
      if (stretch.decay) values.mul_(1.0 - rate * config_.weight_decay);
      values.add_(change, -rate);
    }
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_device_optimizer(const OptimizerConfig& config,
                                                 parallel::FlatBuffers& buffers,
                                                 const std::optional<parallel::Slice>& share) {
  const OptimizerScope scope{buffers, share};
  if (config.name == "adafactor")
    throw input_error("train.optimizer.name=adafactor does not run on GPUs", "it is written for the CPU",
                      "use adamw or sgd, or parallel.device=cpu");
  if (config.name == "sgd") return std::make_unique<DeviceSgd>(config, scope);
  return std::make_unique<DeviceAdamW>(config, scope);
}

}  // namespace shelfcast::trainer
