// Activation functions of towers, by the names published config.json files give them.
#pragma once

#include <cstdint>
#include <string>

#include "scorer/forward/ops.h"

namespace shelfcast::scorer {

// In place over `count` numbers.
using ActivationFunction = void (*)(float* x, std::int64_t count);

// Throws Error(data) for a name there is no function for. relu is not among them: dense layers write it at
// once (Write::relu), and null stands for it.
ActivationFunction activation_function(const std::string& name);

// y [rows, layer.outputs] = function(x W^T + bias), row_stride(layer.outputs) floats between its rows.
void dense_activated(const Ops& ops, const DenseLayer& layer, ActivationFunction function, const float* x,
                     std::int64_t x_stride, std::int64_t rows, float* y);

}  // namespace shelfcast::scorer
