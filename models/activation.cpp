#include "models/activation.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/error.h"

namespace shelfcast::models {

namespace {

constexpr std::array<std::pair<const char*, Activation>, 20> kNames = {{
    {"relu", Activation::relu},
    {"relu2", Activation::relu2},
    {"relu6", Activation::relu6},
    {"leaky_relu", Activation::leaky_relu},
    {"gelu", Activation::gelu},
    {"gelu_10", Activation::gelu_10},
    {"gelu_python", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"gelu_accurate", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_python_tanh", Activation::gelu_tanh},
    {"quick_gelu", Activation::quick_gelu},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"mish", Activation::mish},
    {"laplace", Activation::laplace},
    {"tanh", Activation::tanh},
    {"sigmoid", Activation::sigmoid},
    {"linear", Activation::linear},
}};

}  // namespace

Activation activation_of(const std::string& name) {
  const auto* const found =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return name == entry.first; });
  if (found != kNames.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& entry : kNames) names.emplace_back(entry.first);
  throw data_error(fmt::format("there is no activation function \"{}\"", name),
                   fmt::format("known are {}", fmt::join(names, ", ")));
}

std::string name_of(Activation activation) {
  const auto* const found = std::find_if(kNames.begin(), kNames.end(),
                                         [&](const auto& entry) { return activation == entry.second; });
  return found->first;
}

}  // namespace shelfcast::models
