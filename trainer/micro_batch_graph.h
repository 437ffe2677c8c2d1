// Forward and backward of a micro-batch as one piece of work that a device does again and again (CUDA
// graphs): the host then starts one thing instead of thousands.
#pragma once

#include <functional>
#include <memory>

#include "models/demand_model.h"
#include "models/standing_transfers.h"

namespace shelfcast::trainer {

// Work that a device has taken down.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  // Takes down what `work` gives to the device, which computes nothing of it yet. Once.
  virtual void record(const std::function<void()>& work) = 0;
  // Has the device do it.
  virtual void replay() = 0;
};

// On the current device, whose stream is a recordable one (device.h). Throws Error(input) where the second
// GPU module does not open, and when the work cannot be taken down.
std::unique_ptr<DeviceGraph> make_cuda_graph();

using GraphMaker = std::function<std::unique_ptr<DeviceGraph>()>;

struct MicroBatch {
  models::ModelInputs inputs;
  models::Targets targets;
  models::DropoutKeys keys;
};

// The first two micro-batches are computed as ever, and show what of a micro-batch is the same in each. Where
// that is all but its arrays and keys, the third is taken down and, if that holds for it, too, done; later
// ones are done again with other arrays in the same places. Else all are computed as ever, with a warning.
class MicroBatchGraph {
 public:
  // Forward and backward of a micro-batch, with nothing of the host's beside it. `loss`, a sum, may still
  // have its gradient function.
  using Work = std::function<models::LossSums(const MicroBatch&)>;
  MicroBatchGraph(std::unique_ptr<DeviceGraph> graph, const at::Device& device, Work work);

  // Gradients are added to those that are there. All micro-batches have the same shapes.
  models::LossSums run(const MicroBatch& next);

 private:
  void take(const MicroBatch& next);
  models::LossSums compute();
  bool stands();

  std::unique_ptr<DeviceGraph> graph_;  // null = given up
  at::Device device_;
  Work work_;
  models::StandingTransfers standing_;
  MicroBatch here_;  // on the device, always in the same places
  std::int64_t computed_ = 0;
  bool recorded_ = false;
  models::LossSums recorded_sums_;  // where the device writes them
};

}  // namespace shelfcast::trainer
