// The scorer's published Chronos-2 against LibTorch's, through the files one saves and the other loads.
#include <torch/types.h>

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_forecast.h"
#include "scorer/forward/chronos2_forecast.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

// Fresh models have zero biases and unit norms, which would hide mistakes: every number is moved a little, of
// wide matrices less, or attention becomes so sharp that rounding shows.
void disturb(const models::Chronos2Model& model) {
  for (const models::Parameter& parameter : model.parameters) {
    RandomStream random(key_of(parameter.name));
    at::Tensor flat = parameter.tensor.detach().view({-1});
    auto* values = flat.data_ptr<float>();
    const double inputs = parameter.tensor.dim() > 1 ? static_cast<double>(parameter.tensor.size(1)) : 16.0;
    for (std::int64_t i = 0; i < flat.numel(); ++i)
      values[i] += static_cast<float>(0.2 / std::sqrt(inputs) * random.normal());
  }
}

// Rows of one batch: sales with gaps, an empty series, a constant one, a late one; groups that are not in
// order.
struct Batch {
  std::int64_t rows, steps, known;
  std::vector<float> context, future;
  std::vector<std::int64_t> groups;

  Batch(std::int64_t rows_, std::int64_t steps_, std::int64_t known_, std::int64_t most_groups,
        RandomStream& random)
      : rows(rows_), steps(steps_), known(known_) {
    for (std::int64_t row = 0; row < rows; ++row) {
      groups.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most_groups))) - 3);
      const double level = 10.0 + 3.0 * static_cast<double>(row);
      for (std::int64_t t = 0; t < steps; ++t) {
        const bool missing = row == 0 || (row == 2 && t < steps - 3) || (row > 2 && random.uniform() < 0.2);
        const double value = row == 1 ? 6.5 : level + 2.0 * random.normal();
        context.push_back(missing ? NAN : static_cast<float>(value));
      }
      for (std::int64_t h = 0; h < known; ++h)
        future.push_back(
            row % 3 != 0 || random.uniform() < 0.2 ? NAN : static_cast<float>(level + random.normal()));
    }
  }
  models::Chronos2Inputs for_torch() {
    models::Chronos2Inputs inputs;
    inputs.context_bt = at::from_blob(context.data(), {rows, steps});
    inputs.group_ids_b = at::tensor(groups, at::kLong);
    if (known > 0) inputs.future_bh = at::from_blob(future.data(), {rows, known});
    return inputs;
  }
  Chronos2Series for_scorer() const { return {rows, steps, known, context.data(), future.data(), groups}; }
};

// The largest difference in units of what float32 can hold: of the row's deviation, and of its level.
double worst(const std::vector<float>& got, const at::Tensor& want, const Batch& batch) {
  const at::Tensor flat = want.contiguous().view({want.size(0), -1});
  EXPECT_EQ(std::ssize(got), flat.numel());
  double most = 0.0;
  for (std::int64_t b = 0; b < flat.size(0); ++b) {
    const float* context = batch.context.data() + b * batch.steps;
    const double scale =
        instance_norm(std::span(context, static_cast<std::size_t>(batch.steps)), 0.0, 1.0F).scale;
    for (std::int64_t i = 0; i < flat.size(1); ++i) {
      const double expected = flat.data_ptr<float>()[b * flat.size(1) + i];
      most = std::max(
          most, std::abs(got[b * flat.size(1) + i] - expected) / (2e-5 * scale + 1e-5 * std::abs(expected)));
    }
  }
  return most;
}

void expect_equal_forecasts(const models::Chronos2Config& config, std::int64_t horizon, Batch batch) {
  const at::NoGradGuard no_gradients;
  const models::Chronos2Model torch_model = models::make_chronos2(config, 11);
  disturb(torch_model);
  const ScratchFolder folder;
  models::save_chronos2(folder.path(), config, torch_model.parameters);
  const at::Tensor want = models::unrolled_forecast(torch_model.tower, batch.for_torch(), horizon);
  Chronos2Options options;
  options.horizon = horizon;
  options.threads = 2;
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(to_string(isa));
    const Chronos2 model(folder.path(), ops_for(isa));
    EXPECT_LT(worst(forecast(model, batch.for_scorer(), options), want, batch), 1.0);
  }
}

TEST(LibTorchChronos2, forecasts_the_same_from_saved_models_of_many_shapes) {
  // Shapes drawn at random, each choice about as often as not.
  for (std::uint64_t draw = 0; draw < 16; ++draw) {
    SCOPED_TRACE(draw);
    RandomStream random(mix(9, draw));
    const auto one_of = [&](std::initializer_list<std::int64_t> choices) {
      return *(choices.begin() + random.below(choices.size()));
    };
    models::Chronos2Config c;
    c.patch_size = one_of({1, 4, 8, 16});
    c.input_patch_stride = one_of({c.patch_size, c.patch_size, (c.patch_size + 1) / 2});
    constexpr std::array kActivations = {"relu",       "relu", "gelu", "gelu_new",
                                         "quick_gelu", "silu", "mish", "tanh"};
    c.activation = kActivations[static_cast<std::size_t>(random.below(kActivations.size()))];
    c.d_model = one_of({8, 24, 64}), c.d_ff = one_of({16, 40, 128});
    c.num_heads = one_of({1, 2, 4}), c.d_kv = one_of({2, 8, 16});
    c.num_layers = one_of({1, 2, 3});
    c.use_reg_token = one_of({0, 1}) != 0, c.use_arcsinh = one_of({0, 1}) != 0;
    c.context_length = one_of({16, 64, 512}), c.time_encoding_scale = one_of({100, 512});
    c.max_output_patches = one_of({1, 3, 8});
    const std::int64_t horizon = one_of({1, c.max_output_patches * c.patch_size});
    Batch batch(9, one_of({1, 5, 28, 100}), one_of({0, horizon}), one_of({1, 4, 30}), random);
    expect_equal_forecasts(c, horizon, std::move(batch));
  }
}

// Pooling paths is discontinuous where two of them nearly meet (docs/model.md): draws whose paths do not.
TEST(LibTorchChronos2, unrolls_long_horizons_the_same) {
  for (const std::uint64_t draw : {1, 2, 3}) {
    SCOPED_TRACE(draw);
    RandomStream random(draw);
    models::Chronos2Config c = models::named_chronos2("chronos-2-nano");
    c.context_length = 64, c.time_encoding_scale = 64;
    c.max_output_patches = 1;
    expect_equal_forecasts(c, 40, Batch(6, 70, 40, 3, random));
  }
}

TEST(LibTorchChronos2, forecasts_the_same_at_the_published_small_size) {
  RandomStream random(3);
  expect_equal_forecasts(models::named_chronos2("chronos-2-small"), 64, Batch(6, 512, 64, 4, random));
}

}  // namespace
}  // namespace shelfcast::scorer::testing
