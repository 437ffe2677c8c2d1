#include <fmt/format.h>

#include "models/series/plain_tower.h"

namespace shelfcast::models {

namespace {

// x [b, n, d] -> [b*n, taps * d]: what a causal convolution reads at each token, the tokens `dilation` apart
// up to its own, oldest first, zeros before the first.
at::Tensor causal_columns(const at::Tensor& x_bnd, std::int64_t dilation) {
  const std::int64_t tokens = x_bnd.size(1);
  const at::Tensor padded = at::constant_pad_nd(x_bnd, {0, 0, (kTcnTaps - 1) * dilation, 0}, 0);
  std::vector<at::Tensor> taps;
  for (std::int64_t tap = 0; tap < kTcnTaps; ++tap) taps.push_back(padded.narrow(1, tap * dilation, tokens));
  return at::cat(taps, 2).flatten(0, 1);
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
    const auto split = [&](const at::Tensor& x) { return x.view({windows, -1, width}); };
    at::Tensor x = tokens;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::int64_t dilation = std::int64_t{1} << i;
      at::Tensor y = relu_dropout_(blocks_[i].first(causal_columns(split(x), dilation)),
                                   dropout.site(fmt::format("tcn.{}.first", i)));
      y = relu_dropout_(blocks_[i].second(causal_columns(split(y), dilation)),
                        dropout.site(fmt::format("tcn.{}.second", i)));
      x = at::relu(x + y);
    }
    return split(x).select(1, -1);
  }

 private:
  std::vector<TcnBlock> blocks_;
};

}  // namespace

std::unique_ptr<SequenceNetwork> make_tcn(const TowerConfig& config, TowerMaker& make) {
  return std::make_unique<Tcn>(config, make);
}

}  // namespace shelfcast::models
