// Texts with their labels: read from a table, checked, and cut into what is trained on and what is held out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/config.h"
#include "models/config.h"
#include "models/text/label_heads.h"

namespace shelfcast::trainer {

// What each head tells apart, ascending; empty = there is no such head.
struct LabelNames {
  std::vector<std::string> classes, tags;
  models::LabelCounts counts() const {
    return {static_cast<std::int64_t>(classes.size()), static_cast<std::int64_t>(tags.size())};
  }
  bool operator==(const LabelNames&) const = default;
};

struct LabelledText {
  std::string text;
  std::int64_t text_class = models::kNoLabel;  // index into the classes
  std::vector<std::int64_t> tags = {};         // of each word (data::split_words); empty = none are known
};

struct LabelledTexts {
  LabelNames names;
  std::vector<LabelledText> trained, held_out;  // in the table's order
  std::int64_t unlabelled = 0;  // rows without a text or without any label, which are left out
  std::string digest;           // of all this
};

// Reads the table. Rows are held out as its split column says, or drawn by (seed, text) as draw_parts does,
// at most `most_held_out` texts. Throws Error(input) naming key, row and word: a column that is not there;
// text that is not UTF-8; tags that are not one for each word, or not of the B, I, E, S, O kind; a split of
// another name; fewer than two classes or tags; one with a single text, or absent from the texts that are
// trained on; no text to train on or to hold out.
LabelledTexts read_labelled_texts(const data::LabelsConfig& config, std::uint64_t seed,
                                  std::int64_t most_held_out);

// What the recipe's labels count in the loss. Weights that are balanced are those of scikit-learn, all /
// (labels * how often this one is met), on the texts that are trained on. Throws Error(input) when weights
// are not one for each label, or those of a head that is not there.
models::LabelWeights label_weights(const models::LabelLossConfig& loss, const LabelledTexts& texts);

}  // namespace shelfcast::trainer
