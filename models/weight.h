// A matrix that layers multiply by, with room for an adapter that changes what it does
// (models/adapters/lora.h).
#pragma once

#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace shelfcast::models {

// What an adapter of low rank adds to a matrix [out, in]: scale * b a.
struct LowRank {
  std::string name;  // of the matrix: keys the adapter's dropout
  at::Tensor a;      // [rank, in]
  at::Tensor b;      // [out, rank]
  double scale = 1.0;
};
// Empty = no adapter. Shared by all copies of a Weight and by its Parameter.
using AdapterSlot = std::optional<LowRank>;

class Weight {
 public:
  Weight() = default;
  // Without a slot no adapter can be attached.
  Weight(at::Tensor values, std::shared_ptr<AdapterSlot> slot = nullptr)  // NOLINT: a tensor is a weight
      : values_(std::move(values)), slot_(std::move(slot)) {}

  bool defined() const { return values_.defined(); }
  const at::Tensor& values() const { return values_; }  // [out, in]
  // nullptr = none.
  const LowRank* adapter() const { return slot_ && *slot_ ? &**slot_ : nullptr; }
  // The one matrix that does what values and adapter do together; without an adapter the values themselves.
  at::Tensor effective() const;

 private:
  at::Tensor values_;
  std::shared_ptr<AdapterSlot> slot_;
};

}  // namespace shelfcast::models
