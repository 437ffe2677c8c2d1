// What one forward of the demand model takes: a micro-batch of windows, and what keys its dropout.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <vector>

namespace shelfcast::models {

// Legend: b windows, t context steps, u context then horizon steps, n numeric columns, c categorical columns,
// s statics, w text width.

// One micro-batch, in host memory: models take it to their device. Filled by whoever owns a batch. Column
// tensors without columns may be undefined.
struct ModelInputs {
  at::Tensor context_bt;       // float32, NaN = not observed
  at::Tensor past_bnt;         // float32, scaled, NaN = missing
  at::Tensor past_codes_bct;   // int32
  at::Tensor known_bnu;        // as past_bnt
  at::Tensor known_codes_bcu;  // int32
  at::Tensor statics_bs;       // int32
  at::Tensor text_bw;          // float32, the product text as a vector; a row of zeros = no text
  // float32, of each numeric fact its number, scaled, missing = 0, and 1 where it is missing; [b, 2 facts].
  at::Tensor static_numbers_bn{};
  at::Tensor inventory_bt{};  // float32, stock on hand in units, NaN = not observed; for its head alone

  // All of them.
  std::array<at::Tensor*, 9> tensors();
  ModelInputs to(const at::Device& device) const;
};

// What keys the dropout of a training forward; absent (nullptr) = evaluation, no dropout. Masks depend on
// (seed, step, sample, site) only, never on where in which batch a window stands.
struct DropoutKeys {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::vector<std::int64_t> sample_b;
};

}  // namespace shelfcast::models
