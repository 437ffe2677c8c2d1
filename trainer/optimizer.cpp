#include "trainer/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "models/threads.h"
#include "trainer/adafactor.h"
#include "trainer/device_optimizers.h"
#include "trainer/optimizer_kernels.h"

namespace shelfcast::trainer {

namespace {

constexpr std::int64_t kPiece = 16384;  // elements: five streams of these stay in a core's cache

// In plain loops over the host's memory, piece by piece on the threads of an operation.
class HostOptimizer : public Optimizer {
 protected:
  // What is updated at a time.
  enum class Pieces { of_a_cache, whole_parameters };
  HostOptimizer(const OptimizerConfig& config, const OptimizerScope& scope, std::vector<OptimizerState> state,
                Pieces pieces = Pieces::of_a_cache);

  // Updates elements [offset, offset + elements), all of one range. Called from several threads on different
  // pieces.
  virtual void update(const parallel::FlatRange& range, std::int64_t offset, std::int64_t elements, double lr,
                      double gradient_scale) = 0;

  // Of element `offset` of the buffers and those behind it.
  float* gradients_of(std::int64_t offset) const { return gradients_ + (offset - buffers_.held().begin); }

  float* values_;

 private:
  // What one thread updates at a time; never across ranges.
  struct Piece {
    std::size_t range;
    std::int64_t offset, elements;
  };

  void update_all(double lr, double gradient_scale) override;

  float* gradients_;  // held ones
  std::vector<Piece> pieces_;
};

class AdamW : public HostOptimizer {
 public:
  AdamW(const OptimizerConfig& config, const OptimizerScope& scope)
      : HostOptimizer(config, scope, scope.flat_states({"first_moment", "second_moment"})),
        first_(state()[0].values.mutable_data_ptr<float>()),
        second_(state()[1].values.mutable_data_ptr<float>()) {}

 private:
  void update(const parallel::FlatRange& range, std::int64_t offset, std::int64_t elements, double lr,
              double gradient_scale) override {
    const auto t = static_cast<double>(steps());
    const double rate = lr * range.lr_scale;
    AdamWFactors factors;
    factors.gradient = static_cast<float>(gradient_scale);
    factors.beta1 = static_cast<float>(config_.beta1);
    factors.beta2 = static_cast<float>(config_.beta2);
    factors.root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(config_.beta2, t)));
    factors.eps = static_cast<float>(config_.eps);
    factors.keep = static_cast<float>(1.0 - (range.decay ? rate * config_.weight_decay : 0.0));
    factors.step = static_cast<float>(rate / (1.0 - std::pow(config_.beta1, t)));
    const std::int64_t own = offset - share_.begin;
    adamw_update(factors, elements, values_ + offset, gradients_of(offset), first_ + own, second_ + own);
  }

  float* first_;
  float* second_;
};

class Sgd : public HostOptimizer {
 public:
  Sgd(const OptimizerConfig& config, const OptimizerScope& scope)
      : HostOptimizer(config, scope,
                      config.momentum > 0 ? scope.flat_states({"velocity"}) : std::vector<OptimizerState>{}),
        velocity_(state().empty() ? nullptr : state()[0].values.mutable_data_ptr<float>()) {}

 private:
  void update(const parallel::FlatRange& range, std::int64_t offset, std::int64_t elements, double lr,
              double gradient_scale) override {
    const double rate = lr * range.lr_scale;
    SgdFactors factors;
    factors.gradient = static_cast<float>(gradient_scale);
    factors.momentum = static_cast<float>(config_.momentum);
    factors.keep = static_cast<float>(1.0 - (range.decay ? rate * config_.weight_decay : 0.0));
    factors.step = static_cast<float>(rate);
    sgd_update(factors, elements, values_ + offset, gradients_of(offset),
               velocity_ == nullptr ? nullptr : velocity_ + (offset - share_.begin));
  }

  float* velocity_;
};

// Second moments of matrices as means over their rows and columns.
OptimizerState factored_moments(const parallel::FlatBuffers& buffers) {
  OptimizerState state{"second_moment", {}};
  std::int64_t offset = 0;
  for (const parallel::FlatRange& range : buffers.ranges()) {
    const std::int64_t elements = range.shape.size() == 2 ? range.shape[0] + range.shape[1] : range.elements;
    state.ranges.push_back({range.name, {elements}, offset, elements});
    offset += elements;
  }
  state.values = at::zeros({offset}, buffers.gradients().options());
  return state;
}

class Adafactor : public HostOptimizer {
 public:
  Adafactor(const OptimizerConfig& config, const OptimizerScope& scope)
      : HostOptimizer(config, scope, {factored_moments(scope.buffers)}, Pieces::whole_parameters),
        moments_(state()[0].values.mutable_data_ptr<float>()) {
    for (const parallel::FlatRange& range : state()[0].ranges) offsets_[range.name] = range.offset;
  }

 private:
  void update(const parallel::FlatRange& range, std::int64_t offset, std::int64_t elements, double lr,
              double gradient_scale) override {
    AdafactorFactors factors;
    factors.gradient = static_cast<float>(gradient_scale);
    factors.decay = static_cast<float>(1.0 - std::pow(static_cast<double>(steps()), -config_.moment_decay));
    factors.clip = config_.clip_threshold;
    factors.rate = lr * range.lr_scale;
    factors.in_units_of_size = config_.scale_parameter;
    factors.weight_decay = range.decay ? config_.weight_decay : 0.0;
    float* moments = moments_ + offsets_.at(range.name);
    if (range.shape.size() == 2) {
      adafactor_update_matrix(factors, range.shape[0], range.shape[1], values_ + offset, gradients_of(offset),
                              moments);
    } else {
      adafactor_update_vector(factors, elements, values_ + offset, gradients_of(offset), moments);
    }
  }

  float* moments_;
  std::map<std::string, std::int64_t> offsets_;
};

HostOptimizer::HostOptimizer(const OptimizerConfig& config, const OptimizerScope& scope,
                             std::vector<OptimizerState> state, Pieces pieces)
    : Optimizer(config, scope, std::move(state)),
      values_(scope.buffers.values().mutable_data_ptr<float>()),
      gradients_(scope.buffers.gradients().mutable_data_ptr<float>()) {
  const auto& ranges = buffers_.ranges();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const std::int64_t begin = std::max(ranges[i].offset, share_.begin),
                       end = std::min(ranges[i].offset + ranges[i].elements, share_.end);
    const std::int64_t most = pieces == Pieces::whole_parameters ? ranges[i].elements : kPiece;
    for (std::int64_t at = begin; at < end; at += most) pieces_.push_back({i, at, std::min(most, end - at)});
  }
}

void HostOptimizer::update_all(double lr, double gradient_scale) {
  models::parallel_for(
      static_cast<std::int64_t>(pieces_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const Piece& piece = pieces_[static_cast<std::size_t>(i)];
          update(buffers_.ranges()[piece.range], piece.offset, piece.elements, lr, gradient_scale);
        }
      });
  const at::Tensor gradients = buffers_.gradients();
  const parallel::Slice& held = buffers_.held();
  gradients.narrow(0, 0, share_.begin - held.begin).zero_();
  gradients.narrow(0, share_.end - held.begin, held.end - share_.end).zero_();
}

}  // namespace

std::vector<OptimizerState> OptimizerScope::flat_states(const std::vector<std::string>& names) const {
  std::vector<OptimizerState> states;
  for (const std::string& name : names) {
    states.push_back({name, at::zeros({elements().size()}, buffers.gradients().options())});
    if (share) states.back().begin = share->begin;
  }
  return states;
}

Optimizer::Optimizer(OptimizerConfig config, const OptimizerScope& scope, std::vector<OptimizerState> state)
    : config_(std::move(config)),
      buffers_(scope.buffers),
      share_(scope.elements()),
      state_(std::move(state)) {
  config_.validate();
}

void Optimizer::step(double lr, double gradient_scale) {
  ++steps_;
  update_all(lr, gradient_scale);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, parallel::FlatBuffers& buffers,
                                          const std::optional<parallel::Slice>& share) {
  if (!buffers.values().device().is_cpu()) return make_device_optimizer(config, buffers, share);
  const OptimizerScope scope{buffers, share};
  if (config.name == "adafactor") {
    SHELFCAST_ASSERT(!share);
    return std::make_unique<Adafactor>(config, scope);
  }
  if (config.name == "sgd") return std::make_unique<Sgd>(config, scope);
  return std::make_unique<AdamW>(config, scope);
}

}  // namespace shelfcast::trainer
