// Activation functions by the names published config.json files give them. Free of torch.
#pragma once

#include <string>

namespace shelfcast::models {

enum class Activation {
  relu,
  relu2,
  relu6,
  leaky_relu,
  gelu,
  gelu_10,
  gelu_tanh,
  quick_gelu,
  silu,
  mish,
  laplace,
  tanh,
  sigmoid,
  linear
};

// Accepts the names of transformers' ACT2FN that have no parameters of their own; several name one function
// ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"). Throws Error(data) with the names there are.
Activation activation_of(const std::string& name);
// The first of these names.
std::string name_of(Activation activation);

}  // namespace shelfcast::models
