#include "trainer/text/text_labels_task.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/log.h"
#include "eval/class_metrics.h"
#include "models/product.h"
#include "models/recompute.h"
#include "parallel/sharding.h"
#include "trainer/task.h"
#include "trainer/text/text_batches.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription = "labels.json";  // in the run folder

nlohmann::json description_of(const LabelledTexts& texts) {
  return {{"classes", texts.names.classes},      {"tags", texts.names.tags},
          {"trained", texts.trained.size()},     {"held_out", texts.held_out.size()},
          {"unlabelled_rows", texts.unlabelled}, {"digest", texts.digest}};
}

class TextLabelsTask : public Task {
 public:
  TextLabelsTask(const Recipe& recipe, const LabelledTexts& texts, const TaskStart& start);

  std::vector<parallel::FlatParameter> trained() const override {
    return trained_parameters(model_, recipe_.tune);
  }
  void save(const fs::path& checkpoint, CopiedValues& values) const override {
    const std::vector<models::Parameter> text = values.of(model_.text().parameters());
    model_.save(checkpoint, text, values.of(model_.heads().parameters()));
  }
  void describe(const RunFolder& folder) const override {
    write_file_atomically(folder.path() / kDescription, description_.dump(2) + "\n");
  }
  bool begins_trained() const override {
    return recipe_.model.text_start == models::ModelConfig::TextStart::published;
  }
  std::int64_t steps_per_epoch() const override { return text_steps_per_epoch(texts(), recipe_.train); }
  std::int64_t micro_batches() const override {
    return parallel::most_micro_batches(recipe_.train.batch, ranks_, recipe_.train.micro_batch);
  }
  WeightedLoss forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                    const BeforeBackward& before_backward) override;
  bool validates() const override { return true; }
  std::optional<double> validation_loss(const std::function<bool()>& stop_requested,
                                        parallel::Communicator& communicator) override;
  nlohmann::json validation_scores() const override { return scores_; }
  std::string report_bad_step(const BadStep& bad, MetricsLog* log, parallel::Communicator&) const override {
    if (log != nullptr) log->write(to_json(bad));
    return "not looked for among texts";
  }

 private:
  std::int64_t texts() const { return static_cast<std::int64_t>(trained_.size()); }
  std::uint64_t seed() const { return static_cast<std::uint64_t>(recipe_.run.seed); }

  Recipe recipe_;
  int rank_, ranks_;
  nlohmann::json description_;
  LabelModel model_;
  models::LabelWeights weights_;
  std::vector<LabelExample> trained_, held_out_;
  nlohmann::json scores_ = nlohmann::json::object();  // of the last validation
};

TextLabelsTask::TextLabelsTask(const Recipe& recipe, const LabelledTexts& texts, const TaskStart& start)
    : recipe_(recipe),
      rank_(start.communicator.rank()),
      ranks_(start.communicator.size()),
      description_(description_of(texts)),
      model_(start.checkpoint.empty() ? LabelModel(recipe, texts.names)
                                      : LabelModel::open(start.checkpoint, recipe)),
      weights_(label_weights(recipe.model.labels, texts)),
      trained_(to_examples(model_, texts.trained)),
      held_out_(to_examples(model_, texts.held_out)) {
  models::move_to(start.device, model_.text().parameters());
  models::move_to(start.device, model_.heads().parameters());
}

WeightedLoss TextLabelsTask::forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                                  const BeforeBackward& before_backward) {
  const std::vector<const LabelExample*> batch =
      text_batch(trained_, recipe_.train, seed(), step, micro_batch, rank_, ranks_);
  if (batch.empty()) return {};
  const models::PrecisionScope precision(models::precision_from(recipe_.train.precision));
  const models::RecomputeScope recompute(recipe_.train.activation_checkpointing);
  const models::LabelLoss loss = label_batch(model_, batch, weights_, seed(), step, LabelMode::training).loss;
  if (before_backward) before_backward(0);
  loss.sum.backward();
  return {loss.sum.detach(), at::scalar_tensor(loss.labels, at::kDouble)};
}

std::optional<double> TextLabelsTask::validation_loss(const std::function<bool()>& stop_requested,
                                                      parallel::Communicator& communicator) {
  const at::NoGradGuard no_grad;
  const auto all = static_cast<std::int64_t>(held_out_.size());
  const std::int64_t size = recipe_.backtest.batch;
  const LabelCounters counters(model_.names());
  const auto fill = [&](std::int64_t k, std::span<double> sums) {
    const std::vector<const LabelExample*> batch = held_out_batch(held_out_, k, size);
    const BatchLabels judged = label_batch(model_, batch, weights_, seed(), 0, LabelMode::evaluation);
    sums[0] = judged.loss.sum.item<double>();
    sums[1] = static_cast<double>(judged.loss.labels);
    counters.add(judged, batch, sums.subspan(2));
  };
  const auto sums =
      sums_of_batches((all + size - 1) / size, 2 + counters.size(), fill, stop_requested, communicator);
  if (!sums) return std::nullopt;
  if ((*sums)[1] == 0)
    throw data_error("no word of the held-out texts has a tag", "model.text_length cuts them all off",
                     "raise it");
  scores_ = counters.scores(std::span(*sums).subspan(2));
  std::string told;
  for (const char* score : {"accuracy", "f1_macro", "f1_weighted", "entity_f1"})
    if (const auto found = scores_.find(fmt::format("validation_{}", score)); found != scores_.end())
      told += fmt::format(", {} {:.4f}", score, found->get<double>());
  log::all("held-out texts: loss {:.4f}{}", (*sums)[0] / (*sums)[1], told);
  return (*sums)[0] / (*sums)[1];
}

// The scores of one head under its prefix.
void put_scores(std::span<const double> confusion, const std::vector<std::string>& names,
                const std::string& prefix, nlohmann::json& scores) {
  constexpr std::string_view kConfusion = "confusion@";
  for (const eval::Score& score : eval::class_scores(confusion, names))
    if (score.value && !score.metric.starts_with(kConfusion))
      scores[fmt::format("validation_{}{}", prefix, score.metric)] = *score.value;
  nlohmann::json& rows = scores[prefix + "confusion"] = nlohmann::json::array();
  for (std::size_t truth = 0; truth < names.size(); ++truth)
    rows.push_back(confusion.subspan(truth * names.size(), names.size()));
}

// A run goes on with the labels it began with.
void check_labels(const RunFolder& folder, const LabelledTexts& texts) {
  const fs::path file = folder.path() / kDescription;
  if (!fs::exists(file) || read_json(file).value("digest", std::string()) == texts.digest) return;
  throw data_error(
      fmt::format("the labelled texts are not those that {} was started with", folder.path().string()),
      "the table in data.labels.table has changed", "put it back as it was, or start a new run");
}

// Everything that could be wrong with the recipe, found before a run folder is made.
void check(const Recipe& recipe, const LabelledTexts& texts) {
  const LabelModel model(recipe, texts.names);
  try {
    embed_options(recipe.model).validate(model.text().bert().config());
  } catch (const Error& error) {
    throw Error(error.kind(), "model.text_length: " + error.problem(), error.why(), error.advice());
  }
  (void)trained_parameters(model, recipe.tune);
  (void)label_weights(recipe.model.labels, texts);
  (void)to_examples(model, texts.trained);
  (void)to_examples(model, texts.held_out);
}

}  // namespace

std::vector<parallel::FlatParameter> trained_parameters(const LabelModel& model, const TuneConfig& tune) {
  std::vector<parallel::FlatParameter> trained = trained_parameters(model.text(), tune);
  for (const models::Parameter& parameter : model.heads().parameters())
    trained.push_back({parameter.name, parameter.tensor, 1.0, parameter.decay});
  return trained;
}

std::vector<LabelExample> to_examples(const LabelModel& model, const std::vector<LabelledText>& texts) {
  std::vector<LabelExample> examples;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    LabelExample example{.input = {}, .text_class = texts[i].text_class};
    try {
      example.input = model.encode(texts[i].text);
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("labelled text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
    const std::vector<std::int32_t>& pieces = example.input.encoding.first_piece;
    for (std::size_t word = 0; word < pieces.size(); ++word)
      if (pieces[word] != data::WordEncoding::kNoPiece)
        example.tags.push_back(texts[i].tags.empty() ? models::kNoLabel : texts[i].tags[word]);
    examples.push_back(std::move(example));
  }
  return examples;
}

BatchLabels label_batch(const LabelModel& model, std::span<const LabelExample* const> batch,
                        const models::LabelWeights& weights, std::uint64_t seed, std::int64_t step,
                        LabelMode mode) {
  std::vector<const LabelInput*> inputs;
  std::vector<std::int64_t> classes, tags;
  for (const LabelExample* example : batch) {
    inputs.push_back(&example->input);
    classes.push_back(example->text_class);
    tags.insert(tags.end(), example->tags.begin(), example->tags.end());
  }
  models::DropoutKeys keys{seed, step, {}};
  BatchLabels judged{model.forward(inputs, mode == LabelMode::training ? &keys : nullptr),
                     {at::tensor(classes, at::kLong), at::tensor(tags, at::kLong)},
                     {}};
  judged.loss = models::label_loss(judged.logits, judged.targets, weights);
  return judged;
}

std::size_t LabelCounters::size() const {
  const std::size_t classes = names_.classes.size(), tags = names_.tags.size();
  return classes * classes + tags * tags + 3;
}

void LabelCounters::add(const BatchLabels& batch, std::span<const LabelExample* const> examples,
                        std::span<double> record) const {
  const auto likeliest = [](const at::Tensor& logits) { return logits.argmax(1).to(at::kCPU); };
  const std::size_t classes = names_.classes.size(), tags = names_.tags.size();
  if (classes > 0) {
    const at::Tensor found = likeliest(batch.logits.class_bc);
    for (std::size_t i = 0; i < examples.size(); ++i)
      if (const std::int64_t truth = examples[i]->text_class; truth != models::kNoLabel)
        ++record[static_cast<std::size_t>(truth) * classes +
                 static_cast<std::size_t>(found[static_cast<std::int64_t>(i)].item<std::int64_t>())];
  }
  if (tags == 0) return;
  const at::Tensor found = likeliest(batch.logits.tag_nt);
  eval::EntityCounts entities;
  std::int64_t word = 0;
  for (const LabelExample* example : examples) {
    std::vector<std::string_view> truth, forecast;
    for (const std::int64_t tag : example->tags) {
      const auto there = static_cast<std::size_t>(found[word++].item<std::int64_t>());
      if (tag == models::kNoLabel) continue;
      ++record[classes * classes + static_cast<std::size_t>(tag) * tags + there];
      truth.push_back(names_.tags[static_cast<std::size_t>(tag)]);
      forecast.push_back(names_.tags[there]);
    }
    entities.add(truth, forecast);
  }
  const std::span<double> counts = record.subspan(classes * classes + tags * tags);
  counts[0] += entities.right;
  counts[1] += entities.truths;
  counts[2] += entities.forecasts;
}

nlohmann::json LabelCounters::scores(std::span<const double> record) const {
  nlohmann::json scores = nlohmann::json::object();
  const std::size_t classes = names_.classes.size(), tags = names_.tags.size();
  if (classes > 0) put_scores(record.first(classes * classes), names_.classes, "", scores);
  if (tags == 0) return scores;
  put_scores(record.subspan(classes * classes, tags * tags), names_.tags, "tag_", scores);
  const std::span<const double> counts = record.subspan(classes * classes + tags * tags);
  for (const eval::Score& score : eval::entity_scores({counts[0], counts[1], counts[2]}))
    if (score.value) scores[fmt::format("validation_{}", score.metric)] = *score.value;
  return scores;
}

PlannedTask plan_text_labels_task(const Recipe& recipe, int ranks) {
  require_text_a_rank(recipe.train, ranks);
  const LabelledTexts texts = read_labelled_texts(
      recipe.data.labels, static_cast<std::uint64_t>(recipe.run.seed), recipe.train.validate_windows);
  check(recipe, texts);
  return {.recipe = recipe,
          .facts = {{"text encoder", TextEncoder(recipe.model).digest()}, {"labelled texts", texts.digest}},
          .check_resumed = [texts](const RunFolder& folder) { check_labels(folder, texts); },
          .start = [recipe, texts](const TaskStart& start) -> std::unique_ptr<Task> {
            return std::make_unique<TextLabelsTask>(recipe, texts, start);
          }};
}

}  // namespace shelfcast::trainer
