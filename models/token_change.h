// A change of the tokens that a series tower reads, for training that asks what would make forecasts worse.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace shelfcast::models {

// Legend: b windows, l tokens of a window, d width of a token.
struct TokenChange {
  at::Tensor added_bld;  // what is added; undefined: a forward makes zeros here that take a gradient
  at::Tensor length_b;   // of a window's tokens as they are, a number each (Euclidean); from a forward
};

// tokens [b*l, d] -> what the tower's blocks read in their place: the same without `change` (nullptr).
at::Tensor changed_tokens(const at::Tensor& tokens, std::int64_t windows, TokenChange* change);

}  // namespace shelfcast::models
