#include "scorer/forward/activation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

template <float (*function)(float)>
void all(float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = function(x[i]);
}

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }
float relu2(float x) { return x > 0.0F ? x * x : 0.0F; }
float leaky_relu(float x) { return x > 0.0F ? x : 0.01F * x; }
float relu6(float x) { return std::clamp(x, 0.0F, 6.0F); }
float gelu(float x) { return 0.5F * x * (1.0F + std::erf(x * 0.70710678F)); }
float gelu_10(float x) { return std::clamp(gelu(x), -10.0F, 10.0F); }
float laplace(float x) { return 0.5F * (1.0F + std::erf((x - 0.707107F) / (0.282095F * 1.41421356F))); }
float gelu_tanh(float x) { return 0.5F * x * (1.0F + std::tanh(0.79788456F * (x + 0.044715F * x * x * x))); }
float quick_gelu(float x) { return x * sigmoid(1.702F * x); }
float silu(float x) { return x * sigmoid(x); }
float mish(float x) { return x * std::tanh(x > 20.0F ? x : std::log1p(std::exp(x))); }
float tanh_of(float x) { return std::tanh(x); }
float linear(float x) { return x; }

}  // namespace

ActivationFunction activation_function(const std::string& name) {
  static constexpr std::array<std::pair<const char*, ActivationFunction>, 20> kFunctions = {{
      {"relu", nullptr},
      {"relu2", all<relu2>},
      {"relu6", all<relu6>},
      {"leaky_relu", all<leaky_relu>},
      {"gelu", all<gelu>},
      {"gelu_10", all<gelu_10>},
      {"gelu_python", all<gelu>},
      {"gelu_new", all<gelu_tanh>},
      {"gelu_fast", all<gelu_tanh>},
      {"gelu_accurate", all<gelu_tanh>},
      {"gelu_pytorch_tanh", all<gelu_tanh>},
      {"gelu_python_tanh", all<gelu_tanh>},
      {"quick_gelu", all<quick_gelu>},
      {"silu", all<silu>},
      {"swish", all<silu>},
      {"mish", all<mish>},
      {"laplace", all<laplace>},
      {"tanh", all<tanh_of>},
      {"sigmoid", all<sigmoid>},
      {"linear", all<linear>},
  }};
  const auto* const found = std::find_if(kFunctions.begin(), kFunctions.end(),
                                         [&](const auto& entry) { return name == entry.first; });
  if (found == kFunctions.end())
    throw data_error("there is no activation function \"" + name + "\"", {}, "update shelfcast-score");
  return found->second;
}

void dense_activated(const Ops& ops, const DenseLayer& layer, ActivationFunction function, const float* x,
                     std::int64_t x_stride, std::int64_t rows, float* y) {
  const std::int64_t stride = row_stride(layer.outputs);
  ops.dense(layer, x, x_stride, rows, y, stride, function == nullptr ? Write::relu : Write::store);
  for (std::int64_t r = 0; function != nullptr && r < rows; ++r) function(y + r * stride, layer.outputs);
}

}  // namespace shelfcast::scorer
