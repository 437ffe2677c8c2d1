// Masked-language training of a text encoder on a corpus' texts (Devlin et al., 2019).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "trainer/recipe/recipe.h"
#include "trainer/text/trained_text.h"

namespace shelfcast::trainer {

// The texts of a corpus, each once, in two parts: about a tenth, drawn by (seed, text), is never trained on.
struct TextSplit {
  std::vector<std::string> trained, held_out;  // in the order in which the corpus has them
};
// At most `most_held_out` are kept of those held out; the others are left out altogether. Throws Error(input)
// when a part would be empty.
TextSplit split_texts(const data::Corpus& corpus, std::uint64_t seed, std::int64_t most_held_out);

// The encoder that a recipe begins with, with a masked-language head.
TrainedText open_masked_language_encoder(const Recipe& recipe);

// A text cut to its tokens, and what keys its dropout and its hidden tokens.
struct KeyedText {
  data::Encoding encoding;
  std::uint64_t digest = 0;
};
// Throws Error(input) naming the text that is not UTF-8.
std::vector<KeyedText> tokenize(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts,
                                std::int64_t most_tokens);

enum class MaskedLanguageMode { training, evaluation };  // with and without dropout

// Hides tokens by (seed, step, text, position) and adds up what guessing them costs.
models::MaskedLanguageLoss masked_language_loss(const TrainedText& encoder,
                                                const std::vector<const KeyedText*>& texts,
                                                std::uint64_t seed, std::int64_t step,
                                                MaskedLanguageMode mode);

}  // namespace shelfcast::trainer
