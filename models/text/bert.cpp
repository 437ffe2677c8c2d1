#include "models/text/bert.h"

#include <cmath>

#include "base/error.h"
#include "models/recompute.h"
#include "models/text/bert_weights.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

// The dropout of one forward; the keys stand in the order of the packed texts.
Dropout dropout_of(const DropoutKeys* keys, const PackedTexts& texts, double rate) {
  if (keys == nullptr) return {};
  SHELFCAST_ASSERT(keys->sample_b.size() == texts.place.size());
  DropoutKeys packed{keys->seed, keys->step, std::vector<std::int64_t>(keys->sample_b.size())};
  for (std::size_t i = 0; i < texts.place.size(); ++i)
    packed.sample_b[static_cast<std::size_t>(texts.place[i])] = keys->sample_b[i];
  return {&packed, rate};
}

// Puts the groups' rows together, with zeros for the rows of no text.
at::Tensor join(std::vector<at::Tensor> parts, const PackedTexts& texts) {
  if (texts.rows > texts.tokens)
    parts.push_back(at::zeros({texts.rows - texts.tokens, parts[0].size(1)}, parts[0].options()));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

// residual + dropout(x); residual may be undefined.
at::Tensor add_text_dropout(const at::Tensor& residual, const at::Tensor& x, const PackedTexts& texts,
                            const SiteDropout& site) {
  if (!site.active()) return residual.defined() ? residual + x : x;
  std::vector<at::Tensor> parts;
  for (const TextGroup& group : texts.groups) {
    const at::Tensor own = x.narrow(0, group.first_row, group.rows());
    const SiteDropout draws = site.pick(group.first_text, 1, group.texts);
    parts.push_back(residual.defined()
                        ? add_dropout(residual.narrow(0, group.first_row, group.rows()), own, draws)
                        : dropout(own, draws));
  }
  return join(std::move(parts), texts);
}

// Attention within each text: q, k, v [rows, width] -> [rows, width].
at::Tensor text_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const PackedTexts& texts, std::int64_t heads, const SiteDropout& site) {
  const std::int64_t width = q.size(1), head = width / heads;
  std::vector<at::Tensor> parts;
  for (const TextGroup& group : texts.groups) {
    const auto split = [&](const at::Tensor& x) {
      return x.narrow(0, group.first_row, group.rows())
          .view({group.texts, group.length, heads, head})
          .transpose(1, 2);
    };
    at::Tensor attended;
    if (!at::GradMode::is_enabled() && !site.active()) {
      attended = at::scaled_dot_product_attention(split(q), split(k), split(v));
    } else {
      const double scale = 1.0 / std::sqrt(static_cast<double>(head));
      const at::Tensor scores = at::matmul(split(q), split(k).transpose(2, 3)) * scale;
      at::Tensor p = at::softmax(scores, -1);
      p = dropout(p, site.pick(group.first_text, 1, group.texts).split(heads));
      attended = at::matmul(p, split(v));
    }
    parts.push_back(attended.transpose(1, 2).reshape({group.rows(), width}));
  }
  return join(std::move(parts), texts);
}

}  // namespace

Pooling pooling_from(const std::string& name) {
  if (name == "mean") return Pooling::mean;
  if (name == "cls") return Pooling::cls;
  if (name == "pooler") return Pooling::pooler;
  throw input_error(fmt::format("unknown pooling \"{}\"", name), "", "use mean, cls or pooler");
}

Bert::Bert(const BertConfig& config, const BertParts& parts, ParameterMaker& maker, const std::string& prefix)
    : config_(config) {
  config.validate();
  using Decay = ParameterMaker::Decay;
  const std::int64_t width = config.hidden_size;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    return Linear{maker.matrix(prefix + name + ".weight", {out, in}, config.initializer_range),
                  maker.constant(prefix + name + ".bias", {out}, 0.0F)};
  };
  const auto norm_of = [&](const std::string& name) {
    return Norm{maker.constant(prefix + name + ".LayerNorm.weight", {width}, 1.0F),
                maker.constant(prefix + name + ".LayerNorm.bias", {width}, 0.0F)};
  };
  const auto table = [&](const std::string& name, std::int64_t rows) {
    return maker.normal(prefix + "embeddings." + name + "_embeddings.weight", {rows, width},
                        config.initializer_range, Decay::no);
  };
  words_ = table("word", config.vocab_size);
  positions_ = table("position", config.max_position_embeddings);
  types_ = table("token_type", config.type_vocab_size);
  embedding_norm_ = norm_of("embeddings");
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    layers_.push_back({linear(layer + "attention.self.query", width, width),
                       linear(layer + "attention.self.key", width, width),
                       linear(layer + "attention.self.value", width, width),
                       linear(layer + "attention.output.dense", width, width),
                       linear(layer + "intermediate.dense", config.intermediate_size, width),
                       linear(layer + "output.dense", width, config.intermediate_size),
                       norm_of(layer + "attention.output"), norm_of(layer + "output")});
  }
  if (parts.pooler) pooler_ = linear("pooler.dense", width, width);
  if (parts.masked_language) masked_language_.emplace(config, maker, prefix, words_);
  parameters_ = maker.take();
}

Bert Bert::open(const std::filesystem::path& folder, const std::string& prefix) {
  const BertConfig config = read_bert_config(folder);
  ParameterMaker maker(0, ParameterMaker::Fill::leave);
  Bert bert(config, bert_parts(folder), maker, prefix);
  load_bert_weights(folder, bert.parameters(), prefix);
  return bert;
}

at::Tensor Bert::norm(const at::Tensor& x, const Norm& norm) const {
  return at::layer_norm(x, {x.size(1)}, norm.weight, norm.bias, config_.layer_norm_eps,
                        /*cudnn_enable=*/false);
}

at::Tensor Bert::forward(const PackedTexts& texts, const DropoutKeys* keys) const {
  const Dropout hidden_dropout = dropout_of(keys, texts, config_.hidden_dropout);
  const Dropout attention_dropout = dropout_of(keys, texts, config_.attention_dropout);
  const auto device = words_.device();
  at::Tensor x = at::embedding(words_, sent(texts.ids, device)) +
                 at::embedding(types_, sent(texts.types, device)) +
                 at::embedding(positions_, sent(texts.positions, device));
  x = add_text_dropout({}, norm(x, embedding_norm_), texts, hidden_dropout.site("text.embeddings"));
  // Layers may be computed again when this has returned.
  const auto shared = std::make_shared<const PackedTexts>(texts);
  for (std::size_t i = 0; i < layers_.size(); ++i)
    x = recomputed(
        x, {}, [this, i, shared, hidden_dropout, attention_dropout](const at::Tensor& in, const at::Tensor&) {
          return layer(i, in, *shared, hidden_dropout, attention_dropout);
        });
  return x;
}

at::Tensor Bert::layer(std::size_t index, const at::Tensor& x, const PackedTexts& texts,
                       const Dropout& hidden_dropout, const Dropout& attention_dropout) const {
  const Layer& own = layers_[index];
  const std::string site = fmt::format("text.{}.", index);
  const at::Tensor mixed =
      text_attention(own.query(x), own.key(x), own.value(x), texts, config_.num_attention_heads,
                     attention_dropout.site(site + "attention"));
  const at::Tensor attended =
      norm(add_text_dropout(x, own.attended(mixed), texts, hidden_dropout.site(site + "attended")),
           own.attended_norm);
  const at::Tensor inner = activate(own.inner(attended), config_.hidden_act);
  return norm(add_text_dropout(attended, own.outer(inner), texts, hidden_dropout.site(site + "output")),
              own.outer_norm);
}

at::Tensor Bert::pool(const at::Tensor& hidden_rw, const PackedTexts& texts, Pooling pooling) const {
  if (pooling == Pooling::mean) {
    std::vector<at::Tensor> parts;
    for (const TextGroup& group : texts.groups)
      parts.push_back(hidden_rw.narrow(0, group.first_row, group.rows())
                          .view({group.texts, group.length, hidden_rw.size(1)})
                          .mean(1));
    const at::Tensor place = sent(texts.place, hidden_rw.device());
    return at::cat(parts).index_select(0, place);
  }
  const at::Tensor first_rows = sent(texts.first_row, hidden_rw.device());
  const at::Tensor first = hidden_rw.index_select(0, first_rows);
  if (pooling == Pooling::cls) return first;
  if (!pooler_.weight.defined())
    throw input_error("this text model has no pooler", "its weights hold no pooler.dense",
                      "use the pooling mean or cls");
  // Rounded up like the rows of texts, for the same reason.
  const std::int64_t missing = -first.size(0) & (PackedTexts::kRowBlock - 1);
  return at::tanh(pooler_(at::constant_pad_nd(first, {0, 0, 0, missing}))).narrow(0, 0, first.size(0));
}

at::Tensor l2_normalized(const at::Tensor& x_bw) {
  return x_bw / x_bw.norm(2, 1, /*keepdim=*/true).clamp_min(1e-12);
}

}  // namespace shelfcast::models
