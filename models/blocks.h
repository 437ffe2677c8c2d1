// What towers and heads are made of: named parameters, linear layers, norms, residual blocks.
#pragma once

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "models/activation.h"
#include "models/dropout.h"
#include "models/product.h"
#include "models/weight.h"

namespace shelfcast::models {

// A trainable tensor; `tensor` shares its TensorImpl with the model, so set_data() moves the model into flat
// buffers.
struct Parameter {
  std::string name;   // published name with a prefix: "tower.encoder.block.0...", "fusion.static.0.weight"
  at::Tensor tensor;  // leaf, requires_grad
  bool decay = true;  // false for norms, biases and embeddings
  std::shared_ptr<AdapterSlot> slot = nullptr;  // of matrices that an adapter may change
  bool adapter = false;                         // belongs to an adapter, not to the model as published
};

// Moves their values to `device`; where they are there already, nothing happens. Before anything that was
// made of them: flat buffers, optimizers.
void move_to(const at::Device& device, const std::vector<Parameter>& parameters);

// Makes parameters with their first values, each drawn by (seed, name): the same on any rank, in any order.
class ParameterMaker {
 public:
  enum class Fill { draw, leave };  // leave: values are about to be loaded
  enum class Decay { yes, no };
  ParameterMaker(std::uint64_t seed, Fill fill) : seed_(seed), fill_(fill) {}

  // Normal with this standard deviation; 0 makes zeros.
  at::Tensor normal(const std::string& name, at::IntArrayRef shape, double deviation,
                    Decay decay = Decay::yes);
  // The same for a matrix [out, in] that layers multiply by and adapters may change.
  Weight matrix(const std::string& name, at::IntArrayRef shape, double deviation);
  // All elements alike; never decayed (norms, biases).
  at::Tensor constant(const std::string& name, at::IntArrayRef shape, float value);

  // Those made since the last take().
  std::vector<Parameter> take() { return std::exchange(parameters_, {}); }

 private:
  at::Tensor add(const std::string& name, at::Tensor values, Decay decay);
  std::uint64_t seed_;
  Fill fill_;
  std::vector<Parameter> parameters_;
};

// Fills `values` (contiguous float) with normal draws keyed by `key`.
void fill_normal(at::Tensor& values, std::uint64_t key, double deviation);

struct Linear {
  Weight weight;    // [out, in]
  at::Tensor bias;  // [out] or undefined
  // x [rows, in] -> [rows, out].
  at::Tensor operator()(const at::Tensor& x) const;
};

// The published patch embedding: a hidden layer beside a straight one.
struct ResidualBlock {
  Linear hidden, output, residual;
  Activation activation = Activation::relu;

  // dropout(output(activation(hidden(x) + more_hidden))) + residual(x) + more_residual; the additions may be
  // undefined.
  at::Tensor operator()(const at::Tensor& x, const SiteDropout& site, const at::Tensor& more_hidden = {},
                        const at::Tensor& more_residual = {}) const;
};

// What a product should hand to activate_dropout_: ReLU loses nothing in bfloat16, the others would round
// once more.
inline ProductResult taken_by(Activation activation) {
  return activation == Activation::relu ? ProductResult::as_rounded : ProductResult::float32;
}
// dropout(activation(x)); for relu in place of x, which must be a fresh result that its maker does not need
// for its own gradient.
at::Tensor activate_dropout_(at::Tensor x, Activation activation, const SiteDropout& site);
at::Tensor activate(const at::Tensor& x, Activation activation);

// gain * x / sqrt(mean(x^2) + epsilon) over the last dimension of x [rows, width]. Differentiable.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon);

}  // namespace shelfcast::models
