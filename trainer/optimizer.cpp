#include "trainer/optimizer.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "models/threads.h"
#include "trainer/adafactor.h"
#include "trainer/optimizer_kernels.h"

namespace shelfcast::trainer {

namespace {

constexpr std::int64_t kPiece = 16384;  // elements: five streams of these stay in a core's cache

std::vector<OptimizerState> flat_states(const parallel::FlatBuffers& buffers,
                                        const std::vector<std::string>& names) {
  std::vector<OptimizerState> states;
  for (const std::string& name : names) states.push_back({name, at::zeros_like(buffers.gradients())});
  return states;
}

class AdamW : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, parallel::FlatBuffers& buffers)
      : Optimizer(config, buffers, flat_states(buffers, {"first_moment", "second_moment"})),
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
    adamw_update(factors, elements, values_ + offset, gradients_ + offset, first_ + offset, second_ + offset);
  }

  float* first_;
  float* second_;
};

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerConfig& config, parallel::FlatBuffers& buffers)
      : Optimizer(config, buffers,
                  config.momentum > 0 ? flat_states(buffers, {"velocity"}) : std::vector<OptimizerState>{}),
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
    sgd_update(factors, elements, values_ + offset, gradients_ + offset,
               velocity_ == nullptr ? nullptr : velocity_ + offset);
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

class Adafactor : public Optimizer {
 public:
  Adafactor(const OptimizerConfig& config, parallel::FlatBuffers& buffers)
      : Optimizer(config, buffers, {factored_moments(buffers)}, Pieces::whole_parameters),
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
      adafactor_update_matrix(factors, range.shape[0], range.shape[1], values_ + offset, gradients_ + offset,
                              moments);
    } else {
      adafactor_update_vector(factors, elements, values_ + offset, gradients_ + offset, moments);
    }
  }

  float* moments_;
  std::map<std::string, std::int64_t> offsets_;
};

}  // namespace

Optimizer::Optimizer(OptimizerConfig config, parallel::FlatBuffers& buffers,
                     std::vector<OptimizerState> state, Pieces pieces)
    : config_(std::move(config)),
      values_(buffers.values().mutable_data_ptr<float>()),
      gradients_(buffers.gradients().mutable_data_ptr<float>()),
      buffers_(buffers),
      state_(std::move(state)) {
  config_.validate();
  SHELFCAST_ASSERT(buffers.values().device().is_cpu());
  const auto& ranges = buffers.ranges();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const std::int64_t all = ranges[i].elements, most = pieces == Pieces::whole_parameters ? all : kPiece;
    for (std::int64_t done = 0; done < all; done += most)
      pieces_.push_back({i, ranges[i].offset + done, std::min(most, all - done)});
  }
}

void Optimizer::step(double lr, double gradient_scale) {
  ++steps_;
  models::parallel_for(
      static_cast<std::int64_t>(pieces_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const Piece& piece = pieces_[static_cast<std::size_t>(i)];
          update(buffers_.ranges()[piece.range], piece.offset, piece.elements, lr, gradient_scale);
        }
      });
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, parallel::FlatBuffers& buffers) {
  if (config.name == "adafactor") return std::make_unique<Adafactor>(config, buffers);
  if (config.name == "sgd") return std::make_unique<Sgd>(config, buffers);
  return std::make_unique<AdamW>(config, buffers);
}

}  // namespace shelfcast::trainer
