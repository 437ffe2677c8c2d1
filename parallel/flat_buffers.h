// All trainable parameters and their gradients as views into two flat buffers, so that a bucket is a slice,
// clipping is one norm and the optimizer one pass.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "parallel/flat_range.h"

namespace shelfcast::parallel {

// What the flat buffers need to know of a parameter. `tensor` is a float32 leaf that requires grad.
struct FlatParameter {
  std::string name;
  at::Tensor tensor;
  double lr_scale = 1.0;
  bool decay = true;
};

// Where they will lie, first offset 0: in the reverse of the order given, each 64-byte aligned.
std::vector<FlatRange> flat_layout(const std::vector<FlatParameter>& parameters);

// Moves the parameters in (values kept) in the reverse of the order given, each 64-byte aligned; padding is
// zero. From then on backward() accumulates into gradients(). The model's tensors stay valid: they become
// views.
class FlatBuffers {
 public:
  // Padded at the end, so that `parts` ranks can each hold an equal, 64-byte aligned part.
  explicit FlatBuffers(const std::vector<FlatParameter>& parameters, int parts = 1);

  at::Tensor values() const { return values_; }        // [elements]
  at::Tensor gradients() const { return gradients_; }  // [elements]
  std::int64_t elements() const { return values_.numel(); }
  const std::vector<FlatRange>& ranges() const { return ranges_; }
  // The parameter that stands at ranges()[i].
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  void zero_gradients();
  // Euclidean norm of the gradients, summed in double in an order that does not depend on the number of
  // threads.
  double gradient_norm() const;

 private:
  at::Tensor values_, gradients_;
  std::vector<FlatRange> ranges_;
  std::vector<at::Tensor> tensors_;
};

}  // namespace shelfcast::parallel
