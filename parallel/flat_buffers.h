// All trainable parameters and their gradients as views into two flat buffers, so that a bucket is a slice,
// clipping is one norm and the optimizer one pass.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/flat_range.h"
#include "parallel/sharding.h"

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
// zero. The model's tensors stay valid: they become views. Gradients are whole (from then on backward()
// accumulates into gradients()) or, as in ZeRO stage 2 (Rajbhandari et al., 2020), a rank holds one part of
// their sums: then backward leaves each parameter's gradient in its tensor, from where GradientSync takes it.
class FlatBuffers {
 public:
  // Padded at the end, so that `parts` ranks can each hold an equal, 64-byte aligned part. `held`: what is
  // held of the gradients, one part or as many as `parts` has for each of held->of; none = they are whole,
  // and in the memory that `summed_by`, if given, sums fastest: then collective.
  explicit FlatBuffers(const std::vector<FlatParameter>& parameters, int parts = 1,
                       std::optional<Part> held = std::nullopt, Communicator* summed_by = nullptr);

  at::Tensor values() const { return values_; }        // [elements]
  at::Tensor gradients() const { return gradients_; }  // [held().size()]
  std::int64_t elements() const { return values_.numel(); }
  // The elements of which gradients() holds the gradients.
  const Slice& held() const { return held_; }
  bool holds_whole_gradients() const { return held_.size() == elements(); }
  const std::vector<FlatRange>& ranges() const { return ranges_; }
  // The parameter that stands at ranges()[i].
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  void zero_gradients();
  // What backward has left on this rank since they were zero: [elements]. Made for the caller where gradients
  // are not whole.
  at::Tensor own_gradients() const;
  // Sums of squares of the gradients of each part, in double and in an order that does not depend on the
  // number of threads; 0 for parts that are not held. Added over ranks they are those of whole gradients, bit
  // by bit.
  std::vector<double> gradient_squares() const;
  // Euclidean norm of the gradients held.
  double gradient_norm() const;

 private:
  at::Tensor values_, gradients_;
  std::vector<FlatRange> ranges_;
  std::vector<at::Tensor> tensors_;
  int parts_;
  Slice held_;
};

// Sums of squares of each row, [rows] in double, as a device computes them.
at::Tensor squares_on_device(const at::Tensor& rows);

// The norm that sums of squares come to.
double norm_of(const std::vector<double>& squares);

}  // namespace shelfcast::parallel
