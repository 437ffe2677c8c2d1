// A matrix that layers multiply by, with room for an adapter that changes what it does (models/adapters/).
#pragma once

#include <torch/types.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "models/activation.h"

namespace shelfcast::models {

// What an adapter of low rank adds to a matrix [out, in]: scale * b a, or scale * b diag(e) a.
struct LowRank {
  std::string name;  // of the matrix: keys the adapter's dropout
  at::Tensor a;      // [rank, in]
  at::Tensor b;      // [out, rank]
  double scale = 1.0;
  at::Tensor e = {};  // [rank, 1] or undefined

  // diag(e) a.
  at::Tensor down() const { return e.defined() ? a * e : a; }
};
// What stands behind a matrix' result y [rows, out]: y + up f(down y + down_bias) + up_bias.
struct Bottleneck {
  std::string name;  // of the matrix: keys the adapter's dropout
  at::Tensor down;   // [size, out]
  at::Tensor down_bias;
  at::Tensor up;  // [out, size]
  at::Tensor up_bias;
  Activation activation = Activation::relu;
};
// Of the attention whose queries a matrix makes: keys and values that these read besides (prefix_config.h).
struct Prefix {
  std::string name;  // of the attention: keys the prefix' dropout
  at::Tensor key;    // [length, out]
  at::Tensor value;  // [length, out]
};
// monostate = no adapter. Shared by all copies of a Weight and by its Parameter.
using AdapterSlot = std::variant<std::monostate, LowRank, Bottleneck, Prefix>;

class Weight {
 public:
  Weight() = default;
  // Without a slot no adapter can be attached.
  Weight(at::Tensor values, std::shared_ptr<AdapterSlot> slot = nullptr)  // NOLINT: a tensor is a weight
      : values_(std::move(values)), slot_(std::move(slot)) {}

  bool defined() const { return values_.defined(); }
  const at::Tensor& values() const { return values_; }  // [out, in]
  // nullptr = none.
  const LowRank* low_rank() const { return slot_ ? std::get_if<LowRank>(slot_.get()) : nullptr; }
  const Bottleneck* bottleneck() const { return slot_ ? std::get_if<Bottleneck>(slot_.get()) : nullptr; }
  const Prefix* prefix() const { return slot_ ? std::get_if<Prefix>(slot_.get()) : nullptr; }
  // The one matrix that does what values and adapter of low rank do together; without one the values
  // themselves.
  at::Tensor effective() const;

 private:
  at::Tensor values_;
  std::shared_ptr<AdapterSlot> slot_;
};

}  // namespace shelfcast::models
