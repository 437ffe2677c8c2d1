#include "trainer/optimizer.h"

#include <cmath>

#include "base/error.h"
#include "models/threads.h"
#include "trainer/adamw_kernel.h"

namespace shelfcast::trainer {

namespace {

constexpr std::int64_t kPiece = 16384;  // elements: five streams of these stay in a core's cache

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, parallel::FlatBuffers& buffers)
    : config_(config),
      buffers_(buffers),
      first_moment_(at::zeros_like(buffers.gradients())),
      second_moment_(at::zeros_like(buffers.gradients())) {
  config.validate();
  SHELFCAST_ASSERT(buffers.values().device().is_cpu());
  const auto& ranges = buffers.ranges();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    for (std::int64_t done = 0; done < ranges[i].elements; done += kPiece) {
      pieces_.push_back({i, ranges[i].offset + done, std::min(kPiece, ranges[i].elements - done)});
    }
  }
}

void AdamW::step(double lr, double gradient_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  AdamWFactors common;
  common.gradient = static_cast<float>(gradient_scale);
  common.beta1 = static_cast<float>(config_.beta1);
  common.beta2 = static_cast<float>(config_.beta2);
  common.root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(config_.beta2, t)));
  common.eps = static_cast<float>(config_.eps);
  const double correction = 1.0 - std::pow(config_.beta1, t);

  float* values = buffers_.values().mutable_data_ptr<float>();
  float* gradients = buffers_.gradients().mutable_data_ptr<float>();
  float* first = first_moment_.mutable_data_ptr<float>();
  float* second = second_moment_.mutable_data_ptr<float>();
  models::parallel_for(
      static_cast<std::int64_t>(pieces_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const Piece& piece = pieces_[static_cast<std::size_t>(i)];
          const parallel::FlatRange& range = buffers_.ranges()[piece.range];
          const double rate = lr * range.lr_scale;
          AdamWFactors factors = common;
          factors.keep = static_cast<float>(1.0 - (range.decay ? rate * config_.weight_decay : 0.0));
          factors.step = static_cast<float>(rate / correction);
          const std::int64_t at = piece.offset;
          adamw_update(factors, piece.elements, values + at, gradients + at, first + at, second + at);
        }
      });
}

}  // namespace shelfcast::trainer
