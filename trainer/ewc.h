// Elastic weight consolidation (Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks",
// 2017): weights that mattered to an earlier training are held near where it left them.
#pragma once

#include <torch/types.h>

#include <filesystem>

#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"
#include "trainer/task.h"

namespace shelfcast::trainer {

// The penalty strength / 2 * sum over parameters of fisher * (weight - start)^2. Plain values; the same on
// every rank, so that what it adds needs no communication.
class ElasticAnchor {
 public:
  // Start: what `buffers` hold now. Fisher: mean over task.anchor_samples() of the squared gradients of a
  // sample's mean loss (the empirical Fisher information's diagonal). Leaves gradients at zero. Collective;
  // ranks share the samples, so another number of ranks gives the same to rounding.
  ElasticAnchor(Task& task, parallel::FlatBuffers& buffers, parallel::Communicator& communicator);
  // One that was saved. Throws Error(io), or Error(data) when it is of other parameters.
  ElasticAnchor(const std::filesystem::path& file, const parallel::FlatBuffers& buffers);
  // fisher.NAME and start.NAME of every trained parameter. Throws Error(io).
  void save(const std::filesystem::path& file, const parallel::FlatBuffers& buffers) const;

  // Adds `scale` times the gradient of the penalty of strength 1 to the gradients held.
  void pull(parallel::FlatBuffers& buffers, double scale) const;
  // The penalty of strength 1.
  double penalty(const parallel::FlatBuffers& buffers) const;

 private:
  at::Tensor fisher_, start_;  // [elements], float32
};

}  // namespace shelfcast::trainer
