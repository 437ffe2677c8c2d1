#include <fmt/format.h>

#include <cmath>

#include "models/attention.h"
#include "models/product.h"
#include "models/series/plain_tower.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

constexpr double kLongestWave = 10000.0;  // of the sinusoidal positions, over 2 pi; Vaswani et al., 3.5

// [n, d]: sines in the even places, cosines in the odd ones. The last token stands at 0, so that how long a
// window is does not move what its last steps mean.
at::Tensor positions(std::int64_t tokens, std::int64_t width) {
  const at::Tensor result = at::empty({tokens, width}, at::kFloat);
  auto value = result.accessor<float, 2>();
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t e = 0; e < width; ++e) {
      const double rate =
          std::pow(kLongestWave, -static_cast<double>(e - e % 2) / static_cast<double>(width));
      const double angle = static_cast<double>(tokens - 1 - t) * rate;
      value[t][e] = static_cast<float>(e % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  return result;
}

struct Norm {
  at::Tensor weight, bias;
};

struct TransformerLayer {
  Norm attention_norm, feed_forward_norm;
  Linear qkv, attended, inner, outer;
};

class Transformer : public SequenceNetwork {
 public:
  Transformer(const TowerConfig& config, TowerMaker& make) : config_(config) {
    const std::int64_t d = config.d_model, inner = config.num_heads * config.d_kv;
    const auto norm = [&](const std::string& name) {
      return Norm{make.gain(name + ".weight"), make.constant(name + ".bias", d, 0.0F)};
    };
    for (std::int64_t i = 0; i < config.num_layers; ++i) {
      const std::string name = fmt::format("encoder.layers.{}.", i);
      TransformerLayer layer;
      layer.attention_norm = norm(name + "norm1");
      layer.qkv.weight =
          make.weight(name + "self_attn.in_proj_weight", 3 * inner, d, TowerMaker::inverse_root(d));
      layer.qkv.bias = make.constant(name + "self_attn.in_proj_bias", 3 * inner, 0.0F);
      layer.attended = make.linear(name + "self_attn.out_proj", d, inner, TowerMaker::inverse_root(inner));
      layer.feed_forward_norm = norm(name + "norm2");
      layer.inner = make.linear(name + "linear1", config.d_ff, d, TowerMaker::inverse_root(d));
      layer.outer = make.linear(name + "linear2", d, config.d_ff, TowerMaker::inverse_root(config.d_ff));
      layers_.push_back(std::move(layer));
    }
    norm_ = norm("encoder.norm");
  }

  at::Tensor last_state(const at::Tensor& tokens, const at::Tensor& attended_bn,
                        const Dropout& dropout) const override {
    const std::int64_t windows = attended_bn.size(0), count = attended_bn.size(1), width = tokens.size(1);
    const at::Tensor mask_bl = additive_mask(attended_bn).contiguous();
    const AttentionShape shape{windows, count, config_.num_heads, config_.d_kv};
    const at::Tensor no_bias = at::zeros({config_.num_heads, count, count}, tokens.options());
    const at::Tensor places = sent(positions(count, width), tokens.device());
    at::Tensor x = (tokens.view({windows, count, width}) + places).view_as(tokens);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const TransformerLayer& layer = layers_[i];
      const std::string site = fmt::format("encoder.{}.", i);
      const at::Tensor mixed = self_attention(scale_queries(layer.qkv(normed(x, layer.attention_norm))),
                                              no_bias, mask_bl, shape, dropout.site(site + "probabilities"));
      x = add_dropout(x, layer.attended(mixed), dropout.site(site + "attention"));
      const at::Tensor hidden =
          relu_dropout_(layer.inner(normed(x, layer.feed_forward_norm)), dropout.site(site + "hidden"));
      x = add_dropout(x, layer.outer(hidden), dropout.site(site + "feed_forward"));
    }
    return normed(x.view({windows, count, width}).select(1, -1), norm_);
  }

 private:
  at::Tensor normed(const at::Tensor& x, const Norm& norm) const {
    return at::layer_norm(x, {x.size(1)}, norm.weight, norm.bias, config_.layer_norm_epsilon,
                          /*cudnn_enable=*/false);
  }

  // Our attention takes scores as they come (models/attention.h): queries bring the scale along.
  at::Tensor scale_queries(const at::Tensor& qkv) const {
    const at::Tensor factor = at::ones({qkv.size(1)}, qkv.options());
    factor.narrow(0, 0, qkv.size(1) / 3).fill_(TowerMaker::inverse_root(config_.d_kv));
    return qkv * factor;
  }

  TowerConfig config_;
  std::vector<TransformerLayer> layers_;
  Norm norm_;
};

}  // namespace

std::unique_ptr<SequenceNetwork> make_transformer(const TowerConfig& config, TowerMaker& make) {
  return std::make_unique<Transformer>(config, make);
}

}  // namespace shelfcast::models
