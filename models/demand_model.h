// The demand model: series tower, context (statics, covariates) and heads, with named parameters.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/config.h"

namespace shelfcast::models {

// Legend: b windows, t context steps, h horizon steps, u context then horizon, n numeric columns, c categorical
// columns, s statics, q quantiles.

// One micro-batch on the model's device. Filled by whoever owns a batch.
struct ModelInputs {
  at::Tensor context_bt;        // float32, NaN = not observed
  at::Tensor past_bnt;          // float32, scaled, missing = 0
  at::Tensor past_codes_bct;    // int32
  at::Tensor known_bnu;         // float32
  at::Tensor known_codes_bcu;   // int32
  at::Tensor statics_bs;        // int32
};

// What keys the dropout of a training forward; absent (nullptr) = evaluation, no dropout. Masks depend on
// (seed, step, sample, site) only, never on where in which batch a window stands.
struct DropoutKeys {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::vector<std::int64_t> sample_b;
};

// Forecasts in the normalised scale of each window's instance norm (y = scaled * scale_b + loc_b).
struct Forecast {
  at::Tensor quantiles_bqh;  // scaled
  at::Tensor mean_bh;        // scaled; undefined without a mean head
  at::Tensor loc_b, scale_b;
  // In units of demand: quantiles sorted so that they never cross, and not below `floor` (0 for demand).
  at::Tensor demand_quantiles_bqh(double floor) const;
  at::Tensor demand_mean_bh(double floor) const;
};

// A trainable tensor; `tensor` shares its TensorImpl with the model, so set_data() moves the model into flat buffers.
struct Parameter {
  std::string name;      // published name with a prefix: "tower.encoder.block.0...", "fusion.static.0.weight"
  at::Tensor tensor;     // leaf, requires_grad
  bool decay = true;     // false for norms, biases and embeddings
};

class DemandModel {
 public:
  // Random initialisation from `seed` (every tensor keyed by its name: the same on any rank).
  DemandModel(DemandModelConfig config, std::uint64_t seed);
  ~DemandModel();
  DemandModel(DemandModel&&) noexcept;

  const DemandModelConfig& config() const;
  // In forward order. Tied storage once.
  const std::vector<Parameter>& parameters() const;
  Forecast forward(const ModelInputs& inputs, const DropoutKeys* dropout) const;

  // Folder with tower/{config.json, model.safetensors} in published form, fusion.safetensors, model.json, README.
  void save(const std::filesystem::path& folder) const;
  // Throws Error(data) naming the missing, surplus or misshapen tensor.
  static DemandModel load(const std::filesystem::path& folder);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Sums, not means: the trainer divides by the weight reduced over all ranks and micro-batches.
struct LossSums {
  at::Tensor loss;          // scalar, differentiable; sum over valid targets of the weighted head losses
  double valid_targets = 0; // weight: number of valid (window, step) targets
};

// `target_bh` in units of demand with NaN = not observed; `weight_b` 0 for padding rows.
// Per valid target: quantile weight * mean over q of 2 * pinball + mean weight * (squared or absolute error), both in
// the normalised scale.
LossSums loss_sums(const Forecast& forecast, const at::Tensor& target_bh, const at::Tensor& weight_b,
                   const DemandModelConfig& config);

}  // namespace shelfcast::models
