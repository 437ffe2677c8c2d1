#include "trainer/requirements.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/loader.h"
#include "models/demand_model.h"
#include "models/product.h"
#include "models/recompute.h"
#include "parallel/buckets.h"
#include "parallel/sharding.h"
#include "trainer/adversarial.h"
#include "trainer/allocation_count.h"
#include "trainer/device.h"
#include "trainer/micro_batch_probe.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/task.h"
#include "trainer/text/live_texts.h"
#include "trainer/text/masked_language_task.h"
#include "trainer/text/text_batches.h"
#include "trainer/text/text_encoder.h"
#include "trainer/text/text_labels_task.h"
#include "trainer/tune.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

std::int64_t columns_of(const data::FeatureSpec& spec) {
  return static_cast<std::int64_t>(spec.past_numeric.size() + spec.past_categorical.size() +
                                   spec.known_numeric.size() + spec.known_categorical.size()) +
         (spec.censored.empty() ? 0 : 1) + (spec.inventory.empty() ? 0 : 1);
}

// A run's text encoder and texts, where it trains them.
struct TextTraining {
  std::shared_ptr<const TrainedText> encoder;
  std::unique_ptr<LiveTexts> texts;
};

TextTraining make_text_training(const Recipe& recipe, const data::Corpus& corpus) {
  if (recipe.tune.text == TuneConfig::Text::frozen) return {};
  TextTraining training;
  training.encoder = std::make_shared<const TrainedText>(
      text_model_folder(recipe.model.text), recipe.model, demand_text_parts(recipe.model),
      recipe.model.text_start, static_cast<std::uint64_t>(recipe.run.seed));
  training.texts =
      std::make_unique<LiveTexts>(training.encoder, recipe.model, ProductTexts(text_of_series(corpus)).texts);
  return training;
}

// Windows of plausible demand, so that every path of the loss is walked.
data::Batch filled_batch(const data::FeatureSpec& spec, std::int64_t windows) {
  data::Batch batch;
  batch.resize(spec, windows);
  for (std::size_t i = 0; i < batch.context_bt.size(); ++i) batch.context_bt[i] = static_cast<float>(i % 7);
  for (std::size_t i = 0; i < batch.target_bh.size(); ++i) batch.target_bh[i] = static_cast<float>(i % 5);
  std::fill(batch.inventory_bu.begin(), batch.inventory_bu.end(), 3.0F);
  std::fill(batch.weight_b.begin(), batch.weight_b.end(), 1.0F);
  return batch;
}

// Texts of batches whose windows name no series.
SeriesTexts no_texts(const data::FeatureSpec& spec) {
  return spec.text.width == 0 ? SeriesTexts() : SeriesTexts(at::empty({0, spec.text.width}), {});
}

// Vectors of the distinct texts, and a row number a series.
std::int64_t text_bytes(const data::FeatureSpec& spec, const data::Corpus& corpus) {
  if (spec.text.width == 0) return 0;
  const ProductTexts all(text_of_series(corpus));
  return static_cast<std::int64_t>(all.texts.size()) * spec.text.width * kFloat +
         static_cast<std::int64_t>(all.row_of_series.size() * sizeof(std::int64_t));
}

void forward_and_backward(const models::DemandModel& model, const data::FeatureSpec& spec,
                          const TrainConfig& train, std::int64_t windows) {
  data::Batch batch = filled_batch(spec, windows);
  const models::DropoutKeys keys{1, 0, batch.sample_b};
  models::Targets targets = make_targets(batch, spec);
  targets.class_bh = at::zeros_like(targets.demand_bh, at::kLong);  // any: a head's loss is to be walked
  if (train.masked > 0) targets.hidden_bt = at::ones({batch.windows, spec.context});
  const models::PrecisionScope scope(models::precision_from(train.precision));
  const models::RecomputeScope recompute(train.activation_checkpointing);
  adversarial_backward(
      train.adversarial,
      [&](models::TokenChange* change) {
        return models::loss_sums(model.forward(make_inputs(batch, spec, no_texts(spec)), &keys, change),
                                 targets, model.config());
      },
      [](int) {});
}

std::int64_t activations_of(const models::DemandModel& model, const data::FeatureSpec& spec,
                            const TrainConfig& train, std::int64_t windows) {
  return peak_tensor_bytes([&] { forward_and_backward(model, spec, train, windows); });
}

// Of a micro-batch whose windows have the longest texts there are, all different.
void encode_longest(const LiveTexts& texts, const TrainConfig& train, std::int64_t count) {
  const models::DropoutKeys keys{1, 0, {}};
  const models::PrecisionScope scope(models::precision_from(train.precision));
  const models::RecomputeScope recompute(train.activation_checkpointing);
  texts.encode(texts.longest(count), &keys).sum().backward();
}

std::int64_t text_activations(const LiveTexts& texts, const TrainConfig& train, std::int64_t windows) {
  return extrapolated(std::min(windows, texts.texts()), [&](std::int64_t count) {
    return peak_tensor_bytes([&] { encode_longest(texts, train, count); });
  });
}

std::int64_t bytes_of(const data::Batch& batch) {
  return static_cast<std::int64_t>(
      batch.window_b.size() * sizeof(data::Window) + batch.sample_b.size() * 8 +
      4 * (batch.context_bt.size() + batch.past_bnt.size() + batch.past_codes_bct.size() +
           batch.known_bnu.size() + batch.known_codes_bcu.size() + batch.statics_bs.size() +
           batch.static_numbers_bn.size() + batch.target_bh.size() + batch.bound_bh.size() +
           batch.inventory_bu.size() + batch.weight_b.size()));
}

// Two super-blocks and the batches filled ahead.
std::int64_t loader_bytes(const Recipe& recipe, const DataPlan& plan, std::int64_t steps_read) {
  const data::WindowSpace& space = plan.train_space;
  const std::int64_t series = std::min(space.series, space.superblock * space.chunk_series);
  const std::int64_t panel = series * steps_read * (1 + columns_of(plan.features)) * kFloat;
  const std::int64_t batches = (data::LoaderConfig{}.ahead + 1) * (recipe.train.augment.mixes() ? 2 : 1) *
                               bytes_of(filled_batch(plan.features, recipe.train.micro_batch));
  return 2 * panel + batches;
}

void count_parameters(const std::vector<models::Parameter>& parameters, Requirements& needs) {
  for (const models::Parameter& parameter : parameters) {
    const at::Tensor& tensor = parameter.tensor;
    (tensor.requires_grad() ? needs.trainable : needs.frozen) += tensor.numel();
    if (tensor.requires_grad())
      needs.factored += tensor.dim() == 2 ? tensor.size(0) + tensor.size(1) : tensor.numel();
  }
}

void lay_out(const std::vector<parallel::FlatParameter>& trained, Requirements& needs) {
  needs.ranges = parallel::flat_layout(trained);
  needs.elements = needs.ranges.empty() ? 0 : needs.ranges.back().offset + needs.ranges.back().elements;
}

// Numbers that the optimizer keeps.
std::int64_t optimizer_elements(const OptimizerConfig& config, const Requirements& needs) {
  if (config.name == "adamw") return 2 * needs.trainable;
  if (config.name == "adafactor") return needs.factored;
  return config.momentum > 0 ? needs.trainable : 0;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void cut_batch(const Recipe& recipe, Requirements& needs) {
  needs.windows_per_rank = parallel::slice_of(recipe.train.batch, needs.ranks, 0).size();
  needs.micro_batches =
      parallel::most_micro_batches(recipe.train.batch, needs.ranks, recipe.train.micro_batch);
}

std::int64_t bucket_bytes(const ParallelConfig& config) {
  return (config.bucket_mb == ParallelConfig::kTuned ? ParallelConfig().bucket_mb : config.bucket_mb) *
         1'000'000;
}

// What sending gradients takes beside the gradients, with so many ranks on a host.
std::int64_t transfer_bytes(const ParallelConfig& config, const Requirements& needs,
                            std::int64_t ranks_per_host) {
  if (needs.ranks == 1) return 0;
  const bool compressed = config.compress == parallel::GradientFormat::bf16;
  const std::int64_t element = compressed ? kFloat / 2 : kFloat;
  // Ranks of one host add up in each other's memory; else there is room for what the others send.
  const int room = needs.ranks <= ranks_per_host ? 0 : 1;
  // Every bucket is under way at once at the end of backward; compressed ones are copies.
  if (config.zero < 2) return needs.elements * element * (room + (compressed ? 1 : 0));
  // Two buckets at a time.
  std::int64_t largest = 0;
  for (const parallel::Bucket& bucket :
       parallel::cut_buckets(needs.ranges, needs.elements, bucket_bytes(config)))
    largest = std::max(largest, bucket.elements);
  return 2 * (1 + room) * largest * element;
}

// What training takes whatever it trains. Gradients and weights are in memory by now, and the CPU has
// computed a micro-batch.
std::vector<std::pair<std::string, std::int64_t>> training_memory(const Recipe& recipe,
                                                                  const Requirements& needs,
                                                                  std::int64_t activations) {
  const std::int64_t weights = (needs.trainable + needs.frozen) * kFloat, trained = needs.trainable * kFloat;
  const std::int64_t moments = optimizer_elements(recipe.train.optimizer, needs) * kFloat;
  const auto sharers = [&](std::int64_t stage) { return recipe.parallel.zero >= stage ? needs.sharers : 1; };
  const std::int64_t average = recipe.train.ema > 0 ? trained : 0;
  // What is resident now beside the tensors: code, tables, and what libraries took for themselves on the way.
  const std::int64_t program = memory_use().resident_bytes - weights - trained;
  return {{"program and corpus tables", program},
          {"weights", weights},
          {"gradients", trained / sharers(2)},
          {"optimizer", moments / sharers(1)},
          {"average of weights", average},
          {"elastic weights", recipe.train.ewc.strength > 0 ? 2 * trained : 0},
          {"activations", activations},
          {"checkpoint copy", trained + (moments + average) / needs.ranks}};
}

struct RankCounts {
  int all, sharers;  // in the run; among whom parallel.zero shares out
};

RankCounts count_ranks(const ParallelConfig& config, int ranks, const CostAssumptions& assumed) {
  if (config.zero_within == ZeroWithin::run) return {ranks, ranks};
  const int node = config.node_ranks == ParallelConfig::kHosts ? static_cast<int>(assumed.gpus_per_node)
                                                               : static_cast<int>(config.node_ranks);
  return {ranks, std::min(node, ranks)};
}

// What a task on texts alone needs. `longest_first`: tokens of each text that is trained on; `work`: forward
// and backward of the first so many of them.
Requirements estimate_texts(const Recipe& recipe, RankCounts ranks,
                            const std::vector<parallel::FlatParameter>& trained,
                            const std::vector<models::Parameter>& parameters,
                            const std::vector<std::int64_t>& longest_first, std::int64_t held_out,
                            const at::Device& device, const std::function<void(std::int64_t)>& work) {
  Requirements needs;
  needs.ranks = ranks.all;
  needs.sharers = ranks.sharers;
  needs.unit = "texts";
  needs.training_windows = static_cast<std::int64_t>(longest_first.size());
  needs.validation_windows = held_out;
  needs.steps_per_epoch = text_steps_per_epoch(needs.training_windows, recipe.train);
  cut_batch(recipe, needs);
  lay_out(trained, needs);
  count_parameters(parameters, needs);
  make_gradients(parameters);
  const std::int64_t most = std::min(recipe.train.micro_batch, needs.training_windows);
  needs.shapes.emplace_back("tokens", std::vector<std::int64_t>{most, longest_first.front()});
  const auto in_precision = [&](std::int64_t count) {
    const models::PrecisionScope scope(models::precision_from(recipe.train.precision));
    const models::RecomputeScope recompute(recipe.train.activation_checkpointing);
    work(count);
  };
  const std::int64_t activations =
      extrapolated(most, [&](std::int64_t count) { return peak_tensor_bytes([&] { in_precision(count); }); });
  needs.micro_batch_seconds = seconds_of(most, at::kCPU, in_precision);
  needs.memory = training_memory(recipe, needs, activations);
  if (device.is_cpu()) return needs;
  move_with_gradients(device, parameters);
  needs.micro_batch_seconds = seconds_of(most, device, in_precision);
  return needs;
}

// Sorts texts by their tokens, the longest first, and returns how many each has.
template <typename Text, typename IdsOf>
std::vector<std::int64_t> sort_longest_first(std::vector<Text>& texts, IdsOf ids_of) {
  std::stable_sort(texts.begin(), texts.end(),
                   [&](const Text& a, const Text& b) { return ids_of(a).size() > ids_of(b).size(); });
  std::vector<std::int64_t> lengths;
  for (const Text& text : texts) lengths.push_back(static_cast<std::int64_t>(ids_of(text).size()));
  return lengths;
}

template <typename Text>
std::vector<const Text*> first_of(const std::vector<Text>& texts, std::int64_t count) {
  std::vector<const Text*> first;
  for (std::int64_t i = 0; i < count; ++i) first.push_back(&texts[static_cast<std::size_t>(i)]);
  return first;
}

Requirements estimate_masked_language(const Recipe& recipe, const data::Corpus& corpus, RankCounts ranks,
                                      const at::Device& device) {
  const PlannedTask plan = plan_masked_language_task(recipe, corpus, ranks.all);
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  const TextSplit split = split_texts(corpus, seed, recipe.train.validate_windows);
  const TrainedText encoder = open_masked_language_encoder(recipe);
  std::vector<KeyedText> texts = tokenize(encoder.tokenizer(), split.trained, recipe.model.text_length);
  const std::vector<std::int64_t> lengths = sort_longest_first(
      texts, [](const KeyedText& text) -> const auto& { return text.encoding.ids; });
  return estimate_texts(
      recipe, ranks, trained_parameters(encoder, recipe.tune), encoder.parameters(), lengths,
      static_cast<std::int64_t>(split.held_out.size()), device, [&](std::int64_t count) {
        masked_language_loss(encoder, first_of(texts, count), seed, 0, MaskedLanguageMode::training)
            .sum.backward();
      });
}

Requirements estimate_text_labels(const Recipe& recipe, RankCounts ranks, const at::Device& device) {
  const PlannedTask plan = plan_text_labels_task(recipe, ranks.all);
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  const LabelledTexts texts = read_labelled_texts(recipe.data.labels, seed, recipe.train.validate_windows);
  const LabelModel model(recipe, texts.names);
  const models::LabelWeights weights = label_weights(recipe.model.labels, texts);
  std::vector<LabelExample> examples = to_examples(model, texts.trained);
  const std::vector<std::int64_t> lengths = sort_longest_first(
      examples,
      [](const LabelExample& example) -> const auto& { return example.input.encoding.encoding.ids; });
  const std::vector<parallel::FlatParameter> trained = trained_parameters(model, recipe.tune);
  std::vector<models::Parameter> parameters = model.text().parameters();
  const std::vector<models::Parameter>& heads = model.heads().parameters();
  parameters.insert(parameters.end(), heads.begin(), heads.end());
  return estimate_texts(recipe, ranks, trained, parameters, lengths,
                        static_cast<std::int64_t>(texts.held_out.size()), device, [&](std::int64_t count) {
                          label_batch(model, first_of(examples, count), weights, seed, 0, LabelMode::training)
                              .loss.sum.backward();
                        });
}

Requirements estimate_demand(const Recipe& recipe, const data::Corpus& corpus, RankCounts ranks,
                             const at::Device& device) {
  const DataPlan plan = make_plan(recipe, corpus);
  check_ranks(recipe, plan, ranks.all);
  Requirements needs;
  needs.ranks = ranks.all;
  needs.sharers = ranks.sharers;
  needs.training_windows = plan.train_space.windows();
  needs.validation_windows = static_cast<std::int64_t>(plan.validation.size());
  needs.steps_per_epoch =
      data::Loader::steps_per_epoch(data::Sampler(0, plan.train_space), recipe.train.batch);
  cut_batch(recipe, needs);
  const std::int64_t steps_read =
      std::min(plan.train_space.last_origin + recipe.data.horizon, corpus.info().steps) -
      std::max<std::int64_t>(0, plan.train_space.earliest_origin() - recipe.data.context);
  needs.bytes_read_per_epoch = static_cast<double>(corpus.info().series * steps_read * kFloat) *
                               static_cast<double>(1 + columns_of(plan.features));

  const Recipe whole = with_adapter(recipe);
  check_tuning(whole, plan.features);
  const models::DemandModel model = make_model(whole, plan.features);
  std::vector<parallel::FlatParameter> trained = trained_parameters(model, recipe.tune);
  count_parameters(model.parameters(), needs);
  const TextTraining text = make_text_training(recipe, corpus);
  if (text.encoder) {
    const std::vector<parallel::FlatParameter> of_text = trained_parameters(*text.encoder, recipe.tune);
    trained.insert(trained.begin(), of_text.begin(), of_text.end());
    count_parameters(text.encoder->parameters(), needs);
  }
  lay_out(trained, needs);
  // A rank fills every micro-batch to its size, with windows of weight 0 where it has fewer.
  const std::int64_t windows = recipe.train.micro_batch;
  data::Batch batch = filled_batch(plan.features, windows);
  const models::ModelInputs inputs = make_inputs(batch, plan.features, no_texts(plan.features));
  for (const auto& [name, tensor] :
       {std::pair("context", inputs.context_bt), std::pair("past", inputs.past_bnt),
        std::pair("past codes", inputs.past_codes_bct), std::pair("known", inputs.known_bnu),
        std::pair("known codes", inputs.known_codes_bcu), std::pair("statics", inputs.statics_bs),
        std::pair("static numbers", inputs.static_numbers_bn), std::pair("text", inputs.text_bw)})
    if (tensor.defined() && tensor.numel() > 0) needs.shapes.emplace_back(name, tensor.sizes().vec());
  needs.shapes.emplace_back(
      "quantiles",
      std::vector<std::int64_t>{windows, static_cast<std::int64_t>(recipe.model.quantiles.size()),
                                recipe.data.horizon});

  make_gradients(model.parameters());
  std::int64_t activations = extrapolated(
      windows, [&](std::int64_t few) { return activations_of(model, plan.features, recipe.train, few); });
  if (text.texts) {
    make_gradients(text.encoder->parameters());
    activations += text_activations(*text.texts, recipe.train, windows);
  }
  const auto timed_on = [&](const at::Device& where) {
    const double forecaster = seconds_of(windows, where, [&](std::int64_t few) {
      forward_and_backward(model, plan.features, recipe.train, few);
    });
    if (!text.texts) return forecaster;
    // Texts anew for every change of the tokens.
    return forecaster + static_cast<double>(recipe.train.adversarial.forwards()) *
                            seconds_of(std::min(windows, text.texts->texts()), where, [&](std::int64_t few) {
                              encode_longest(*text.texts, recipe.train, few);
                            });
  };
  needs.micro_batch_seconds = timed_on(at::kCPU);
  needs.memory = training_memory(recipe, needs, activations);
  needs.memory.emplace_back("text vectors", text_bytes(plan.features, corpus));
  needs.memory.emplace_back("loader", loader_bytes(recipe, plan, steps_read));
  if (device.is_cpu()) return needs;
  move_with_gradients(device, model.parameters());
  if (text.encoder) move_with_gradients(device, text.encoder->parameters());
  needs.micro_batch_seconds = timed_on(device);
  return needs;
}

}  // namespace

std::int64_t Requirements::memory_total() const {
  std::int64_t total = 0;
  for (const auto& [cause, bytes] : memory) total += bytes;
  return total;
}

namespace {

Requirements estimate_task(const Recipe& recipe, RankCounts ranks, const at::Device& device) {
  if (recipe.train.task == TrainConfig::Task::text_labels) return estimate_text_labels(recipe, ranks, device);
  const data::Corpus corpus(recipe.data.source());
  return recipe.train.task == TrainConfig::Task::masked_language
             ? estimate_masked_language(recipe, corpus, ranks, device)
             : estimate_demand(recipe, corpus, ranks, device);
}

}  // namespace

Requirements estimate_requirements(const Recipe& recipe, int ranks, const CostAssumptions& assumed,
                                   const parallel::RankDevice& device) {
  recipe.parallel.check_ranks(ranks);
  at::set_num_threads(static_cast<int>(recipe.train.threads));
  prepare(device_of(device.gpu));
  Requirements needs =
      estimate_task(recipe, count_ranks(recipe.parallel, ranks, assumed), device_of(device.gpu));
  needs.measured_on = device.device_name;
  needs.memory.emplace_back(
      "gradient sums",
      transfer_bytes(recipe.parallel, needs, static_cast<std::int64_t>(assumed.gpus_per_node)));
  return needs;
}

CostInputs cost_inputs(const Requirements& needs, const Recipe& recipe) {
  const double moments = static_cast<double>(optimizer_elements(recipe.train.optimizer, needs)) * kFloat;
  const double weights = static_cast<double>(needs.trainable + needs.frozen) * kFloat;
  return {.ranges = needs.ranges,
          .elements = needs.elements,
          .bucket_bytes = bucket_bytes(recipe.parallel),
          .zero = recipe.parallel.zero,
          .sharers = recipe.parallel.zero_within == ZeroWithin::run ? 0 : needs.sharers,
          .gradient_bytes = recipe.parallel.compress == parallel::GradientFormat::bf16 ? 2.0 : 4.0,
          .micro_batch_s = needs.micro_batch_seconds,
          .measured_on = needs.measured_on,
          .micro_batch = recipe.train.micro_batch,
          .batch = recipe.train.batch,
          .steps = recipe.train.steps,
          .checkpoint_every = recipe.train.checkpoint_every,
          .checkpoint_bytes = weights + moments,
          .bytes_read_a_step = needs.bytes_read_per_epoch / static_cast<double>(needs.steps_per_epoch)};
}

std::string describe(const Requirements& needs, const Recipe& recipe) {
  std::string text = fmt::format(
      "work        {} training {}, {} steps an epoch, {} steps are {:.1f} epochs; {} {} validate\n",
      needs.training_windows, needs.unit, needs.steps_per_epoch, recipe.train.steps,
      static_cast<double>(recipe.train.steps) / static_cast<double>(needs.steps_per_epoch),
      needs.validation_windows, needs.unit);
  text += fmt::format("step        {} {} on {} {}: up to {} a rank in {} micro-batch{} of {}\n",
                      recipe.train.batch, needs.unit, needs.ranks, needs.ranks == 1 ? "rank" : "ranks",
                      needs.windows_per_rank, needs.micro_batches, needs.micro_batches == 1 ? "" : "es",
                      recipe.train.micro_batch);
  text += "shapes      ";
  for (const auto& [name, shape] : needs.shapes)
    text +=
        fmt::format("{}{} {}", &shape == &needs.shapes.front().second ? "" : ", ", name, shape_text(shape));
  text += fmt::format("\nparameters  {:.2f} M trained, {:.2f} M not\n",
                      static_cast<double>(needs.trainable) / 1e6, static_cast<double>(needs.frozen) / 1e6);
  text += fmt::format("reading     at most {} an epoch and rank\n", format_bytes(needs.bytes_read_per_epoch));
  text += "memory of rank 0, MB\n";
  const auto line = [](const std::string& cause, std::int64_t bytes) {
    return fmt::format("  {:<26}{:>8.0f}", cause, static_cast<double>(bytes) / 1e6);
  };
  for (const auto& [cause, bytes] : needs.memory) text += line(cause, bytes) + "\n";
  return text + line("together", needs.memory_total());
}

}  // namespace shelfcast::trainer
