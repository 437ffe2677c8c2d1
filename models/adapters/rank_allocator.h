// AdaLoRA's ranks: which of an adapter's singular values are important enough to stay.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "models/adapters/lora_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Follows Zhang et al. (2023) as the PEFT package does it. The sensitivity |w dL/dw| of every element of A, E
// and B is averaged over steps, and so is how much it varies; the product of both averages is an element's
// importance. That of a singular value is its own, plus the means over its row of A and its column of B. The
// least important become zero, at every `every`-th step between warm-up and end, so that the number left
// falls with a cube from all to target * matrices. In the last `final` steps those that are zero stay so. All
// of it follows from weights and summed gradients, so every rank comes to the same bits. Not collective;
// called from the training thread.
class RankAllocator {
 public:
  // `parameters`: a model's, with such an adapter; their tensors may move (flat buffers) but not go. `config`
  // has a budget with the number of steps.
  RankAllocator(const std::vector<Parameter>& parameters, const LoraConfig& config);

  // The mean over all A and B of |A A^T - I| and |B^T B - I| (Frobenius).
  double distance_from_orthogonal() const;
  // Adds `weight` times the recipe's weight times the gradient of that to the gradients.
  void pull(double weight);
  // Remembers the gradients times `scale`, before the optimizer clears them.
  void remember_gradients(double scale);
  // After the optimizer's step number `step` (the first is 1): updates importances and cuts, when it is time.
  // Returns whether it did.
  bool allocate(std::int64_t step);
  // Sets those cut last to zero, in the tensors that are the parameters' now.
  void cut() const;

  // Singular values that are left after a cut at this step.
  std::int64_t budget(std::int64_t step) const;

  // What a checkpoint stores: arrays with an entry for each parameter, flat, in their order.
  struct State {
    std::string name;  // "sensitivity"
    at::Tensor values;
    std::vector<Parameter> parameters;  // whose elements they are
  };
  // Writable, for resume.
  const std::vector<State>& state() const { return state_; }

 private:
  struct Triplets {
    at::Tensor a, e, b;             // of one matrix
    std::int64_t at, count;         // of its first singular value among all, and how many
    std::int64_t a_at, e_at, b_at;  // of their elements in the flat arrays
  };
  at::Tensor importance() const;
  void update_importance();
  void choose(std::int64_t budget);

  LoraConfig config_;
  std::vector<Triplets> matrices_;
  std::int64_t all_ = 0;  // singular values
  std::vector<State> state_;
  at::Tensor sensitivity_, uncertainty_, kept_, gradients_;
};

}  // namespace shelfcast::models
