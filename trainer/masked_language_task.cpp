#include "trainer/masked_language_task.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/activity.h"
#include "base/error.h"
#include "base/random.h"
#include "models/product.h"
#include "models/recompute.h"
#include "parallel/sharding.h"
#include "trainer/checkpoint.h"
#include "trainer/task.h"
#include "trainer/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

constexpr double kHeldOut = 0.1;  // of the distinct texts
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
    const auto all = static_cast<std::int64_t>(texts_.size());
    return (all + recipe_.train.batch - 1) / recipe_.train.batch;
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
  std::vector<const KeyedText*> batch_of(std::int64_t step, std::int64_t micro_batch) const;

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

// Texts of step s: the next `train.batch` of a permutation of all, drawn for each epoch by (seed, epoch).
// Ranks take slices, micro-batches cut them.
std::vector<const KeyedText*> MaskedLanguageTask::batch_of(std::int64_t step,
                                                           std::int64_t micro_batch) const {
  const auto all = static_cast<std::int64_t>(texts_.size());
  const std::int64_t epoch = step / steps_per_epoch(), first = step % steps_per_epoch() * recipe_.train.batch;
  const std::int64_t count = std::min(recipe_.train.batch, all - first);
  const std::vector<parallel::Slice> cuts =
      parallel::micro_batches(parallel::slice_of(count, ranks_, rank_), recipe_.train.micro_batch);
  std::vector<const KeyedText*> batch;
  if (micro_batch >= static_cast<std::int64_t>(cuts.size())) return batch;
  const KeyedPermutation order(mix(mix(seed(), key_of("texts")), static_cast<std::uint64_t>(epoch)),
                               static_cast<std::uint64_t>(all));
  const parallel::Slice cut = cuts[static_cast<std::size_t>(micro_batch)];
  for (std::int64_t i = cut.begin; i < cut.end; ++i)
    batch.push_back(&texts_[order(static_cast<std::uint64_t>(first + i))]);
  return batch;
}

WeightedLoss MaskedLanguageTask::forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                                      const BeforeBackward& before_backward) {
  const std::vector<const KeyedText*> batch = batch_of(step, micro_batch);
  if (batch.empty()) return {};
  const models::PrecisionScope precision(models::precision_from(recipe_.train.precision));
  const models::RecomputeScope recompute(recipe_.train.activation_checkpointing);
  const models::MaskedLanguageLoss loss =
      masked_language_loss(text_, batch, seed(), step, MaskedLanguageMode::training);
  before_backward(0);
  loss.sum.backward();
  return {loss.sum.item<double>(), static_cast<double>(loss.tokens)};
}

// Whole batches go to ranks and their sums are added in order, so the number of ranks changes nothing.
std::optional<double> MaskedLanguageTask::validation_loss(const std::function<bool()>& stop_requested,
                                                          parallel::Communicator& communicator) {
  const at::NoGradGuard no_grad;
  const auto all = static_cast<std::int64_t>(held_out_.size());
  const std::int64_t size = recipe_.backtest.batch, batches = (all + size - 1) / size;
  std::vector<double> sums(static_cast<std::size_t>(2 * batches), 0.0);  // loss and tokens of each batch
  for (std::int64_t first = 0; first < batches; first += communicator.size()) {
    const std::int64_t k = first + communicator.rank();
    if (k < batches) {
      std::vector<const KeyedText*> batch;
      for (std::int64_t i = k * size; i < std::min(all, (k + 1) * size); ++i)
        batch.push_back(&held_out_[static_cast<std::size_t>(i)]);
      const models::MaskedLanguageLoss loss =
          masked_language_loss(text_, batch, seed(), kValidationStep, MaskedLanguageMode::evaluation);
      sums[static_cast<std::size_t>(2 * k)] = loss.sum.item<double>();
      sums[static_cast<std::size_t>(2 * k + 1)] = static_cast<double>(loss.tokens);
    }
    activity::note_progress();
    double stop = stop_requested() ? 1.0 : 0.0;
    communicator.all_reduce(std::span(&stop, 1), parallel::ReduceOp::max, "stop during validation");
    if (stop > 0) return std::nullopt;
  }
  communicator.all_reduce(std::span<double>(sums), parallel::ReduceOp::sum, "validation loss");
  double loss = 0, tokens = 0;
  for (std::size_t k = 0; k < sums.size(); k += 2) {
    loss += sums[k];
    tokens += sums[k + 1];
  }
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
  struct Drawn {
    std::uint64_t draw;
    std::string text;
  };
  std::vector<Drawn> drawn;
  std::unordered_set<std::string> known;
  for (data::Document& document : corpus.documents())
    if (!document.text.empty() && known.insert(document.text).second)
      drawn.push_back({mix(mix(seed, key_of("held out")), key_of(document.text)), std::move(document.text)});
  const auto below = static_cast<std::uint64_t>(kHeldOut * 0x1p64);
  std::vector<std::uint64_t> held;
  for (const Drawn& one : drawn)
    if (one.draw < below) held.push_back(one.draw);
  std::sort(held.begin(), held.end());
  if (static_cast<std::int64_t>(held.size()) > most_held_out)
    held.resize(static_cast<std::size_t>(most_held_out));
  TextSplit split;
  for (Drawn& one : drawn) {
    if (one.draw >= below)
      split.trained.push_back(std::move(one.text));
    else if (!held.empty() && one.draw <= held.back())
      split.held_out.push_back(std::move(one.text));
  }
  if (split.trained.empty() || split.held_out.empty())
    throw input_error(
        fmt::format("{} holds {} different product texts", corpus.folder().string(), drawn.size()),
        "that is too few to train on nine tenths and validate on one",
        "ingest more texts (text: COLUMN in the map), or choose another run.seed");
  return split;
}

PlannedTask plan_masked_language_task(const Recipe& recipe, const data::Corpus& corpus, int ranks) {
  if (recipe.train.batch < ranks)
    throw input_error(fmt::format("train.batch {} is smaller than the {} ranks", recipe.train.batch, ranks),
                      "every rank needs at least one text of each batch",
                      "raise train.batch or use fewer ranks");
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
