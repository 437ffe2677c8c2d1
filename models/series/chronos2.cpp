#include "models/series/chronos2.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "models/attention.h"  // additive_mask
#include "models/product.h"
#include "models/recompute.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

using Decay = ParameterMaker::Decay;

constexpr double kForecastScale = 0.1;  // layers that make forecasts start ten times smaller

double inverse_root(std::int64_t n) { return 1.0 / std::sqrt(static_cast<double>(n)); }

// The published rules for first values, each times the config's initializer_factor; docs/model.md.
class Maker {
 public:
  Maker(const Chronos2Config& config, std::string prefix, ParameterMaker& make)
      : c_(config), prefix_(std::move(prefix)), make_(make) {}

  Weight weight(const std::string& name, std::int64_t out, std::int64_t in, double deviation) {
    return make_.matrix(prefix_ + name, {out, in}, c_.initializer_factor * deviation);
  }
  at::Tensor table(const std::string& name, std::int64_t rows, std::int64_t width, double deviation) {
    return make_.normal(prefix_ + name, {rows, width}, c_.initializer_factor * deviation, Decay::no);
  }
  at::Tensor gain(const std::string& name) { return make_.constant(prefix_ + name, {c_.d_model}, 1.0F); }

  // `last` scales the layers that make the block's result.
  ResidualBlock residual_block(const std::string& name, std::int64_t in, std::int64_t out, double last) {
    ResidualBlock block;
    block.activation = activation_of(c_.activation);
    block.hidden = linear(name + ".hidden_layer", c_.d_ff, in, inverse_root(in));
    block.output = linear(name + ".output_layer", out, c_.d_ff, last * inverse_root(c_.d_ff));
    block.residual = linear(name + ".residual_layer", out, in, last * inverse_root(in));
    return block;
  }

  // In two parts: those that make the probabilities, and the rest.
  template <typename Attention>
  void attention_probabilities(const std::string& layer, Attention& a) {
    const std::int64_t inner = c_.num_heads * c_.d_kv, d = c_.d_model;
    a.q = weight(layer + ".self_attention.q.weight", inner, d, inverse_root(d * c_.d_kv));
    a.k = weight(layer + ".self_attention.k.weight", inner, d, inverse_root(d));
  }
  template <typename Attention>
  void attention_values(const std::string& layer, Attention& a) {
    const std::int64_t inner = c_.num_heads * c_.d_kv, d = c_.d_model;
    a.norm = gain(layer + ".layer_norm.weight");
    a.v = weight(layer + ".self_attention.v.weight", inner, d, inverse_root(d));
    a.o = weight(layer + ".self_attention.o.weight", d, inner, inverse_root(inner));
  }

 private:
  Linear linear(const std::string& name, std::int64_t out, std::int64_t in, double deviation) {
    Linear layer;
    layer.weight = weight(name + ".weight", out, in, deviation);
    layer.bias = make_.constant(prefix_ + name + ".bias", {out}, 0.0F);
    return layer;
  }

  const Chronos2Config& c_;
  std::string prefix_;
  ParameterMaker& make_;
};

// The last `count` of each series' `tokens` rows.
at::Tensor last_tokens(const at::Tensor& x, std::int64_t tokens, std::int64_t count) {
  return x.view({-1, tokens, x.size(1)}).narrow(1, tokens - count, count).reshape({-1, x.size(1)});
}

}  // namespace

Chronos2::Chronos2(const Chronos2Config& config, const std::string& prefix, ParameterMaker& make)
    : config_(config), activation_(activation_of(config.activation)) {
  config.validate();
  Maker m(config, prefix, make);
  const std::int64_t d = config.d_model, f = config.d_ff, patch = config.patch_size;
  blocks_.resize(static_cast<std::size_t>(config.num_layers));
  const auto layer = [](std::size_t block, int index) {
    return fmt::format("encoder.block.{}.layer.{}", block, index);
  };
  // First those that get no gradient where every series is a group of its own: parameters come in forward
  // order and gradients are sent backwards, so that what stands first holds nothing up.
  for (std::size_t i = 0; i < blocks_.size(); ++i) m.attention_probabilities(layer(i, 1), blocks_[i].group);
  input_ = m.residual_block("input_patch_embedding", 3 * patch, d, 1.0);
  shared_ = m.table("shared.weight", config.use_reg_token ? 2 : 1, d, 1.0);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block& block = blocks_[i];
    m.attention_probabilities(layer(i, 0), block.time);
    m.attention_values(layer(i, 0), block.time);
    m.attention_values(layer(i, 1), block.group);
    block.norm = m.gain(layer(i, 2) + ".layer_norm.weight");
    block.wi = m.weight(layer(i, 2) + ".mlp.wi.weight", f, d, inverse_root(d));
    block.wo = m.weight(layer(i, 2) + ".mlp.wo.weight", d, f, inverse_root(f));
  }
  norm_ = m.gain("encoder.final_layer_norm.weight");
  const auto levels = static_cast<std::int64_t>(config.quantiles.size());
  output_ = m.residual_block("output_patch_embedding", d, levels * patch, kForecastScale);
  // First forecasts are those of a normal distribution.
  const at::NoGradGuard no_grad;
  const at::Tensor normal = at::special_ndtri(at::tensor(config.quantiles, at::kDouble));
  const at::Tensor first = config.use_arcsinh ? at::asinh(normal) : normal;
  output_.output.bias.view({levels, patch}).copy_(first.unsqueeze(1).expand({levels, patch}));
}

// [b, n + f, 3p] -> tokens [b * l, d], REG between the past and the future.
at::Tensor Chronos2::embed(const at::Tensor& patches, const TokenAdditions& more, const Pass& pass) const {
  const std::int64_t d = config_.d_model, both = patches.size(1), context = both - pass.patches;
  at::Tensor x =
      input_(patches.flatten(0, 1), pass.dropout.site("input_patch_embedding"), more.hidden, more.residual);
  if (config_.use_reg_token) {
    const at::Tensor tokens = x.view({pass.rows, both, d});
    x = at::cat({tokens.narrow(1, 0, context), shared_[1].expand({pass.rows, 1, d}),
                 tokens.narrow(1, context, pass.patches)},
                1)
            .view({pass.rows * pass.tokens, d});
  }
  if (more.shift_bd.defined())
    x = (x.view({pass.rows, pass.tokens, d}) + more.shift_bd.unsqueeze(1)).view_as(x);
  return models::dropout(changed_tokens(x, pass.rows, more.change), pass.dropout.site("encoder.input"));
}

// In the last block only the future's tokens are needed from here on.
at::Tensor Chronos2::time_attention(const at::Tensor& x, const Attention& a, const std::string& site,
                                    const Pass& pass, bool last) const {
  const HeadShape shape{config_.num_heads, config_.d_kv};
  const SiteDropout probabilities = pass.dropout.site(site + "time_probabilities");
  const at::Tensor normed = rms_norm(x, a.norm, config_.layer_norm_epsilon);
  at::Tensor mixed, residual = x;
  if (last) {
    residual = last_tokens(x, pass.tokens, pass.patches);
    const at::Tensor q = product(last_tokens(normed, pass.tokens, pass.patches), a.q);
    const at::Tensor kv = stacked_product(normed, {a.k, a.v});
    mixed = last_tokens_attention(q, kv, pass.mask_bl, pass.patches, pass.tokens, shape, pass.rotation,
                                  probabilities);
    mixed = add_prefix(mixed, q, a.q, config_.num_heads);
  } else {
    const at::Tensor qkv = stacked_product(normed, {a.q, a.k, a.v});
    mixed = window_attention(qkv, pass.mask_bl, WindowLayout::along_time(pass.rows, pass.tokens), shape,
                             pass.rotation, probabilities);
    mixed = add_prefix(mixed, qkv.narrow(1, 0, mixed.size(1)), a.q, config_.num_heads);
  }
  return add_dropout(residual, product(mixed, a.o), pass.dropout.site(site + "time"));
}

// `x` holds the last `tokens` tokens of each row.
at::Tensor Chronos2::group_attention(const at::Tensor& x, const Attention& a, const std::string& site,
                                     const Pass& pass, std::int64_t tokens) const {
  const at::Tensor normed = rms_norm(x, a.norm, config_.layer_norm_epsilon);
  const SiteDropout probabilities = pass.dropout.site(site + "group_probabilities");
  std::vector<at::Tensor> parts;
  for (const GroupClass& part : pass.plan.classes) {
    const at::Tensor own = normed.narrow(0, part.first * tokens, part.rows() * tokens);
    parts.push_back(mixed_by_group(own, a, probabilities, pass, part, tokens));
  }
  const at::Tensor mixed = parts.size() == 1 ? parts[0] : at::cat(parts, 0);
  return add_dropout(x, product(mixed, a.o), pass.dropout.site(site + "group"));
}

at::Tensor Chronos2::mixed_by_group(const at::Tensor& x, const Attention& a, const SiteDropout& site,
                                    const Pass& pass, const GroupClass& part, std::int64_t tokens) const {
  const std::int64_t heads = config_.num_heads, width = config_.d_kv;
  // Draws of the groups' first rows, which are those of their smallest sample id.
  const SiteDropout own = site.pick(part.first, part.size, part.count);

  if (part.size == 1) {
    // A series alone: every probability is 1, so that q and k have no effect; dropout can still take it.
    at::Tensor value = product(x, a.v);
    if (own.active()) {
      const at::Tensor keep =
          own.keep_mask(tokens * heads, value.device()).view({-1, 1}).to(value.options()) * own.scale;
      value = (value.view({-1, width}) * keep).view({x.size(0), heads * width});
    }
    return a.q.prefix() == nullptr ? value : add_prefix(value, product(x, a.q), a.q, heads);
  }
  const WindowLayout layout = WindowLayout::across_series(part.count, part.size, tokens);
  const at::Tensor mask_bl =
      pass.mask_bl.narrow(0, part.first, part.rows()).narrow(1, pass.tokens - tokens, tokens);
  const at::Tensor mask_wl =
      mask_bl.reshape({part.count, part.size, tokens}).transpose(1, 2).reshape({-1, part.size});
  const at::Tensor qkv = stacked_product(x, {a.q, a.k, a.v});
  const at::Tensor mixed = window_attention(qkv, mask_wl, layout, {heads, width}, {}, own.split(tokens));
  return add_prefix(mixed, qkv.narrow(1, 0, mixed.size(1)), a.q, heads);
}

at::Tensor Chronos2::feed_forward(const at::Tensor& x, const Block& block, const std::string& site,
                                  const Pass& pass) const {
  const at::Tensor inner =
      product(rms_norm(x, block.norm, config_.layer_norm_epsilon), block.wi, {}, taken_by(activation_));
  const at::Tensor hidden = activate_dropout_(inner, activation_, pass.dropout.site(site + "hidden"));
  return add_dropout(x, product(hidden, block.wo), pass.dropout.site(site + "feed_forward"));
}

Chronos2States Chronos2::states(const Chronos2Patches& read, const GroupPlan& plan, const Dropout& dropout,
                                const TokenAdditions& more, StatesOf asked) const {
  const std::int64_t rows = read.patches.size(0), tokens = read.attended_bl.size(1),
                     patches = read.patches.size(1) - read.context_patches;
  // Blocks may be computed again when this has returned.
  const auto pass = std::make_shared<const Pass>(
      Pass{.rows = rows,
           .tokens = tokens,
           .patches = patches,
           .mask_bl = additive_mask(read.attended_bl).contiguous(),
           .rotation = Rotation::of(tokens, config_.d_kv, config_.rope_theta, read.patches.device()),
           .plan = plan,
           .dropout = dropout});
  at::Tensor x = embed(read.patches, more, *pass);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const bool last = i + 1 == blocks_.size() && asked == StatesOf::future;
    x = recomputed(x, {}, [this, i, pass, last](const at::Tensor& in, const at::Tensor&) {
      const Block& block = blocks_[i];
      const std::string site = fmt::format("encoder.{}.", i);
      const at::Tensor over_time = time_attention(in, block.time, site, *pass, last);
      const at::Tensor over_group =
          group_attention(over_time, block.group, site, *pass, last ? pass->patches : pass->tokens);
      return feed_forward(over_group, block, site, *pass);
    });
  }
  x = models::dropout(rms_norm(x, norm_, config_.layer_norm_epsilon), dropout.site("encoder.output"));
  if (asked == StatesOf::future) return {x, {}};
  return {last_tokens(x, tokens, patches),
          x.view({rows, tokens, x.size(1)}).narrow(1, 0, read.context_patches).flatten(0, 1)};
}

at::Tensor Chronos2::quantiles(const at::Tensor& states, std::int64_t rows, const Dropout& dropout) const {
  const std::int64_t patches = states.size(0) / rows, patch = config_.patch_size,
                     levels = std::ssize(config_.quantiles);
  return output_(states, dropout.site("output_patch_embedding"))
      .view({rows, patches, levels, patch})
      .transpose(1, 2)
      .reshape({rows, levels, patches * patch});
}

Chronos2Forecast Chronos2::forward(const Chronos2Inputs& inputs, const DropoutKeys* keys) const {
  Chronos2Inputs here = inputs;
  for (at::Tensor* tensor : {&here.context_bt, &here.future_bh})
    if (tensor->defined()) *tensor = sent(*tensor, shared_.device());
  Chronos2Patches read = chronos2_patches(here, config_);
  const std::int64_t rows = inputs.context_bt.size(0);
  const std::vector<std::int64_t> none;
  SHELFCAST_ASSERT(keys == nullptr || std::ssize(keys->sample_b) == rows);
  const GroupPlan plan = GroupPlan::of(rows, inputs.group_ids_b, keys == nullptr ? none : keys->sample_b);
  Dropout dropout;
  if (keys != nullptr) {
    DropoutKeys arranged{keys->seed, keys->step, {}};
    for (const std::int64_t row : plan.order)
      arranged.sample_b.push_back(keys->sample_b[static_cast<std::size_t>(row)]);
    dropout = Dropout(&arranged, config_.dropout_rate);
  }
  read.patches = plan.arrange(read.patches);
  read.attended_bl = plan.arrange(read.attended_bl);
  const at::Tensor out = quantiles(states(read, plan, dropout).ahead, rows, dropout);
  return {plan.restore(out), read.loc_b, read.scale_b, config_.use_arcsinh};
}

at::Tensor Chronos2Forecast::demand_quantiles_bqh() const {
  const at::Tensor scaled = quantiles_bqh.detach();
  return (arcsinh ? rounded_sinh(scaled) : scaled) * scale_b.view({-1, 1, 1}) + loc_b.view({-1, 1, 1});
}

}  // namespace shelfcast::models
