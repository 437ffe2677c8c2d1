// Training of a text encoder with heads on labelled texts: a class of each text, a tag of each word.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "eval/entity_metrics.h"
#include "trainer/text/label_model.h"
#include "trainer/text/labelled_texts.h"

namespace shelfcast::trainer {

// A labelled text as a model takes it. Words that were cut off, or have no piece, lose their tags.
struct LabelExample {
  LabelInput input;
  std::int64_t text_class = models::kNoLabel;
  std::vector<std::int64_t> tags = {};  // of the words that have a piece; kNoLabel where none is known
};
// Throws Error(input) naming the text (counted from 1) that is not UTF-8.
std::vector<LabelExample> to_examples(const LabelModel& model, const std::vector<LabelledText>& texts);

// What tune.text trains of the encoder, and the heads at the full learning rate. Throws what the encoder's
// does.
std::vector<parallel::FlatParameter> trained_parameters(const LabelModel& model, const TuneConfig& tune);

enum class LabelMode { training, evaluation };  // with and without dropout

// What a batch costs, and the logits it follows from.
struct BatchLabels {
  models::LabelLogits logits;
  models::LabelTargets targets;
  models::LabelLoss loss;
};
BatchLabels label_batch(const LabelModel& model, std::span<const LabelExample* const> batch,
                        const models::LabelWeights& weights, std::uint64_t seed, std::int64_t step,
                        LabelMode mode);

// How a model judged held-out texts: counts that add up.
class LabelCounters {
 public:
  explicit LabelCounters(const LabelNames& names) : names_(names) {}
  // Numbers of one record.
  std::size_t size() const;
  // Adds a batch to a record of `size()` numbers.
  void add(const BatchLabels& batch, std::span<const LabelExample* const> examples,
           std::span<double> record) const;
  // "validation_accuracy", "validation_f1_macro", ..., "confusion" of classes; the same of tags behind
  // "tag_", and the entities' precision, recall and F1. What has nothing to divide by is left out.
  nlohmann::json scores(std::span<const double> record) const;

 private:
  LabelNames names_;
};

}  // namespace shelfcast::trainer
