#include <fmt/format.h>

#include "models/product.h"
#include "models/series/plain_tower.h"

namespace shelfcast::models {

namespace {

// The gates' rows as in torch.nn.LSTM: input, forget, cell, output.
struct LstmLayer {
  Weight input, hidden;  // [4d, d]
  at::Tensor bias;       // [4d]
};

class Lstm : public SequenceNetwork {
 public:
  Lstm(const TowerConfig& config, TowerMaker& make) {
    const std::int64_t d = config.d_model;
    const double deviation = TowerMaker::inverse_root(d);
    for (std::int64_t i = 0; i < config.num_layers; ++i) {
      LstmLayer layer;
      layer.input = make.weight(fmt::format("lstm.weight_ih_l{}", i), 4 * d, d, deviation);
      layer.hidden = make.weight(fmt::format("lstm.weight_hh_l{}", i), 4 * d, d, deviation);
      layer.bias = make.constant(fmt::format("lstm.bias_l{}", i), 4 * d, 0.0F);
      const at::NoGradGuard no_grad;
      layer.bias.narrow(0, d, d).fill_(1.0);  // begins by remembering (Jozefowicz et al., 2015)
      layers_.push_back(std::move(layer));
    }
  }

  at::Tensor last_state(const at::Tensor& tokens, const at::Tensor& attended_bn,
                        const Dropout& dropout) const override {
    const std::int64_t windows = attended_bn.size(0), width = tokens.size(1);
    at::Tensor x = tokens;
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
      const at::Tensor all = at::stack(states(x, windows, layers_[i]), 1);
      x = models::dropout(all.view({-1, width}), dropout.site(fmt::format("lstm.{}", i)));
    }
    return states(x, windows, layers_.back()).back();
  }

 private:
  // tokens [b*n, d] -> the state [b, d] after each of the n.
  static std::vector<at::Tensor> states(const at::Tensor& tokens, std::int64_t windows,
                                        const LstmLayer& layer) {
    const at::Tensor inputs = product(tokens, layer.input, layer.bias);
    std::vector<at::Tensor> result;
    at::Tensor state, cell;
    for (at::Tensor gates : inputs.view({windows, -1, inputs.size(1)}).unbind(1)) {
      if (state.defined()) gates = gates + product(state, layer.hidden);
      const std::vector<at::Tensor> gate = gates.chunk(4, 1);
      const at::Tensor added = at::sigmoid(gate[0]) * at::tanh(gate[2]);
      cell = cell.defined() ? at::sigmoid(gate[1]) * cell + added : added;
      state = at::sigmoid(gate[3]) * at::tanh(cell);
      result.push_back(state);
    }
    return result;
  }

  std::vector<LstmLayer> layers_;
};

}  // namespace

std::unique_ptr<SequenceNetwork> make_lstm(const TowerConfig& config, TowerMaker& make) {
  return std::make_unique<Lstm>(config, make);
}

}  // namespace shelfcast::models
