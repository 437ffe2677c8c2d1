// Product texts whose encoder is being trained: vectors made anew at every step, with gradients.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/inputs.h"
#include "models/text/embed.h"
#include "models/text/masked_language.h"
#include "trainer/recipe/config.h"
#include "trainer/text/trained_text.h"

namespace shelfcast::trainer {

// Reading is free for all threads.
class LiveTexts {
 public:
  // `texts`: distinct. Throws Error(input) naming the key of the recipe that the encoder cannot serve, or the
  // text that is not UTF-8. `augment`: what becomes of tokens while they are trained on.
  LiveTexts(std::shared_ptr<const TrainedText> encoder, const models::ModelConfig& model,
            std::vector<std::string> texts, const AugmentConfig& augment = {});

  std::int64_t texts() const { return static_cast<std::int64_t>(texts_.size()); }
  std::int64_t width() const { return encoder_->bert().config().hidden_size; }

  // Vectors of some texts, pooled and scaled to a mean square of 1 as TextEncoder has them: [rows, width].
  // Dropout and hidden tokens are drawn for each text by (seed, step, its digest), wherever in which batch it
  // stands; `keys`' samples do not matter, nullptr = none of either. Differentiable.
  at::Tensor encode(std::span<const std::int64_t> rows, const models::DropoutKeys* keys) const;
  // The same as the encoder stands now, without gradients: to the bit what TextEncoder makes of its files.
  at::Tensor encode_now(std::span<const std::int64_t> rows) const;
  // The longest `count` texts.
  std::vector<std::int64_t> longest(std::int64_t count) const;

 private:
  data::Encoding shown(std::size_t text, const models::MaskKeys& keys) const;

  std::shared_ptr<const TrainedText> encoder_;
  AugmentConfig augment_;
  models::EmbedOptions options_;
  std::vector<std::string> texts_;
  std::vector<data::Encoding> encodings_;
};

}  // namespace shelfcast::trainer
