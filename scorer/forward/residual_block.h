// Chronos' embedding and output block: output(activation(hidden(x))) + residual(x).
#pragma once

#include <cstdint>
#include <string>

#include "scorer/forward/activation.h"
#include "scorer/forward/ops.h"
#include "scorer/forward/weights.h"

namespace shelfcast::scorer {

struct ResidualBlock {
  DenseLayer hidden, output, residual;

  // y [rows, output.outputs] of x [rows, hidden.inputs]; `inside` is scratch.
  void apply(const Ops& ops, ActivationFunction activation, const float* x, std::int64_t rows, float* y,
             Floats& inside) const;
};

// Tensors `name`.{hidden_layer,output_layer,residual_layer}.{weight,bias}. Throws Error(data).
ResidualBlock read_residual_block(const Ops& ops, Weights& weights, const std::string& name,
                                  std::int64_t inputs, std::int64_t inside, std::int64_t outputs);

enum class Bias { none, stored };

// Tensor `name`.weight [outputs, inputs] and, if asked for, `name`.bias. Throws Error(data).
DenseLayer read_dense(const Ops& ops, Weights& weights, const std::string& name, std::int64_t outputs,
                      std::int64_t inputs, Bias bias = Bias::none);

}  // namespace shelfcast::scorer
