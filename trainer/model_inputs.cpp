#include "trainer/model_inputs.h"

namespace shelfcast::trainer {
namespace {

template <typename T>
at::Tensor view(std::vector<T>& values, at::IntArrayRef shape, at::ScalarType type) {
  return at::from_blob(values.data(), shape, at::TensorOptions().dtype(type));
}

std::int64_t count(const auto& columns) { return static_cast<std::int64_t>(columns.size()); }

std::vector<std::int64_t> cardinalities(const auto& columns) {
  std::vector<std::int64_t> result;
  for (const auto& column : columns) result.push_back(count(column.vocabulary) + 1);  // code 0 = unknown
  return result;
}

}  // namespace

models::ModelInputs make_inputs(data::Batch& batch, const data::FeatureSpec& spec, const SeriesTexts& texts,
                                const models::DropoutKeys* keys) {
  const std::int64_t b = batch.windows, t = spec.context, u = spec.context + spec.horizon;
  models::ModelInputs inputs;
  inputs.context_bt = view(batch.context_bt, {b, t}, at::kFloat);
  inputs.past_bnt = view(batch.past_bnt, {b, count(spec.past_numeric), t}, at::kFloat);
  inputs.past_codes_bct = view(batch.past_codes_bct, {b, count(spec.past_categorical), t}, at::kInt);
  inputs.known_bnu = view(batch.known_bnu, {b, count(spec.known_numeric), u}, at::kFloat);
  inputs.known_codes_bcu = view(batch.known_codes_bcu, {b, count(spec.known_categorical), u}, at::kInt);
  inputs.statics_bs = view(batch.statics_bs, {b, count(spec.statics)}, at::kInt);
  inputs.static_numbers_bn = view(batch.static_numbers_bn, {b, 2 * count(spec.static_numbers)}, at::kFloat);
  inputs.text_bw = texts.of(batch.window_b, keys);
  if (!batch.inventory_bu.empty())
    inputs.inventory_bt = view(batch.inventory_bu, {b, u}, at::kFloat).narrow(1, 0, t);
  return inputs;
}

models::Targets make_targets(data::Batch& batch, const data::FeatureSpec& spec,
                             const DemandClasses& classes) {
  models::Targets targets;
  targets.demand_bh = view(batch.target_bh, {batch.windows, spec.horizon}, at::kFloat);
  targets.weight_b = view(batch.weight_b, {batch.windows}, at::kFloat);
  if (!batch.bound_bh.empty())
    targets.bound_bh = view(batch.bound_bh, {batch.windows, spec.horizon}, at::kFloat);
  if (!batch.inventory_bu.empty())
    targets.inventory_bh = view(batch.inventory_bu, {batch.windows, spec.context + spec.horizon}, at::kFloat)
                               .narrow(1, spec.context, spec.horizon);
  if (classes.any()) {
    targets.class_bh = at::tensor(classes.of(batch), at::kLong).view({batch.windows, spec.horizon});
    targets.class_weight_c = at::tensor(classes.weights(), at::kFloat);
  }
  return targets;
}

namespace {

void cut_to(at::Tensor& tensor, std::int64_t row) {
  if (tensor.defined()) tensor = tensor.narrow(0, row, 1);
}

}  // namespace

models::ModelInputs window_of(models::ModelInputs inputs, std::int64_t row) {
  for (at::Tensor* tensor : inputs.tensors()) cut_to(*tensor, row);
  return inputs;
}

models::Targets window_of(models::Targets targets, std::int64_t row) {
  for (at::Tensor* tensor : targets.tensors())
    if (tensor != &targets.class_weight_c) cut_to(*tensor, row);
  return targets;
}

models::DemandModelConfig make_model_config(const models::ModelConfig& model, const data::FeatureSpec& spec) {
  models::DemandModelConfig config;
  config.model = model;
  config.context = spec.context;
  config.horizon = spec.horizon;
  config.tower = models::tower_for(model, spec.context, spec.horizon);
  config.past_numeric = count(spec.past_numeric);
  config.known_numeric = count(spec.known_numeric);
  for (std::int64_t i = 0; i < config.known_numeric && !spec.open.empty(); ++i)
    if (spec.known_numeric[static_cast<std::size_t>(i)].name == spec.open) config.open_column = i;
  config.past_cardinalities = cardinalities(spec.past_categorical);
  config.known_cardinalities = cardinalities(spec.known_categorical);
  config.static_cardinalities = cardinalities(spec.statics);
  config.static_numbers = count(spec.static_numbers);
  config.text_width = spec.text.width;
  return config;
}

void copy_out(const at::Tensor& tensor, std::vector<float>& values) {
  const at::Tensor dense = tensor.to(at::kCPU, at::kFloat).contiguous();
  values.assign(dense.const_data_ptr<float>(), dense.const_data_ptr<float>() + dense.numel());
}

}  // namespace shelfcast::trainer
