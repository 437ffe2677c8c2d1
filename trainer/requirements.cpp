#include "trainer/requirements.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/loader.h"
#include "models/demand_model.h"
#include "models/product.h"
#include "parallel/sharding.h"
#include "trainer/allocation_count.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/tune.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

std::int64_t columns_of(const data::FeatureSpec& spec) {
  return static_cast<std::int64_t>(spec.past_numeric.size() + spec.past_categorical.size() +
                                   spec.known_numeric.size() + spec.known_categorical.size()) +
         (spec.censored.empty() ? 0 : 1);
}

// Windows of plausible demand, so that every path of the loss is walked.
data::Batch filled_batch(const data::FeatureSpec& spec, std::int64_t windows) {
  data::Batch batch;
  batch.resize(spec, windows);
  for (std::size_t i = 0; i < batch.context_bt.size(); ++i) batch.context_bt[i] = static_cast<float>(i % 7);
  for (std::size_t i = 0; i < batch.target_bh.size(); ++i) batch.target_bh[i] = static_cast<float>(i % 5);
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

std::int64_t activations_of(const models::DemandModel& model, const data::FeatureSpec& spec,
                            models::Precision precision, std::int64_t windows) {
  data::Batch batch = filled_batch(spec, windows);
  return peak_tensor_bytes([&] {
    const models::DropoutKeys keys{1, 0, batch.sample_b};
    const models::PrecisionScope scope(precision);
    models::loss_sums(model.forward(make_inputs(batch, spec, no_texts(spec)), &keys),
                      make_targets(batch, spec), model.config())
        .loss.backward();
  });
}

// Of forward and backward of a micro-batch: a line through two small ones. Gradients exist by then, as in
// training.
std::int64_t predicted_activations(const models::DemandModel& model, const data::FeatureSpec& spec,
                                   models::Precision precision, std::int64_t windows) {
  for (const models::Parameter& parameter : model.parameters()) {
    at::Tensor tensor = parameter.tensor;
    if (tensor.requires_grad()) tensor.mutable_grad() = at::zeros_like(tensor);
  }
  const std::int64_t few = std::min<std::int64_t>(windows, 2), more = std::min<std::int64_t>(windows, 6);
  const std::int64_t at_few = activations_of(model, spec, precision, few);
  if (windows <= more) return activations_of(model, spec, precision, windows);
  const std::int64_t at_more = activations_of(model, spec, precision, more);
  return at_more + (at_more - at_few) * (windows - more) / (more - few);
}

std::int64_t bytes_of(const data::Batch& batch) {
  return static_cast<std::int64_t>(
      batch.window_b.size() * sizeof(data::Window) + batch.sample_b.size() * 8 +
      4 * (batch.context_bt.size() + batch.past_bnt.size() + batch.past_codes_bct.size() +
           batch.known_bnu.size() + batch.known_codes_bcu.size() + batch.statics_bs.size() +
           batch.target_bh.size() + batch.bound_bh.size() + batch.weight_b.size()));
}

// Two super-blocks and the batches filled ahead.
std::int64_t loader_bytes(const Recipe& recipe, const DataPlan& plan, std::int64_t steps_read) {
  const data::WindowSpace& space = plan.train_space;
  const std::int64_t series = std::min(space.series, space.superblock * space.chunk_series);
  const std::int64_t panel = series * steps_read * (1 + columns_of(plan.features)) * kFloat;
  const std::int64_t batches =
      (data::LoaderConfig{}.ahead + 1) * bytes_of(filled_batch(plan.features, recipe.train.micro_batch));
  return 2 * panel + batches;
}

// Numbers that an optimizer keeps.
std::int64_t optimizer_elements(const OptimizerConfig& config,
                                const std::vector<parallel::FlatParameter>& parameters) {
  std::int64_t all = 0;
  for (const parallel::FlatParameter& parameter : parameters) {
    const at::Tensor& tensor = parameter.tensor;
    if (config.name == "adamw") all += 2 * tensor.numel();
    if (config.name == "sgd" && config.momentum > 0) all += tensor.numel();
    if (config.name == "adafactor")
      all += tensor.dim() == 2 ? tensor.size(0) + tensor.size(1) : tensor.numel();
  }
  return all;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

std::int64_t Requirements::memory_total() const {
  std::int64_t total = 0;
  for (const auto& [cause, bytes] : memory) total += bytes;
  return total;
}

Requirements estimate_requirements(const Recipe& recipe, int ranks) {
  at::set_num_threads(static_cast<int>(recipe.train.threads));
  const data::Corpus corpus(recipe.data.corpus);
  const DataPlan plan = make_plan(recipe, corpus);
  check_ranks(recipe, plan, ranks);
  Requirements needs;
  needs.ranks = ranks;
  needs.training_windows = plan.train_space.windows();
  needs.validation_windows = static_cast<std::int64_t>(plan.validation.size());
  needs.steps_per_epoch =
      data::Loader::steps_per_epoch(data::Sampler(0, plan.train_space), recipe.train.batch);
  needs.windows_per_rank = parallel::slice_of(recipe.train.batch, ranks, 0).size();
  needs.micro_batches = parallel::most_micro_batches(recipe.train.batch, ranks, recipe.train.micro_batch);
  const std::int64_t steps_read =
      std::min(plan.train_space.last_origin + recipe.data.horizon, corpus.info().steps) -
      std::max<std::int64_t>(0, plan.train_space.first_origin - recipe.data.context);
  needs.bytes_read_per_epoch = static_cast<double>(corpus.info().series * steps_read * kFloat) *
                               static_cast<double>(1 + columns_of(plan.features));

  const models::DemandModel model = make_model(recipe, plan.features);
  const std::vector<parallel::FlatParameter> parameters = trained_parameters(model, recipe.tune);
  for (const models::Parameter& parameter : model.parameters())
    (parameter.tensor.requires_grad() ? needs.trainable : needs.frozen) += parameter.tensor.numel();
  // A rank fills every micro-batch to its size, with windows of weight 0 where it has fewer.
  const std::int64_t windows = recipe.train.micro_batch;
  data::Batch batch = filled_batch(plan.features, windows);
  const models::ModelInputs inputs = make_inputs(batch, plan.features, no_texts(plan.features));
  for (const auto& [name, tensor] :
       {std::pair("context", inputs.context_bt), std::pair("past", inputs.past_bnt),
        std::pair("past codes", inputs.past_codes_bct), std::pair("known", inputs.known_bnu),
        std::pair("known codes", inputs.known_codes_bcu), std::pair("statics", inputs.statics_bs),
        std::pair("text", inputs.text_bw)})
    if (tensor.defined() && tensor.numel() > 0) needs.shapes.emplace_back(name, tensor.sizes().vec());
  needs.shapes.emplace_back(
      "quantiles",
      std::vector<std::int64_t>{windows, static_cast<std::int64_t>(recipe.model.quantiles.size()),
                                recipe.data.horizon});

  const std::int64_t weights = (needs.trainable + needs.frozen) * kFloat, trained = needs.trainable * kFloat;
  const std::int64_t moments = kFloat * optimizer_elements(recipe.train.optimizer, parameters);
  const std::int64_t average = recipe.train.ema > 0 ? trained : 0;
  const std::int64_t activations =
      predicted_activations(model, plan.features, models::precision_from(recipe.train.precision), windows);
  // What is resident now beside the tensors: code, tables, and what libraries took for themselves on the way.
  const std::int64_t program = memory_use().resident_bytes - weights - trained;
  needs.memory = {
      {"program and corpus tables", program},
      {"weights", weights},
      {"gradients", trained},
      {"optimizer", moments},
      {"average of weights", average},
      {"activations", activations},
      {"text vectors", text_bytes(plan.features, corpus)},
      {"loader", loader_bytes(recipe, plan, steps_read)},
      // Every bucket is under way at once at the end of backward, with room for what the others send.
      {"gradient sums", ranks > 1 ? trained : 0},
      {"checkpoint copy", trained + (moments + average) / ranks}};
  return needs;
}

std::string describe(const Requirements& needs, const Recipe& recipe) {
  std::string text = fmt::format(
      "work        {} training windows, {} steps an epoch, {} steps are {:.1f} epochs; {} windows validate\n",
      needs.training_windows, needs.steps_per_epoch, recipe.train.steps,
      static_cast<double>(recipe.train.steps) / static_cast<double>(needs.steps_per_epoch),
      needs.validation_windows);
  text += fmt::format("step        {} windows on {} {}: up to {} a rank in {} micro-batch{} of {}\n",
                      recipe.train.batch, needs.ranks, needs.ranks == 1 ? "rank" : "ranks",
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
