// The training loop: batches -> forward -> backward -> gradient sum over ranks -> optimizer, with validation,
// checkpoints and resume.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "parallel/communicator.h"
#include "trainer/recipe/recipe.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {

class DeviceGraph;  // micro_batch_graph.h

// Why a run ended.
enum class Ending { finished, stopped_early, signalled, stop_after };

struct TrainResult {
  Ending ending = Ending::finished;
  std::int64_t step = 0;        // optimizer steps done
  double best_metric = 0;       // smallest validation loss
  std::int64_t best_step = -1;  // -1 = nothing was validated
  double seconds = 0;           // spent in the loop by this process
};

struct TrainOptions {
  Resume resume = Resume::never;
  std::optional<std::int64_t> stop_after;  // leave after this step exactly as a signal would
  int gpu = -1;                            // to compute on; -1 = the CPU
  std::string device_name = "cpu";
  // Where train.cuda_graphs asks for them; none = CUDA's on a GPU, on the CPU no graphs.
  std::function<std::unique_ptr<DeviceGraph>()> make_graph = nullptr;
};

// Trains the `wanted` recipe on the ranks of `communicator` and leaves its run folder (docs/recipes.md).
// Collective: every rank calls it with the same recipe. The result of a step depends on (recipe, corpus,
// seed) and, to rounding, not on ranks or micro-batches: the loss is the sum over valid targets divided by
// their number over all ranks and micro-batches. Throws Error(input) for what the recipe asks and the corpus
// lacks, Error(data) for a loss that is not finite.
TrainResult train(const Recipe& wanted, const TrainOptions& options, parallel::Communicator& communicator);

}  // namespace shelfcast::trainer
