#include <fmt/format.h>

#include "models/series/plain_tower.h"

namespace shelfcast::models {

namespace {

// x [b, n, d] -> [b, n, taps * d]: what a causal convolution reads at each token, the last ones up to its
// own, oldest first, zeros before the first.
at::Tensor causal_columns(const at::Tensor& x_bnd) {
  const at::Tensor padded = at::constant_pad_nd(x_bnd, {0, 0, kTcnTaps - 1, 0}, 0);
  std::vector<at::Tensor> taps;
  for (std::int64_t tap = 0; tap < kTcnTaps; ++tap) taps.push_back(padded.narrow(1, tap, x_bnd.size(1)));
  return at::cat(taps, 2);
}

// [b, n, .] -> every second token, the last one among them.
at::Tensor every_second(const at::Tensor& x_bnd) {
  return x_bnd.slice(1, (x_bnd.size(1) - 1) % 2, x_bnd.size(1), 2);
}

struct TcnBlock {
  Linear first, second;  // [d, taps * d]
};

class Tcn : public SequenceNetwork {
 public:
  Tcn(const TowerConfig& config, TowerMaker& make) {
    const std::int64_t d = config.d_model, inputs = kTcnTaps * d;
    const auto convolution = [&](std::int64_t block, int number) {
      return make.linear(fmt::format("tcn.{}.conv{}", block, number), d, inputs,
                         TowerMaker::inverse_root(inputs));
    };
    for (std::int64_t i = 0; i < config.num_layers; ++i)
      blocks_.push_back({convolution(i, 1), convolution(i, 2)});
  }

  at::Tensor last_state(const at::Tensor& tokens, const at::Tensor& attended_bn,
                        const Dropout& dropout) const override {
    const std::int64_t windows = attended_bn.size(0), width = tokens.size(1);
    const auto split = [&](const at::Tensor& rows) { return rows.view({windows, -1, width}); };
    // Block i looks 2^i tokens back. All that the last token sees there lies a multiple of 2^i before it, so
    // that tokens in between are not computed and dilations become neighbours.
    at::Tensor x_bnd = split(tokens);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      at::Tensor y = relu_dropout_(blocks_[i].first(causal_columns(x_bnd).flatten(0, 1)),
                                   dropout.site(fmt::format("tcn.{}.first", i)));
      y = relu_dropout_(blocks_[i].second(every_second(causal_columns(split(y))).flatten(0, 1)),
                        dropout.site(fmt::format("tcn.{}.second", i)));
      x_bnd = at::relu(every_second(x_bnd) + split(y));
    }
    return x_bnd.select(1, -1);
  }

 private:
  std::vector<TcnBlock> blocks_;
};

}  // namespace

std::unique_ptr<SequenceNetwork> make_tcn(const TowerConfig& config, TowerMaker& make) {
  return std::make_unique<Tcn>(config, make);
}

}  // namespace shelfcast::models
