// Whole gradients for a moment, where each rank holds a share of them.
#pragma once

#include "parallel/communicator.h"
#include "parallel/flat_buffers.h"

namespace shelfcast::parallel {

// While it lives, every parameter's gradient is its part of the sums over ranks, gathered from the shares;
// where gradients are whole they are that anyway, and this does nothing.
class WholeGradients {
 public:
  // Collective.
  WholeGradients(FlatBuffers& buffers, Communicator& communicator);
  ~WholeGradients();
  WholeGradients(const WholeGradients&) = delete;
  WholeGradients& operator=(const WholeGradients&) = delete;

  // What was done to this rank's share of them is done to the share.
  void keep_changes();

 private:
  FlatBuffers& buffers_;
  at::Tensor gathered_;  // [elements]; undefined where nothing was gathered
};

}  // namespace shelfcast::parallel
