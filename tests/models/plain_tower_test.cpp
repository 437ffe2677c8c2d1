// Plain towers against LibTorch's own LSTM, convolution and Transformer layer.
#include "models/series/plain_tower.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

using testing::largest_difference;

constexpr std::int64_t kWindows = 3, kTokens = 11, kWidth = 24, kPatch = 4;

struct Made {
  explicit Made(Architecture architecture) : config(testing::small_tower(architecture)) {
    config.d_kv = kWidth / config.num_heads;
    config.num_layers = 3;
    config.input_patch_size = config.input_patch_stride = kPatch;
    ParameterMaker maker(5, ParameterMaker::Fill::draw);
    tower = make_tower(config, "", maker);
    at::manual_seed(3);
    for (const Parameter& parameter : maker.take()) {
      at::Tensor values = parameter.tensor.detach();
      if (!parameter.decay) values.add_(0.3 * at::randn_like(values));  // no bias or gain that does nothing
      weights[parameter.name] = values;
    }
    const at::Tensor observed_bn = at::rand({kWindows, kTokens}) < 0.7;
    observed_bn.select(1, 4).fill_(true);
    inputs.demand.observed_bt = observed_bn.repeat_interleave(kPatch, 1);
    inputs.demand.scaled_bt = at::randn({kWindows, kTokens * kPatch}) * inputs.demand.observed_bt;
    const at::Tensor mask = inputs.demand.observed_bt.to(at::kFloat);
    patches = at::cat({inputs.demand.scaled_bt.view({-1, kPatch}), mask.view({-1, kPatch})}, 1);
    attended_bn = observed_bn;
    inputs.shift_bd = at::randn({kWindows, kWidth});
  }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return at::linear(x, weights.at(name + ".weight"), weights.at(name + ".bias"));
  }
  // [b, n, d]: what the network reads.
  at::Tensor tokens() const {
    const std::string name = "input_patch_embedding.";
    const at::Tensor hidden = at::relu(linear(patches, name + "hidden_layer"));
    const at::Tensor x = linear(hidden, name + "output_layer") + linear(patches, name + "residual_layer");
    return x.view({kWindows, kTokens, kWidth}) + inputs.shift_bd.unsqueeze(1);
  }
  void expect_state(const at::Tensor& expected_bd) const {
    const at::NoGradGuard no_grad;
    const at::Tensor state = tower->states(inputs, {});
    EXPECT_GT(expected_bd.std().item<double>(), 0.05);
    EXPECT_LT(largest_difference(state, expected_bd), 2e-5);
  }

  TowerConfig config;
  std::unique_ptr<SeriesTower> tower;
  std::map<std::string, at::Tensor> weights;
  TowerInputs inputs;
  at::Tensor patches;  // [b*n, 2p]
  at::Tensor attended_bn;
};

TEST(PlainTower, an_lstm_is_that_of_libtorch) {
  const Made made(Architecture::lstm);
  std::vector<at::Tensor> parameters;
  for (int i = 0; i < 3; ++i) {
    const at::Tensor& bias = made.weights.at(fmt::format("lstm.bias_l{}", i));
    parameters.insert(parameters.end(),
                      {made.weights.at(fmt::format("lstm.weight_ih_l{}", i)),
                       made.weights.at(fmt::format("lstm.weight_hh_l{}", i)), bias, at::zeros_like(bias)});
  }
  const at::Tensor zeros = at::zeros({3, kWindows, kWidth});
  const auto [all_bnd, last, cell] =
      at::lstm(made.tokens(), {zeros, zeros}, parameters, /*has_biases=*/true, /*num_layers=*/3,
               /*dropout=*/0.0, /*train=*/false, /*bidirectional=*/false, /*batch_first=*/true);
  made.expect_state(all_bnd.select(1, kTokens - 1));
}

TEST(PlainTower, a_tcn_is_one_of_libtorchs_dilated_convolutions) {
  const Made made(Architecture::tcn);
  constexpr std::int64_t kOne[] = {1}, kZero[] = {0};
  const auto convolution = [&](const at::Tensor& x_bdn, int block, int number) {
    const std::string name = fmt::format("tcn.{}.conv{}", block, number);
    const std::int64_t dilation = std::int64_t{1} << block;
    const at::Tensor kernel =
        made.weights.at(name + ".weight").view({kWidth, kTcnTaps, kWidth}).transpose(1, 2);
    return at::relu(at::conv1d(at::constant_pad_nd(x_bdn, {(kTcnTaps - 1) * dilation, 0}), kernel,
                               made.weights.at(name + ".bias"), /*stride=*/kOne, /*padding=*/kZero,
                               at::IntArrayRef(dilation)));
  };
  at::Tensor x_bdn = made.tokens().transpose(1, 2);
  for (int block = 0; block < 3; ++block)
    x_bdn = at::relu(x_bdn + convolution(convolution(x_bdn, block, 1), block, 2));
  made.expect_state(x_bdn.select(2, kTokens - 1));
}

TEST(PlainTower, a_transformer_is_that_of_libtorch_over_sinusoidal_positions) {
  const Made made(Architecture::transformer);
  const auto of = [&](int layer, const char* name) {
    return made.weights.at(fmt::format("encoder.layers.{}.{}", layer, name));
  };
  at::Tensor x = made.tokens();
  for (std::int64_t t = 0; t < kTokens; ++t) {
    for (std::int64_t pair = 0; pair < kWidth / 2; ++pair) {
      const double angle = static_cast<double>(kTokens - 1 - t) /
                           std::pow(10000.0, 2.0 * static_cast<double>(pair) / static_cast<double>(kWidth));
      x.select(1, t).select(1, 2 * pair).add_(std::sin(angle));
      x.select(1, t).select(1, 2 * pair + 1).add_(std::cos(angle));
    }
  }
  const at::NoGradGuard no_grad;
  const at::Tensor hidden_bn = made.attended_bn.logical_not();
  for (int i = 0; i < 3; ++i)
    x = at::_transformer_encoder_layer_fwd(
        x, kWidth, made.config.num_heads, of(i, "self_attn.in_proj_weight"), of(i, "self_attn.in_proj_bias"),
        of(i, "self_attn.out_proj.weight"), of(i, "self_attn.out_proj.bias"), /*use_gelu=*/false,
        /*norm_first=*/true, made.config.layer_norm_epsilon, of(i, "norm1.weight"), of(i, "norm1.bias"),
        of(i, "norm2.weight"), of(i, "norm2.bias"), of(i, "linear1.weight"), of(i, "linear1.bias"),
        of(i, "linear2.weight"), of(i, "linear2.bias"), hidden_bn, /*mask_type=*/1);
  made.expect_state(at::layer_norm(x.select(1, kTokens - 1), {kWidth}, made.weights.at("encoder.norm.weight"),
                                   made.weights.at("encoder.norm.bias"), made.config.layer_norm_epsilon));
}

TEST(PlainTower, the_last_token_of_a_tcn_sees_the_whole_context_and_one_block_fewer_would_not_do) {
  for (const std::int64_t context : {1, 5, 6, 28, 29, 30, 112, 224, 253, 254}) {
    ModelConfig model;
    model.tower = "tcn";
    const TowerConfig config = tower_for(model, context, 7);
    const auto seen = [](std::int64_t blocks) {
      std::int64_t steps = 1;
      for (std::int64_t i = 0; i < blocks; ++i) steps += 2 * (kTcnTaps - 1) * (std::int64_t{1} << i);
      return steps;
    };
    EXPECT_GE(seen(config.num_layers), context);
    EXPECT_TRUE(config.num_layers == 1 || seen(config.num_layers - 1) < context) << context;
  }
}

TEST(PlainTower, reads_single_steps_or_patches_as_its_name_says_unless_the_recipe_does) {
  const auto patch = [](const char* tower, std::int64_t asked) {
    ModelConfig model;
    model.tower = tower;
    model.patch = asked;
    return tower_for(model, 30, 7).input_patch_size;
  };
  EXPECT_EQ(patch("lstm", 0), 1);
  EXPECT_EQ(patch("tcn", 0), 1);
  EXPECT_EQ(patch("transformer", 0), 16);
  EXPECT_EQ(patch("bolt-nano", 0), 16);
  EXPECT_EQ(patch("lstm", 7), 7);
}

}  // namespace
}  // namespace shelfcast::models
