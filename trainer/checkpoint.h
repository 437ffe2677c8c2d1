// Checkpoints: a folder per step that is whole or absent, with a manifest of checksums.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/optimizer.h"

namespace shelfcast::trainer {

// Where a run stands, beside weights and moments. The position in the data follows from the step alone.
struct TrainState {
  std::int64_t step = 0;  // optimizer steps done
  double best_metric = 0;
  std::int64_t best_step = -1;  // -1 = nothing validated yet
  std::int64_t validations_without_best = 0;
};

// checkpoints/<step>/: tower/ (published form), fusion.safetensors, model.json,
// optimizer-00001-of-00001.safetensors, state.json, recipe.yaml, manifest.json (bytes and digest of every
// file). Called on rank 0.
class Checkpoints {
 public:
  explicit Checkpoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Writes beside and renames. `conditions`: what bits depend on (ranks, threads, buckets, build, CPU),
  // stored in state.json. Throws Error(io) (full disk), leaving the older checkpoints as they were.
  void save(const models::DemandModel& model, const parallel::FlatBuffers& buffers, const AdamW& optimizer,
            const TrainState& state, const std::string& recipe_yaml, const nlohmann::json& conditions) const;

  // Steps of the checkpoints there are, ascending, whole or not.
  std::vector<std::int64_t> steps() const;
  std::filesystem::path path_of(std::int64_t step) const { return folder_ / std::to_string(step); }

  // "" when every file of the checkpoint is what its manifest says, else what is wrong with which file.
  std::string damage(std::int64_t step) const;
  // The newest whole checkpoint; damaged newer ones are named in a warning and skipped. nullopt when there is
  // none.
  std::optional<std::int64_t> newest_valid() const;
  // The best whole checkpoint by the newest state; falls back to the newest. nullopt when there is none.
  std::optional<std::int64_t> best_valid() const;

  TrainState read_state(std::int64_t step) const;
  nlohmann::json read_conditions(std::int64_t step) const;
  // Copies the stored moments into the optimizer, range by range. Throws Error(data) naming the tensor.
  void read_optimizer(std::int64_t step, const parallel::FlatBuffers& buffers, AdamW& optimizer) const;

  // Deletes all but the best and the last `keep_last` whole ones.
  void retain(std::int64_t best_step, std::int64_t keep_last) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace shelfcast::trainer
