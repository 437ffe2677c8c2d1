// The whole forward of the demand model for a few series on one thread (docs/model.md, all steps).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "scorer/forward/activation.h"
#include "scorer/forward/model_config.h"
#include "scorer/forward/residual_block.h"
#include "scorer/forward/series_tower.h"

namespace shelfcast::scorer {

// One array per series, or one for all series (stride 0). Does not own its numbers.
template <typename T>
struct Rows {
  const T* data = nullptr;
  std::int64_t stride = 0;
  const T* row(std::int64_t series) const { return data + series * stride; }
};

// What the forecasts of `series` series are made from; T = config.context, U = context then horizon steps.
struct ModelInputs {
  std::int64_t series = 0;
  Rows<float> context;                                      // [T], NaN = not observed
  std::vector<Rows<float>> past, known;                     // per column: [T], [U]
  std::vector<Rows<std::int32_t>> past_codes, known_codes;  // per column: [T], [U]
  Rows<std::int32_t> statics;                               // [statics]
  Rows<float> static_numbers;   // [2 * facts]: of each its scaled number, and 1 where that is missing
  std::int64_t texts = 0;       // distinct product texts
  Rows<float> text;             // [text_width] of each text
  Rows<std::int32_t> text_row;  // [1]: the series' text, -1 = none
};

// Where forecasts go, in units of demand; rows of the series asked for, in order.
struct ForecastRows {
  float* quantiles = nullptr;  // [count, Q, H], ascending over q, not below 0
  float* mean = nullptr;       // [count, H], not below 0; the median where the model has no mean head
  float* scale = nullptr;      // [count]: the divisor of the instance norm
};

// Scratch of one thread.
struct ForwardScratch {
  TokenBatch tokens;
  TowerScratch tower;
  std::vector<Norm> norms;
  std::vector<float> context;  // [count, T], NaN where nothing could be sold, too
  Floats patch, hidden, shift, states, tower_quantiles, known, known_hidden, known_state, known_out, mean,
      dispersion, zeros;
};

// Immutable after construction; any number of threads, each with its own scratch. Results of a series do not
// depend on the series it is computed with, bit for bit.
class DemandModel {
 public:
  // Reads model.json, tower/model.safetensors and fusion.safetensors from `folder`. Throws Error(data).
  DemandModel(const std::filesystem::path& folder, const Ops& ops);

  const ModelConfig& config() const { return config_; }
  // Rows `series` of `inputs`, in that order.
  void forecast(const ModelInputs& inputs, std::span<const std::int64_t> series, ForwardScratch& scratch,
                const ForecastRows& out) const;

 private:
  void read_patch_embedding(Weights& tower, Weights& fusion);
  void read_shifts(Weights& fusion);
  void read_heads(Weights& tower, Weights& fusion);

  // Whether nothing can be sold at step `step` of context and horizon.
  bool closed(const ModelInputs& inputs, std::int64_t series, std::int64_t step) const;
  float closure(const ModelInputs& inputs, std::int64_t series, std::int64_t step,
                std::int64_t direction) const;
  // Steps of `forecast` for the series computed together.
  void make_patches(const ModelInputs& inputs, std::int64_t series, ForwardScratch& scratch) const;
  void fill_columns(const ModelInputs& inputs, std::int64_t series, std::int64_t patch, float* row) const;
  void embed(const ModelInputs& inputs, std::span<const std::int64_t> series, ForwardScratch& scratch) const;
  // Whether there is anything that all of a series' tokens are shifted by.
  bool shifts() const { return !statics_.empty() || config_.static_numbers > 0 || config_.text_width > 0; }
  float unseen_scale(const ModelInputs& inputs, std::int64_t series) const;
  void make_shift(const ModelInputs& inputs, std::span<const std::int64_t> series,
                  ForwardScratch& scratch) const;
  void shift_tokens(const ModelInputs& inputs, std::span<const std::int64_t> series,
                    ForwardScratch& scratch) const;
  void known_head(const ModelInputs& inputs, std::span<const std::int64_t> series,
                  ForwardScratch& scratch) const;
  void heads(const ModelInputs& inputs, std::span<const std::int64_t> series, ForwardScratch& scratch) const;
  // What is said of every step by a layer for each state: [count, H] into `out`.
  void by_step(const std::vector<DenseLayer>& layers, std::int64_t count, const ForwardScratch& scratch,
               Floats& out) const;
  std::vector<DenseLayer> read_by_step(Weights& fusion, const std::string& name) const;
  void to_demand(std::int64_t count, ForwardScratch& scratch, const ForecastRows& out) const;
  // Demand is 0 where nothing can be sold.
  void close(const ModelInputs& inputs, std::span<const std::int64_t> series, const ForecastRows& out) const;

  ModelConfig config_;
  const Ops& ops_;
  ActivationFunction activation_;
  std::int64_t context_;  // steps the tower looks at
  std::int64_t skipped_;  // oldest steps of the inputs that it does not
  std::int64_t patch_width_, median_;
  std::int64_t states_, steps_each_;    // the tower's states of a series, and steps ahead that each speaks of
  std::unique_ptr<SeriesTower> tower_;  // made in the constructor, once the files are open
  ResidualBlock patch_;                 // of demand and the columns beside it
  std::vector<std::vector<float>> past_codes_, known_codes_, statics_;
  DenseLayer static_shift_, number_shift_, text_shift_;
  std::vector<float> static_level_, number_level_, text_level_;  // with config.level, as the next
  float level_bias_ = 0.0F;
  ResidualBlock output_;                               // of a state
  std::vector<DenseLayer> mean_, dispersion_, zeros_;  // of each state
  DenseLayer known_state_, known_input_, known_output_;
  std::vector<float> known_step_bias_;
};

}  // namespace shelfcast::scorer
