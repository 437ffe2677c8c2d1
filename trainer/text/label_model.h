// A text encoder with heads of labels: read, written, and used on texts.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "trainer/recipe/recipe.h"
#include "trainer/text/labelled_texts.h"
#include "trainer/text/trained_text.h"

namespace shelfcast::trainer {

// A text cut to its tokens, where its words begin, and what keys its dropout.
struct LabelInput {
  data::WordEncoding encoding;
  std::uint64_t digest = 0;
};

class LabelModel {
 public:
  // The recipe's encoder with new heads, drawn by the seed. Throws what TrainedText throws.
  LabelModel(const Recipe& recipe, const LabelNames& names);
  // Of a checkpoint of a run with this recipe. Throws Error(io), Error(data).
  static LabelModel open(const std::filesystem::path& checkpoint, const Recipe& recipe);

  // Writes text/, as TrainedText does, and labels/: labels.json (names, pooling, length) and
  // model.safetensors. With values that stand elsewhere: those of text().parameters(), then those of
  // heads().parameters().
  void save(const std::filesystem::path& checkpoint, const std::vector<models::Parameter>& text,
            const std::vector<models::Parameter>& heads) const;

  const TrainedText& text() const { return text_; }
  const models::LabelHeads& heads() const { return heads_; }
  const LabelNames& names() const { return names_; }

  // Throws Error(input) where the text is not UTF-8.
  LabelInput encode(const std::string& text) const;
  // Logits of texts; tags of their words in order, but for those without a piece. `keys` of dropout are
  // filled with the texts'; null = evaluation. Differentiable.
  models::LabelLogits forward(std::span<const LabelInput* const> texts, models::DropoutKeys* keys) const;

 private:
  LabelModel(TrainedText text, const Recipe& recipe, LabelNames names, std::uint64_t seed,
             models::ParameterMaker::Fill fill);

  LabelNames names_;
  TrainedText text_;
  models::Pooling pooling_;
  std::int64_t length_;  // tokens of a text
  models::LabelHeads heads_;
};

struct TextLabels {
  std::int64_t text_class = models::kNoLabel;  // of a text without words, which has none
  double probability = 0;                      // of the class
  std::vector<std::int64_t> tags;              // of each word; kNoLabel where it was cut off or has no piece
};
// The likeliest labels of each text, which have the same bits whatever the other texts and the number of
// threads are. Throws Error(input) naming the text (counted from 1) that is not UTF-8.
std::vector<TextLabels> label(const LabelModel& model, std::span<const std::string> texts, std::int64_t batch,
                              const std::function<void(std::int64_t done, std::int64_t of)>& progress = {});

}  // namespace shelfcast::trainer
