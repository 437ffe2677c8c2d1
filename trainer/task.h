// What a run trains: where its batches, losses and files come from. The loop around it is the trainer's.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "models/adapters/rank_allocator.h"
#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"
#include "trainer/adversarial.h"
#include "trainer/bad_step.h"
#include "trainer/micro_batch_graph.h"
#include "trainer/model_state.h"
#include "trainer/recipe/recipe.h"
#include "trainer/run/agreement.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {

// A sum over what a loss counts (valid targets, hidden tokens) and their number: scalars, undefined = 0.
struct WeightedLoss {
  at::Tensor sum, weight;

  WeightedLoss& operator+=(const WeightedLoss& other);  // in float64
  // Wait for the device that computes them.
  double sum_now() const { return sum.defined() ? sum.item<double>() : 0; }
  double weight_now() const { return weight.defined() ? weight.item<double>() : 0; }
};

// One rank's share. Its training order is a function of (seed, step), so that it can begin at any step.
class Task {
 public:
  virtual ~Task() = default;

  // What is trained, in forward order.
  virtual std::vector<parallel::FlatParameter> trained() const = 0;
  // Of an adapter whose ranks are cut while it is trained, once what is trained has its place; null = nothing
  // is.
  virtual std::unique_ptr<models::RankAllocator> rank_allocator() const { return nullptr; }
  // Writes the model's files into a checkpoint. May run beside forward and backward.
  virtual void save(const std::filesystem::path& checkpoint, CopiedValues& values) const = 0;
  // Writes what a run folder says about its task beside the recipe.
  virtual void describe(const RunFolder&) const {}
  // Whether the weights it begins with were trained: a run then never ends worse than it began.
  virtual bool begins_trained() const = 0;

  virtual std::int64_t steps_per_epoch() const = 0;
  // Of a step, the same on every rank.
  virtual std::int64_t micro_batches() const = 0;
  // Forward and backward of the next micro-batch of this rank; `step`: steps done. `before_backward` is
  // called before each backward, equally often on ranks that have anything to learn from; empty = no gradient
  // leaves the rank with this micro-batch.
  virtual WeightedLoss forward_and_backward(std::int64_t step, std::int64_t micro_batch,
                                            const BeforeBackward& before_backward) = 0;
  // Samples of the training of the run that this one began with (run.start), for train.ewc; and forward and
  // backward of one of them, without dropout.
  virtual std::int64_t anchor_samples() const { return 0; }
  virtual WeightedLoss anchor_gradient(std::int64_t) { return {}; }
  // Seconds spent waiting for batches.
  virtual double waited_seconds() const { return 0; }

  virtual bool validates() const = 0;
  // Mean loss on what is never trained on, the same for any number of ranks. nullopt when some rank was asked
  // to stop meanwhile. Collective.
  virtual std::optional<double> validation_loss(const std::function<bool()>& stop_requested,
                                                parallel::Communicator& communicator) = 0;
  // What else the last validation found: what to add to its line of metrics.jsonl.
  virtual nlohmann::json validation_scores() const { return nlohmann::json::object(); }
  // Writes down what a bad step was made of and returns the worst of it in words. Collective.
  virtual std::string report_bad_step(const BadStep& bad, MetricsLog* log,
                                      parallel::Communicator& communicator) const = 0;
};

struct TaskStart {
  std::filesystem::path checkpoint;  // to go on from; empty = from the beginning
  std::int64_t step = 0;             // steps done
  parallel::Communicator& communicator;
  at::Device device = at::kCPU;     // to train on
  GraphMaker make_graph = nullptr;  // of micro-batches; null = they are computed one by one
};

// A recipe that has met its data, before anything is written.
struct PlannedTask {
  std::shared_ptr<const data::Corpus> corpus = nullptr;  // which the rest reads; null = none, or the caller's
  Recipe recipe;                                         // with dates
  std::vector<SharedFact> facts;                         // which all ranks must agree on
  std::function<void(const RunFolder&)> check_resumed;   // throws when a run cannot go on like this
  std::function<std::unique_ptr<Task>(TaskStart)> start;  // collective
};

// The task of the recipe (train.task). Throws Error(input) for whatever the recipe asks in vain.
PlannedTask plan_task(const Recipe& recipe, int ranks);
// The demand model on windows, and a text encoder on the corpus' texts. `corpus` must outlive what they
// return.
PlannedTask plan_demand_task(const Recipe& recipe, const data::Corpus& corpus, int ranks);
PlannedTask plan_masked_language_task(const Recipe& recipe, const data::Corpus& corpus, int ranks);
// A text encoder with heads on labelled texts.
PlannedTask plan_text_labels_task(const Recipe& recipe, int ranks);

}  // namespace shelfcast::trainer
