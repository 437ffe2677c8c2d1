// Checkpoints: a folder per step that is whole or absent, with a manifest of checksums. Free of LibTorch.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "parallel/flat_range.h"

namespace shelfcast::trainer {

// Where a run stands, beside weights and moments. The position in the data follows from the step alone.
struct TrainState {
  std::int64_t step = 0;  // steps done, those skipped for a bad gradient included
  double best_metric = 0;
  std::int64_t best_step = -1;  // -1 = nothing validated yet
  std::int64_t validations_without_best = 0;
  bool validation_pending = false;  // the run left before the validation that was due at this step

  // Of good steps since the last line of metrics.jsonl.
  double loss_sum = 0;
  std::int64_t loss_steps = 0;

  std::int64_t bucket_mb = 0;  // what parallel.bucket_mb: auto came to; 0 = nothing yet

  // What bad steps are recognised by (step_guard.h).
  double norm_average = 0;  // of the gradient's norm over good steps, exponentially weighted
  std::int64_t good_steps = 0;
  std::int64_t bad_in_a_row = 0;
  std::int64_t skipped = 0;

  // Whether so many validations without a better one (train.early_stop; 0 = any number) have ended the run.
  bool stopped_early(std::int64_t early_stop) const {
    return early_stop > 0 && validations_without_best >= early_stop;
  }
};

// One flat array of state: "first_moment".
struct FlatState {
  std::string name;
  std::span<float> values;
  // What of it belongs to which parameter, in their order; empty = laid out as the parameters are.
  std::vector<parallel::FlatRange> ranges = {};
  // Where `values` begin in the layout, if they are a share of it; without, they are all of it.
  std::optional<std::int64_t> begin = {};

  // Elements of the layout that are held: of all where each rank holds all.
  std::int64_t held_begin() const { return begin.value_or(0); }
  std::int64_t held_end() const { return held_begin() + static_cast<std::int64_t>(values.size()); }
  const std::vector<parallel::FlatRange>& layout(const std::vector<parallel::FlatRange>& parameters) const {
    return ranges.empty() ? parameters : ranges;
  }
};

// checkpoints/<step>/: tower/ (published form), text/ (published form, if it is trained), fusion.safetensors,
// model.json, optimizer-0000i-of-0000N.safetensors (rank i's share of the state), state.json, recipe.yaml,
// manifest.json (bytes and digest of every file). They are written by CheckpointWriter.
class Checkpoints {
 public:
  explicit Checkpoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Steps of the checkpoints there are, ascending, whole or not.
  std::vector<std::int64_t> steps() const;
  std::filesystem::path path_of(std::int64_t step) const { return folder_ / std::to_string(step); }
  // Where the ranks write a checkpoint until it is whole.
  std::filesystem::path staging_of(std::int64_t step) const {
    return folder_ / (std::to_string(step) + ".partial");
  }
  // Removes what a run that died left half-written. On one rank, before anyone writes.
  void remove_unfinished() const;

  // "" when every file of the checkpoint is what its manifest says, else what is wrong with which file.
  std::string damage(std::int64_t step) const;
  // The newest whole checkpoint; damaged newer ones are named in a warning and skipped. nullopt when there is
  // none.
  std::optional<std::int64_t> newest_valid() const;
  // The same. Throws Error(data) when there is none, saying whether there are damaged ones.
  std::int64_t require_newest() const;
  // The best whole checkpoint by the newest state; falls back to the newest. Throws as require_newest.
  std::int64_t best_valid() const { return best_valid(require_newest()); }
  // The same where the newest whole one is known.
  std::int64_t best_valid(std::int64_t newest) const;

  TrainState read_state(std::int64_t step) const;
  nlohmann::json read_conditions(std::int64_t step) const;
  // Copies the stored state, or what of it `state` holds, whatever number of ranks wrote it, and returns the
  // optimizer's steps. Throws Error(data) naming what is missing or has the wrong shape.
  std::int64_t read_optimizer(std::int64_t step, const std::vector<parallel::FlatRange>& ranges,
                              const std::vector<FlatState>& state) const;

  // Deletes all but the best and the last `keep_last` whole ones. `whole`: steps known to be whole, which are
  // not read again.
  void retain(std::int64_t best_step, std::int64_t keep_last, const std::set<std::int64_t>& whole) const;

 private:
  std::filesystem::path folder_;
};

// state.json as JSON, and back. `conditions`: what bits depend on (ranks, threads, buckets, build, CPU).
nlohmann::json state_to_json(const TrainState& state, const nlohmann::json& conditions);
TrainState state_from_json(const nlohmann::json& json);

// Names inside a checkpoint.
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kStateFile = "state.json";
inline constexpr const char* kLabelsFolder = "labels";  // heads on a text encoder, and what their labels are
inline constexpr const char* kTextFolder = "text";      // a trained text encoder in published form
std::string optimizer_file(int rank, int ranks);        // "optimizer-00001-of-00002.safetensors"

// Bytes and digest of a file: an entry of the manifest.
nlohmann::json describe_file(const std::filesystem::path& path);

}  // namespace shelfcast::trainer
