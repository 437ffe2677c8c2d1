#include "models/series/chronos_bolt.h"

#include <fmt/format.h>

#include "models/product.h"
#include "models/recompute.h"
#include "models/series/tower_maker.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

// The layers' names and first values.
class Maker : public TowerMaker {
 public:
  Maker(const TowerConfig& config, const std::string& prefix, ParameterMaker& make)
      : TowerMaker(config, prefix, make), c_(config) {}

  // In two parts: those that make the probabilities, and the rest.
  void attention_probabilities(const std::string& name, BoltAttention& a) {
    const std::int64_t inner = c_.num_heads * c_.d_kv;
    a.q = weight(name + ".q.weight", inner, c_.d_model, inverse_root(c_.d_model * c_.d_kv));
    a.k = weight(name + ".k.weight", inner, c_.d_model, inverse_root(c_.d_model));
  }
  void attention_values(const std::string& layer, const std::string& name, BoltAttention& a) {
    const std::int64_t inner = c_.num_heads * c_.d_kv;
    a.norm = gain(layer + ".layer_norm.weight");
    a.v = weight(name + ".v.weight", inner, c_.d_model, inverse_root(c_.d_model));
    a.o = weight(name + ".o.weight", c_.d_model, inner, inverse_root(inner));
  }
  void attention(const std::string& layer, const std::string& name, BoltAttention& a) {
    attention_probabilities(name, a);
    attention_values(layer, name, a);
  }
  void feed_forward(const std::string& layer, BoltFeedForward& ff) {
    ff.norm = gain(layer + ".layer_norm.weight");
    const std::string name = layer + ".DenseReluDense.";
    if (c_.gated) ff.gate = weight(name + "wi_0.weight", c_.d_ff, c_.d_model, inverse_root(c_.d_model));
    ff.wi =
        weight(name + (c_.gated ? "wi_1" : "wi") + ".weight", c_.d_ff, c_.d_model, inverse_root(c_.d_model));
    ff.wo = weight(name + "wo.weight", c_.d_model, c_.d_ff, inverse_root(c_.d_ff));
  }
  at::Tensor bias_table(const std::string& stack) {
    return table(stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                 c_.relative_attention_num_buckets, c_.num_heads, inverse_root(c_.d_model));
  }

 private:
  const TowerConfig& c_;
};

}  // namespace

ChronosBolt::ChronosBolt(const TowerConfig& config, const std::string& prefix, ParameterMaker& make)
    : config_(config), activation_(activation_of(config.activation)) {
  Maker m(config, prefix, make);
  encoder_.resize(static_cast<std::size_t>(config.num_layers));
  decoder_.resize(static_cast<std::size_t>(config.num_decoder_layers));
  const auto layer = [](const char* stack, std::size_t block, int index) {
    return fmt::format("{}.block.{}.layer.{}", stack, block, index);
  };
  // First those that never get a gradient (docs/model.md, step 8): parameters come in forward order and
  // gradients are sent backwards, so that what stands first holds nothing up.
  decoder_bias_ = m.bias_table("decoder");
  for (std::size_t i = 0; i < decoder_.size(); ++i) {
    m.attention_probabilities(layer("decoder", i, 0) + ".SelfAttention", decoder_[i].self);
  }
  input_ = m.input_block();
  shared_ = m.table("shared.weight", config.use_reg_token ? 2 : 1, config.d_model, 1.0);
  encoder_bias_ = m.bias_table("encoder");
  for (std::size_t i = 0; i < encoder_.size(); ++i) {
    m.attention(layer("encoder", i, 0), layer("encoder", i, 0) + ".SelfAttention", encoder_[i].attention);
    m.feed_forward(layer("encoder", i, 1), encoder_[i].feed_forward);
  }
  encoder_norm_ = m.gain("encoder.final_layer_norm.weight");
  for (std::size_t i = 0; i < decoder_.size(); ++i) {
    m.attention_values(layer("decoder", i, 0), layer("decoder", i, 0) + ".SelfAttention", decoder_[i].self);
    m.attention(layer("decoder", i, 1), layer("decoder", i, 1) + ".EncDecAttention", decoder_[i].cross);
    m.feed_forward(layer("decoder", i, 2), decoder_[i].feed_forward);
  }
  decoder_norm_ = m.gain("decoder.final_layer_norm.weight");
  output_ = m.output_block();
}

at::Tensor ChronosBolt::states(const TowerInputs& inputs, const Dropout& dropout) const {
  const DemandPatches read =
      demand_patches(inputs.demand, config_.input_patch_size, config_.input_patch_stride);
  at::Tensor attended = read.attended_bn;
  if (config_.use_reg_token) {
    attended = at::cat({attended, at::ones({attended.size(0), 1}, attended.options())}, 1);
  }
  const at::Tensor mask_bl = additive_mask(attended).contiguous();
  const at::Tensor memory_bld = encode(read.patches, inputs, mask_bl, dropout);
  if (inputs.context_states != nullptr)
    *inputs.context_states = memory_bld.narrow(1, 0, read.attended_bn.size(1)).flatten(0, 1);
  return decode(memory_bld, mask_bl, dropout);
}

at::Tensor ChronosBolt::encode(const at::Tensor& patches, const TowerInputs& inputs,
                               const at::Tensor& mask_bl, const Dropout& dropout) const {
  const std::int64_t windows = mask_bl.size(0), tokens = mask_bl.size(1), d = config_.d_model;
  at::Tensor x_bld =
      input_(patches, dropout.site("input_patch_embedding"), inputs.more_hidden, inputs.more_residual)
          .view({windows, -1, d});
  if (config_.use_reg_token) x_bld = at::cat({x_bld, shared_[1].expand({windows, 1, d})}, 1);
  if (inputs.shift_bd.defined()) x_bld = x_bld + inputs.shift_bd.unsqueeze(1);
  at::Tensor x = models::dropout(changed_tokens(x_bld.view({windows * tokens, d}), windows, inputs.change),
                                 dropout.site("encoder.input"));

  const at::Tensor buckets = sent(encoder_buckets(tokens, config_.relative_attention_num_buckets,
                                                  config_.relative_attention_max_distance),
                                  x.device());
  const at::Tensor bias = relative_bias(encoder_bias_, buckets, tokens);
  const AttentionShape shape{windows, tokens, config_.num_heads, config_.d_kv};
  for (std::size_t i = 0; i < encoder_.size(); ++i) {
    const std::string site = fmt::format("encoder.{}.", i);
    x = recomputed(
        x, bias, [this, i, site, mask_bl, shape, dropout](const at::Tensor& in, const at::Tensor& bias_nll) {
          return feed_forward(
              encoder_attention(in, bias_nll, mask_bl, encoder_[i].attention, shape, site, dropout),
              encoder_[i].feed_forward, site, dropout);
        });
  }
  x = rms_norm(x, encoder_norm_, config_.layer_norm_epsilon);
  return models::dropout(x, dropout.site("encoder.output")).view({windows, tokens, d});
}

at::Tensor ChronosBolt::encoder_attention(const at::Tensor& x, const at::Tensor& bias_nll,
                                          const at::Tensor& mask_bl, const BoltAttention& a,
                                          const AttentionShape& shape, const std::string& site,
                                          const Dropout& dropout) const {
  const at::Tensor qkv = stacked_product(rms_norm(x, a.norm, config_.layer_norm_epsilon), {a.q, a.k, a.v},
                                         ProductResult::as_rounded);
  at::Tensor mixed = self_attention(qkv, bias_nll, mask_bl, shape, dropout.site(site + "probabilities"));
  mixed = add_prefix(mixed, qkv.narrow(1, 0, mixed.size(1)), a.q, config_.num_heads);
  return add_dropout(x, product(mixed, a.o), dropout.site(site + "attention"));
}

at::Tensor ChronosBolt::feed_forward(const at::Tensor& x, const BoltFeedForward& layer,
                                     const std::string& site, const Dropout& dropout) const {
  const at::Tensor normed = rms_norm(x, layer.norm, config_.layer_norm_epsilon);
  const SiteDropout hidden_site = dropout.site(site + "hidden");
  at::Tensor hidden =
      product(normed, layer.wi, {}, layer.gate.defined() ? ProductResult::float32 : taken_by(activation_));
  if (layer.gate.defined()) {
    hidden = models::dropout(activate(product(normed, layer.gate), activation_) * hidden, hidden_site);
  } else {
    hidden = activate_dropout_(std::move(hidden), activation_, hidden_site);
  }
  return add_dropout(x, product(hidden, layer.wo), dropout.site(site + "feed_forward"));
}

// Over one token every probability is 1, so that q, k and the bias have no effect; dropout can still take it.
at::Tensor ChronosBolt::decoder_self_attention(const at::Tensor& y, const BoltAttention& layer,
                                               const std::string& site, const Dropout& dropout) const {
  const at::Tensor normed = rms_norm(y, layer.norm, config_.layer_norm_epsilon);
  at::Tensor value = product(normed, layer.v);
  const SiteDropout probabilities = dropout.site(site + "self_probabilities");
  if (probabilities.active()) {
    const at::Tensor keep_bn1 =
        probabilities.split(config_.num_heads).keep_mask(1, value.device()).view({-1, config_.num_heads, 1});
    value = value.view({-1, config_.num_heads, config_.d_kv}) *
            (keep_bn1.to(value.options()) * probabilities.scale);
    value = value.view({y.size(0), config_.num_heads * config_.d_kv});
  }
  if (layer.q.prefix() != nullptr)
    value = add_prefix(value, product(normed, layer.q), layer.q, config_.num_heads);
  return add_dropout(y, product(value, layer.o), dropout.site(site + "self"));
}

at::Tensor ChronosBolt::decode(const at::Tensor& memory, const at::Tensor& mask_bl,
                               const Dropout& dropout) const {
  const std::int64_t windows = memory.size(0);
  at::Tensor y = shared_[0].expand({windows, config_.d_model}).contiguous();
  y = models::dropout(y, dropout.site("decoder.input"));
  for (std::size_t i = 0; i < decoder_.size(); ++i) {
    const std::string site = fmt::format("decoder.{}.", i);
    y = decoder_self_attention(y, decoder_[i].self, site, dropout);
    const BoltAttention& a = decoder_[i].cross;
    const at::Tensor q = product(rms_norm(y, a.norm, config_.layer_norm_epsilon), a.q);
    at::Tensor mixed = single_query_attention(q, a.k.effective(), a.v.effective(), memory, mask_bl,
                                              config_.num_heads, dropout.site(site + "cross_probabilities"));
    mixed = add_prefix(mixed, q, a.q, config_.num_heads);
    y = add_dropout(y, product(mixed, a.o), dropout.site(site + "cross"));
    y = feed_forward(y, decoder_[i].feed_forward, site, dropout);
  }
  y = rms_norm(y, decoder_norm_, config_.layer_norm_epsilon);
  return models::dropout(y, dropout.site("decoder.output"));
}

at::Tensor ChronosBolt::quantiles(const at::Tensor& states, std::int64_t windows,
                                  const Dropout& dropout) const {
  const auto levels = static_cast<std::int64_t>(config_.quantiles.size());
  return output_(states, dropout.site("output_patch_embedding"))
      .view({windows, levels, config_.prediction_length});
}

}  // namespace shelfcast::models
