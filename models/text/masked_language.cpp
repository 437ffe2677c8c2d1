#include "models/text/masked_language.h"

#include "base/error.h"
#include "base/random.h"
#include "models/product.h"
#include "models/transfer.h"

namespace shelfcast::models {
namespace {

bool is_special(std::int32_t id, const data::Tokenizer& tokenizer) {
  return id == tokenizer.cls() || id == tokenizer.separator() || id == tokenizer.pad() ||
         id == tokenizer.mask() || id == tokenizer.unknown();
}

std::uint64_t draw_key(const MaskKeys& keys, std::string_view what) {
  return mix(mix(mix(keys.seed, static_cast<std::uint64_t>(keys.step)), keys.text_digest), key_of(what));
}

double chance(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

}  // namespace

MaskedLanguageHead::MaskedLanguageHead(const BertConfig& config, ParameterMaker& maker,
                                       const std::string& prefix, at::Tensor words)
    : words_(std::move(words)), epsilon_(config.layer_norm_eps), activation_(config.hidden_act) {
  const std::int64_t width = config.hidden_size;
  const std::string transform = prefix + "cls.predictions.transform.";
  transform_.weight = maker.normal(transform + "dense.weight", {width, width}, config.initializer_range);
  transform_.bias = maker.constant(transform + "dense.bias", {width}, 0.0F);
  norm_weight_ = maker.constant(transform + "LayerNorm.weight", {width}, 1.0F);
  norm_bias_ = maker.constant(transform + "LayerNorm.bias", {width}, 0.0F);
  bias_ = maker.constant(prefix + "cls.predictions.bias", {config.vocab_size}, 0.0F);
}

at::Tensor MaskedLanguageHead::operator()(const at::Tensor& hidden_rw) const {
  const at::Tensor inner = activate(transform_(hidden_rw), activation_);
  const at::Tensor normed =
      at::layer_norm(inner, {inner.size(1)}, norm_weight_, norm_bias_, epsilon_, /*cudnn_enable=*/false);
  return product(normed, words_, bias_);
}

MaskedLanguageLoss masked_language_loss(const MaskedLanguageHead& head, const at::Tensor& hidden_rw,
                                        const at::Tensor& labels_r) {
  const at::Tensor rows = at::nonzero(labels_r != kNoLabel).squeeze(1);
  if (rows.size(0) == 0) return {hidden_rw.sum() * 0.0, 0};
  const at::Device device = hidden_rw.device();
  const at::Tensor logits = head(hidden_rw.index_select(0, sent(rows, device)));
  const at::Tensor labels = sent(labels_r.index_select(0, rows), device);
  return {at::nll_loss(at::log_softmax(logits, 1), labels, {}, at::Reduction::Sum), rows.size(0)};
}

MaskedText mask_tokens(const data::Encoding& text, const data::Tokenizer& tokenizer, const MaskKeys& keys,
                       double rate) {
  const std::uint64_t key = draw_key(keys, "text.mask");
  const auto vocabulary = static_cast<std::uint64_t>(tokenizer.vocabulary().size());
  MaskedText masked{text, std::vector<std::int32_t>(text.ids.size(), kNoLabel)};
  for (std::size_t i = 0; i < text.ids.size(); ++i) {
    const std::int32_t id = text.ids[i];
    if (is_special(id, tokenizer)) continue;
    const auto words = philox(key, {static_cast<std::uint32_t>(i), 0, 0, 0});
    if (chance(words[0]) >= rate) continue;
    masked.labels[i] = id;
    const double what = chance(words[1]);
    if (what < 0.8) {
      masked.text.ids[i] = tokenizer.mask();
    } else if (what < 0.9) {
      masked.text.ids[i] = static_cast<std::int32_t>(words[2] * vocabulary >> 32);
    }
  }
  return masked;
}

data::Encoding hide_tokens(const data::Encoding& text, const data::Tokenizer& tokenizer, const MaskKeys& keys,
                           double rate) {
  const std::uint64_t key = draw_key(keys, "text.hide");
  data::Encoding hidden = text;
  for (std::size_t i = 0; i < text.ids.size(); ++i)
    if (!is_special(text.ids[i], tokenizer) &&
        chance(philox(key, {static_cast<std::uint32_t>(i), 0, 0, 0})[0]) < rate)
      hidden.ids[i] = tokenizer.mask();
  return hidden;
}

}  // namespace shelfcast::models
