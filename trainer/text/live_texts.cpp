#include "trainer/text/live_texts.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {

LiveTexts::LiveTexts(std::shared_ptr<const TrainedText> encoder, const models::ModelConfig& model,
                     std::vector<std::string> texts, const AugmentConfig& augment)
    : encoder_(std::move(encoder)),
      augment_(augment),
      options_(embed_options(model)),
      texts_(std::move(texts)) {
  options_.validate(encoder_->bert().config());
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    try {
      encodings_.push_back(encoder_->tokenizer().encode(texts_[i], options_.max_tokens));
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("product text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
  }
}

// A text with the tokens that this step hides.
data::Encoding LiveTexts::shown(std::size_t text, const models::MaskKeys& keys) const {
  const std::uint64_t key = mix(mix(keys.seed, static_cast<std::uint64_t>(keys.step)), keys.text_digest);
  if (augment_.tokens == 0 || RandomStream(mix(key, key_of("augment tokens"))).uniform() >= augment_.share)
    return encodings_[text];
  return models::hide_tokens(encodings_[text], encoder_->tokenizer(), keys, augment_.tokens);
}

at::Tensor LiveTexts::encode(std::span<const std::int64_t> rows, const models::DropoutKeys* keys) const {
  if (rows.empty()) return at::zeros({0, width()});
  std::vector<data::Encoding> texts;
  models::DropoutKeys of_texts;
  if (keys != nullptr) of_texts = {keys->seed, keys->step, {}};
  for (const std::int64_t row : rows) {
    const auto i = static_cast<std::size_t>(row);
    const std::uint64_t digest = key_of(texts_.at(i));
    texts.push_back(keys == nullptr ? encodings_[i] : shown(i, {keys->seed, keys->step, digest}));
    of_texts.sample_b.push_back(static_cast<std::int64_t>(digest));
  }
  const models::Bert& bert = encoder_->bert();
  const models::PackedTexts packed = models::pack_texts(texts, bert.config());
  const at::Tensor hidden = bert.forward(packed, keys == nullptr ? nullptr : &of_texts);
  return models::l2_normalized(bert.pool(hidden, packed, options_.pooling)) *
         std::sqrt(static_cast<double>(width()));
}

at::Tensor LiveTexts::encode_now(std::span<const std::int64_t> rows) const {
  if (rows.empty()) return at::zeros({0, width()});
  const at::NoGradGuard no_grad;
  std::vector<std::string> texts;
  for (const std::int64_t row : rows) texts.push_back(texts_.at(static_cast<std::size_t>(row)));
  return models::embed(encoder_->bert(), encoder_->tokenizer(), texts, options_)
      .mul_(std::sqrt(static_cast<double>(width())));
}

std::vector<std::int64_t> LiveTexts::longest(std::int64_t count) const {
  std::vector<std::int64_t> rows(texts_.size());
  std::iota(rows.begin(), rows.end(), 0);
  const auto length = [this](std::int64_t row) {
    return encodings_[static_cast<std::size_t>(row)].ids.size();
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::int64_t a, std::int64_t b) { return length(a) > length(b); });
  rows.resize(static_cast<std::size_t>(std::min(count, texts())));
  return rows;
}

}  // namespace shelfcast::trainer
