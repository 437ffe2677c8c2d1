#include "trainer/text/masked_language_task.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"
#include "models/product.h"
#include "models/recompute.h"
#include "parallel/sharding.h"
#include "trainer/run/checkpoint.h"
#include "trainer/task.h"
#include "trainer/text/text_batches.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kValidationStep =
    -1;  // keys the tokens hidden in validation: the same ones every time
const models::BertParts kParts{.pooler = false, .masked_language = true};

class MaskedLanguageTask : public Task {
 public:
  MaskedLanguageTask(const Recipe& recipe, const TextSplit& split, const TaskStart& start);

  std::vector<parallel::FlatParameter> trained() const override {
    return trained_parameters(text_, recipe_.tune);
  }
  void save(const fs::path& checkpoint, CopiedValues& values) const override {
    text_.save(checkpoint / kTextFolder, values.of(text_.parameters()));
  }
  bool begins_trained() const override {
    return recipe_.model.text_start == models::ModelConfig::TextStart::published;
  }
  std::int64_t steps_per_epoch() const override {
    return text_steps_per_epoch(static_cast<std::int64_t>(texts_.size()), recipe_.train);
  }
  std::int64_t micro_batches() const override {
    return parallel::most_micro_batches(recipe_.train.batch, ranks_, recipe_.train.micro_batch);
  }
  WeightedLoss forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                    const BeforeBackward& before_backward) override;
  bool validates() const override { return true; }
  std::optional<double> validation_loss(const std::function<bool()>& stop_requested,
                                        parallel::Communicator& communicator) override;
  std::string report_bad_step(const BadStep& bad, MetricsLog* log, parallel::Communicator&) const override {
    if (log != nullptr) log->write(to_json(bad));
    return "not looked for among texts";
  }

 private:
  std::uint64_t seed() const { return static_cast<std::uint64_t>(recipe_.run.seed); }

  Recipe recipe_;
  int rank_, ranks_;
  TrainedText text_;
  std::vector<KeyedText> texts_, held_out_;
};

MaskedLanguageTask::MaskedLanguageTask(const Recipe& recipe, const TextSplit& split, const TaskStart& start)
    : recipe_(recipe),
      rank_(start.communicator.rank()),
      ranks_(start.communicator.size()),
      text_(start.checkpoint.empty() ? open_masked_language_encoder(recipe)
                                     : TrainedText(start.checkpoint / kTextFolder, recipe.model, kParts)),
      texts_(tokenize(text_.tokenizer(), split.trained, recipe.model.text_length)),
      held_out_(tokenize(text_.tokenizer(), split.held_out, recipe.model.text_length)) {
  models::move_to(start.device, text_.parameters());
}

WeightedLoss MaskedLanguageTask::forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                                      const BeforeBackward& before_backward) {
  const std::vector<const KeyedText*> batch =
      text_batch(texts_, recipe_.train, seed(), step, micro_batch, rank_, ranks_);
  if (batch.empty()) return {};
  const models::PrecisionScope precision(models::precision_from(recipe_.train.precision));
  const models::RecomputeScope recompute(recipe_.train.activation_checkpointing);
  const models::MaskedLanguageLoss loss =
      masked_language_loss(text_, batch, seed(), step, MaskedLanguageMode::training);
  if (before_backward) before_backward(0);
  loss.sum.backward();
  return {loss.sum.detach(), at::scalar_tensor(loss.tokens, at::kDouble)};
}

std::optional<double> MaskedLanguageTask::validation_loss(const std::function<bool()>& stop_requested,
                                                          parallel::Communicator& communicator) {
  const at::NoGradGuard no_grad;
  const auto all = static_cast<std::int64_t>(held_out_.size());
  const std::int64_t size = recipe_.backtest.batch;
  const auto fill = [&](std::int64_t k, std::span<double> loss_and_tokens) {
    const std::vector<const KeyedText*> batch = held_out_batch(held_out_, k, size);
    const models::MaskedLanguageLoss loss =
        masked_language_loss(text_, batch, seed(), kValidationStep, MaskedLanguageMode::evaluation);
    loss_and_tokens[0] = loss.sum.item<double>();
    loss_and_tokens[1] = static_cast<double>(loss.tokens);
  };
  const auto sums = sums_of_batches((all + size - 1) / size, 2, fill, stop_requested, communicator);
  if (!sums) return std::nullopt;
  const double loss = (*sums)[0], tokens = (*sums)[1];
  if (tokens == 0)
    throw data_error("no token of the held-out texts is hidden", "they are too few or too short",
                     "train on more texts, or choose another run.seed");
  return loss / tokens;
}

// Everything that could be wrong with the recipe, found before a run folder is made.
void check(const Recipe& recipe, const TextSplit& split) {
  const TrainedText text = open_masked_language_encoder(recipe);
  try {
    embed_options(recipe.model).validate(text.bert().config());
  } catch (const Error& error) {
    throw Error(error.kind(), "model.text_length: " + error.problem(), error.why(), error.advice());
  }
  (void)trained_parameters(text, recipe.tune);
  (void)tokenize(text.tokenizer(), split.trained, recipe.model.text_length);
  (void)tokenize(text.tokenizer(), split.held_out, recipe.model.text_length);
}

}  // namespace

TrainedText open_masked_language_encoder(const Recipe& recipe) {
  return {text_model_folder(recipe.model.text), recipe.model, kParts, recipe.model.text_start,
          static_cast<std::uint64_t>(recipe.run.seed)};
}

std::vector<KeyedText> tokenize(const data::Tokenizer& tokenizer, const std::vector<std::string>& texts,
                                std::int64_t most_tokens) {
  std::vector<KeyedText> keyed;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    try {
      keyed.push_back({tokenizer.encode(texts[i], most_tokens), key_of(texts[i])});
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("product text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
  }
  return keyed;
}

models::MaskedLanguageLoss masked_language_loss(const TrainedText& encoder,
                                                const std::vector<const KeyedText*>& texts,
                                                std::uint64_t seed, std::int64_t step,
                                                MaskedLanguageMode mode) {
  std::vector<data::Encoding> masked;
  std::vector<std::vector<std::int32_t>> labels;
  models::DropoutKeys keys{seed, step, {}};
  for (const KeyedText* text : texts) {
    models::MaskedText hidden =
        models::mask_tokens(text->encoding, encoder.tokenizer(), {seed, step, text->digest});
    masked.push_back(std::move(hidden.text));
    labels.push_back(std::move(hidden.labels));
    keys.sample_b.push_back(static_cast<std::int64_t>(text->digest));
  }
  const models::Bert& bert = encoder.bert();
  const models::PackedTexts packed = models::pack_texts(masked, bert.config());
  const at::Tensor hidden_rw = bert.forward(packed, mode == MaskedLanguageMode::training ? &keys : nullptr);
  return models::masked_language_loss(*bert.masked_language(), hidden_rw,
                                      models::pack_values(labels, packed, models::kNoLabel));
}

TextSplit split_texts(const data::Corpus& corpus, std::uint64_t seed, std::int64_t most_held_out) {
  std::vector<std::string> texts;
  std::unordered_set<std::string> known;
  for (data::Document& document : corpus.documents())
    if (!document.text.empty() && known.insert(document.text).second)
      texts.push_back(std::move(document.text));
  const std::vector<TextPart> parts = draw_parts(texts, seed, most_held_out);
  TextSplit split;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (parts[i] == TextPart::trained) split.trained.push_back(std::move(texts[i]));
    if (parts[i] == TextPart::held_out) split.held_out.push_back(std::move(texts[i]));
  }
  if (split.trained.empty() || split.held_out.empty())
    throw input_error(
        fmt::format("{} holds {} different product texts", corpus.folder().string(), texts.size()),
        "that is too few to train on nine tenths and validate on one",
        "ingest more texts (text: COLUMN in the map), or choose another run.seed");
  return split;
}

PlannedTask plan_masked_language_task(const Recipe& recipe, const data::Corpus& corpus, int ranks) {
  require_text_a_rank(recipe.train, ranks);
  const TextSplit split =
      split_texts(corpus, static_cast<std::uint64_t>(recipe.run.seed), recipe.train.validate_windows);
  check(recipe, split);
  return {.recipe = recipe,
          .facts = {{"text encoder", TextEncoder(recipe.model).digest()}},
          .check_resumed = [](const RunFolder&) {},
          .start = [recipe, split](const TaskStart& start) -> std::unique_ptr<Task> {
            return std::make_unique<MaskedLanguageTask>(recipe, split, start);
          }};
}

}  // namespace shelfcast::trainer
