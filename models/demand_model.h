// The demand model: series tower, context (statics, text, covariates) and heads, with named parameters.
#pragma once

#include <torch/types.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/adapters/adapter_config.h"
#include "models/blocks.h"  // Parameter
#include "models/config.h"
#include "models/inputs.h"
#include "models/inventory.h"
#include "models/token_change.h"

namespace shelfcast::models {

// Legend: b windows, t context steps, h horizon steps, u context then horizon, n numeric columns, c
// categorical columns, s statics, q quantiles.

// Forecasts in the scale of each window's instance norm (y = scaled * scale_b + loc_b).
struct Forecast {
  at::Tensor quantiles_bqh;  // scaled; with `arcsinh` the inverse hyperbolic sine of that
  at::Tensor mean_bh;        // scaled; undefined without a mean head
  at::Tensor loc_b, scale_b;
  bool arcsinh = false;
  // How far the level that facts and words let expect is off; undefined without model.level or gradients.
  at::Tensor level_loss_b{};
  // The same with plainly scaled quantiles.
  Forecast linear() const;
  // The means of a model whose config.model.positive_means() are yet to be bent.
  bool positive_means = false;
  // Of the head of counts, undefined without it: dispersion, and the logit of the share of further zeros.
  at::Tensor dispersion_bh{}, zeros_bh{};
  // Levels of the written quantiles if they are those of the counts; else empty.
  std::vector<double> count_levels{};
  // Quantiles of demand added up over the first h steps, as (sum - h loc) / (sqrt(h) scale); undefined
  // without such a head.
  at::Tensor cumulated_bqh{};
  // How likely each step's demand is low, normal and high, [b, classes, h]; undefined without such a head.
  at::Tensor class_logits_bch{};
  // Stock on hand at each step's end, and its scale; undefined without such a head.
  at::Tensor inventory_bh{};
  InventoryNorm inventory{};
  // In training, of the steps of the context that the tower reads: what they hold where they were hidden;
  // undefined without such a head.
  at::Tensor masked_bt{};
  // Steps where nothing can be sold, of the context that the tower reads and of the horizon; undefined
  // without config.open_column. There quantiles and means are 0, whatever the heads say, and there is no
  // loss but that of sums.
  at::Tensor closed_bt{}, closed_bh{};

  // Means in units of the window's scale, from 0: mean / scale, and positive with positive_means.
  at::Tensor relative_mean_bh() const;
  // In units of demand: quantiles sorted so that they never cross, and not below `floor` (0 for demand).
  at::Tensor demand_quantiles_bqh(double floor) const;
  at::Tensor demand_mean_bh(double floor) const;
  // Of sums over the first h steps, in units of demand: ascending over q and, where `floor` is not negative,
  // never falling over h.
  at::Tensor demand_cumulated_bqh(double floor) const;
  // Of stock on hand in units, not below 0.
  at::Tensor units_held_bh() const;
};

class DemandModel {
 public:
  // Random initialisation from `seed` (every tensor keyed by its name: the same on any rank). With
  // config.model.weights the tower is read from that published directory and config.tower must be tower_for()
  // of it; all else starts so that forecasts are the tower's. Throws Error(input) or Error(data).
  DemandModel(DemandModelConfig config, std::uint64_t seed);
  ~DemandModel();
  DemandModel(DemandModel&&) noexcept;

  const DemandModelConfig& config() const;
  // In forward order. Tied storage once.
  const std::vector<Parameter>& parameters() const;
  // Where the parameters are, and forwards take place: the CPU until move_to (blocks.h) takes them elsewhere.
  at::Device device() const;
  // `change`: of the series tower's tokens; null = none.
  Forecast forward(const ModelInputs& inputs, const DropoutKeys* dropout,
                   TokenChange* change = nullptr) const;

  // Folder with tower/{config.json, model.safetensors} in published form, fusion.safetensors, model.json,
  // README; with an adapter, adapter/ in the place of tower/.
  void save(const std::filesystem::path& folder) const;
  // The same with values that stand elsewhere (a copy made for a checkpoint): one Parameter for each of
  // parameters(), by name. May run beside forward and backward.
  void save(const std::filesystem::path& folder, const std::vector<Parameter>& values) const;
  // Throws Error(data) naming the missing, surplus or misshapen tensor.
  static DemandModel load(const std::filesystem::path& folder);

  // Puts an adapter on the tower: fresh (first values from `seed`), or the one of a folder. From then on
  // parameters() has the adapter's, and save() writes adapter/ (for LoRA a PEFT folder) in the place of
  // tower/, which stays where config().model.weights is; load() reads both. Throws Error(input) without such
  // weights or for names that match nothing, Error(data) for an adapter of another base.
  void add_adapter(const AdapterConfig& config, std::uint64_t seed);
  void add_adapter(const std::filesystem::path& folder);
  // Throws what add_adapter would throw for a model of this shape, without making one.
  static void check_adapter(const DemandModelConfig& config, const AdapterConfig& adapter);
  // nullptr = none.
  const AdapterConfig* adapter() const;
  // Adds what the adapter does to the tower's own weights; the model is one without adapter afterwards. One
  // that weights cannot do (can_be_merged) stays as it is.
  void merge_adapter();

 private:
  struct Impl;
  explicit DemandModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Sums, not means: the trainer divides by the weight reduced over all ranks and micro-batches.
struct LossSums {
  at::Tensor loss;           // scalar, differentiable; sum over valid targets of the weighted head losses
  at::Tensor valid_targets;  // scalar, float64: weight or number of valid (window, step) targets
};

// What forecasts are compared with, in units of demand; in host memory.
struct Targets {
  at::Tensor demand_bh;  // NaN = not observed
  at::Tensor weight_b;   // 0 for padding rows
  at::Tensor bound_bh;   // sales that a stock-out cut (demand was above them), else NaN; may be undefined
  // For a head of classes: each step's class as a 64-bit integer, -1 where there is none; and the weights of
  // the classes, undefined = all alike.
  at::Tensor class_bh{}, class_weight_c{};
  at::Tensor inventory_bh{};  // for a head of stock on hand: units of it, NaN = not observed
  at::Tensor hidden_bt{};     // for a head of hidden steps: the context's demand there, else NaN

  // All of them.
  std::array<at::Tensor*, 7> tensors();
};

// Per valid target: quantile weight * mean over q of 2 * pinball, in the scale that the forecast has, + mean
// weight * (squared, absolute, Huber's or Tweedie's loss) in the window's scale + counts weight * negative
// log likelihood (models/likelihoods.h) + class weight * cross-entropy where the step has a class; and,
// wherever stock on hand was observed, inventory weight * its point loss (models/inventory.h); on hidden
// steps, masked weight * the same in the window's scale. A cut step
// is valid, too, unless loss.censored is mask: its loss is the mean over demands that the forecast itself
// holds possible above the bound (models/censored.h).
LossSums loss_sums(const Forecast& forecast, const Targets& targets, const DemandModelConfig& config);

}  // namespace shelfcast::models
