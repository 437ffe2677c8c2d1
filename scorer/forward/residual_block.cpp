#include "scorer/forward/residual_block.h"

#include "scorer/forward/token_batch.h"

namespace shelfcast::scorer {

void ResidualBlock::apply(const Ops& ops, ActivationFunction activation, const float* x, std::int64_t rows,
                          float* y, Floats& inside) const {
  const std::int64_t width = hidden.inputs, outputs = output.outputs;
  by_slices(rows, [&](std::int64_t first, std::int64_t count) {
    float* room = reserve(inside, count * row_stride(hidden.outputs));
    const float* from = x + first * width;
    float* to = y + first * outputs;
    dense_activated(ops, hidden, activation, from, width, count, room);
    ops.dense(output, room, row_stride(hidden.outputs), count, to, outputs, Write::store);
    ops.dense(residual, from, width, count, to, outputs, Write::add);
  });
}

DenseLayer read_dense(const Ops& ops, Weights& weights, const std::string& name, std::int64_t outputs,
                      std::int64_t inputs, Bias bias) {
  const std::vector<float> weight = weights.take(name + ".weight", {outputs, inputs});
  if (bias == Bias::none) return pack(ops, weight, outputs, inputs);
  return pack(ops, weight, outputs, inputs, weights.take(name + ".bias", {outputs}));
}

ResidualBlock read_residual_block(const Ops& ops, Weights& weights, const std::string& name,
                                  std::int64_t inputs, std::int64_t inside, std::int64_t outputs) {
  return {read_dense(ops, weights, name + ".hidden_layer", inside, inputs, Bias::stored),
          read_dense(ops, weights, name + ".output_layer", outputs, inside, Bias::stored),
          read_dense(ops, weights, name + ".residual_layer", outputs, inputs, Bias::stored)};
}

}  // namespace shelfcast::scorer
