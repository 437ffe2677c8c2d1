// Products with weights, in the precision that a training step asks for.
#pragma once

#include <torch/types.h>

#include <initializer_list>
#include <string>

#include "models/dropout.h"
#include "models/weight.h"

namespace shelfcast::models {

// bf16: both factors of a product are rounded to bfloat16 and so is its result; sums inside it, and
// everything else, are float32 (Micikevicius et al., 2018; without loss scaling, since bf16 has the range of
// float32).
enum class Precision { fp32, bf16 };
// Throws Error(input) naming the known ones.
Precision precision_from(const std::string& name);
// Whether the CPU multiplies bf16 itself (AVX512-BF16 or AMX): without, it is right but slow.
bool cpu_has_bf16();

// The precision of this thread's products while it lives; outside of any, fp32. A product's gradients are
// taken in the precision that it had itself.
class PrecisionScope {
 public:
  explicit PrecisionScope(Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};

Precision current_precision();

// While it lives, this thread's adapters drop elements of what they read; the matrices they adapt do not.
class AdapterDropoutScope {
 public:
  // `dropout` must outlive it.
  explicit AdapterDropoutScope(const Dropout& dropout);
  ~AdapterDropoutScope();
  AdapterDropoutScope(const AdapterDropoutScope&) = delete;
  AdapterDropoutScope& operator=(const AdapterDropoutScope&) = delete;

 private:
  const Dropout* before_;
};

// nullptr = adapters drop nothing.
const Dropout* current_adapter_dropout();

// What a product in bf16 is returned in: as_rounded leaves it bfloat16 where nothing is added to it, for a
// reader that takes it as it is. The numbers are the same.
enum class ProductResult { float32, as_rounded };
// bfloat16 as float32, others as they are.
at::Tensor widened(const at::Tensor& x);

// x [rows, in], float32 or as rounded, weight [out, in] and bias [out] or undefined, float32 -> x weight^T +
// bias [rows, out], with what the weight's adapter adds. Differentiable.
at::Tensor product(const at::Tensor& x, const Weight& weight, const at::Tensor& bias = {},
                   ProductResult result = ProductResult::float32);
// The same with matrices that stand below each other: [rows, sum of their rows].
at::Tensor stacked_product(const at::Tensor& x, std::initializer_list<Weight> weights,
                           ProductResult result = ProductResult::float32);
// What an attention mixed [rows, out], and what queries [rows, out] that `query` made read of its prefix:
// softmax(q K^T) V for each head. Where there is none, `mixed`. Differentiable.
at::Tensor add_prefix(const at::Tensor& mixed, const at::Tensor& queries, const Weight& query,
                      std::int64_t heads);

}  // namespace shelfcast::models
