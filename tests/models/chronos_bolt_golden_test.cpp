// Against the reference Python package: files of tests/golden/make_bolt.py.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/safetensors.h"
#include "models/blocks.h"
#include "models/demand_model.h"
#include "models/series/chronos_bolt.h"
#include "models/series/series_model.h"
#include "tests/models/golden.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;

using testing::digest_error;
using testing::expect_below;
using testing::gradient_of;
using testing::stored;

// The published checkpoint as a demand model that adds nothing to it.
DemandModel model_of(const fs::path& folder, std::int64_t context) {
  DemandModelConfig config;
  config.model.weights = folder.string();
  const auto published = nlohmann::json::parse(read_file(folder / "config.json"));
  config.tower = bolt_config_from_published_json(published);
  config.model.quantiles = config.tower.quantiles;
  config.model.loss.mean = 0.0;
  config.horizon = config.tower.prediction_length;
  config.context = context;
  return DemandModel(config, 1);
}

at::Tensor demand(const Forecast& forecast) {
  return forecast.quantiles_bqh * forecast.scale_b.view({-1, 1, 1}) + forecast.loc_b.view({-1, 1, 1});
}

ModelInputs inputs_of(const at::Tensor& context) {
  ModelInputs inputs;
  inputs.context_bt = context;
  return inputs;
}

class ChronosBoltGolden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return shelfcast::testing::golden_dir() / "bolt" / GetParam(); }
  SafetensorsFile golden() const { return SafetensorsFile(folder() / "case.safetensors"); }
};

// The largest difference of forecasts, each window's in units of its scale or its level, whichever is larger.
void expect_forecast(const DemandModel& model, const at::Tensor& context, const at::Tensor& expected) {
  const at::NoGradGuard no_grad;
  const Forecast forecast = model.forward(inputs_of(context), nullptr);
  const at::Tensor difference = (demand(forecast) - expected).abs().flatten(1).amax(1);
  const at::Tensor scale = at::maximum(expected.abs().flatten(1).amax(1), forecast.scale_b);
  expect_below("bolt forecast", (difference / scale).max().item<double>(), 1e-5);
}

TEST_P(ChronosBoltGolden,
       forecasts_equal_the_reference_with_gaps_and_short_constant_empty_and_overlong_contexts) {
  const SafetensorsFile file = golden();
  const at::Tensor context = stored(file, "context");
  const DemandModel model = model_of(folder(), context.size(1));
  expect_forecast(model, context, stored(file, "forecast"));
  expect_forecast(model, stored(file, "overlong_context"), stored(file, "overlong_forecast"));
}

// What the gradients' bound is worth.
TEST(DigestError, notices_a_single_element_that_is_off_by_a_small_part_of_the_largest) {
  at::manual_seed(3);
  const at::Tensor gradient = at::randn({24, 32});
  const at::Tensor expected = testing::digest(gradient);
  EXPECT_LT(digest_error(gradient, expected), 1e-12);
  const double off = 4.5e-4 * gradient.abs().max().item<double>();
  for (std::int64_t i = 0; i < gradient.numel(); ++i) {
    at::Tensor wrong = gradient.clone();
    wrong.view(-1)[i] += off;
    EXPECT_GT(digest_error(wrong, expected), 2e-4) << i;
  }
}

TEST_P(ChronosBoltGolden, loss_and_every_gradient_equal_the_reference) {
  const SafetensorsFile file = golden();
  const at::Tensor rows = stored(file, "loss_rows").to(at::kLong);
  const at::Tensor context = stored(file, "context").index_select(0, rows);
  const at::Tensor target = stored(file, "target").index_select(0, rows);
  const DemandModel model = model_of(folder(), context.size(1));
  const LossSums sums = loss_sums(model.forward(inputs_of(context), nullptr),
                                  {target, at::ones({rows.size(0)}), {}}, model.config());
  const at::Tensor loss =
      sums.loss / static_cast<double>(rows.size(0));  // the published loss: mean over windows
  expect_below("bolt loss", std::abs(loss.item<double>() / stored(file, "loss").item<double>() - 1.0), 1e-5);
  EXPECT_EQ(sums.valid_targets.item<double>(), (~target.isnan()).sum().item<double>());
  loss.backward();
  std::size_t compared = 0;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.name.starts_with("tower.")) continue;
    const std::string name = parameter.name.substr(6);
    expect_below("bolt gradient", digest_error(gradient_of(parameter), stored(file, "gradient." + name)),
                 2e-4, name);
    ++compared;
  }
  std::size_t in_file = 0;
  for (const auto& [name, tensor] : file.tensors()) in_file += name.starts_with("gradient.") ? 1 : 0;
  EXPECT_EQ(compared, in_file);
}

// The largest difference in units of each series' largest value.
void expect_close(const at::Tensor& got, const at::Tensor& expected) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  const at::Tensor difference = (got - expected).abs().flatten(1).amax(1);
  const at::Tensor size = expected.abs().flatten(1).amax(1).clamp_min(1.0);
  expect_below("bolt unrolled", (difference / size).max().item<double>(), 1e-5);
}

TEST_P(ChronosBoltGolden, a_horizon_beyond_its_own_is_unrolled_like_the_reference) {
  const SafetensorsFile file = golden();
  const std::unique_ptr<SeriesModel> model = open_series_model(folder());
  const at::Tensor context = stored(file, "context");
  const std::int64_t steps = 3 * model->prediction_length() - 1;
  expect_close(model->forecast(context, steps, model->levels()), stored(file, "unrolled"));
}

// The published rule: quantiles of the nine values with the outermost ones twice.
TEST(InterpolateLevels, equals_the_reference_where_levels_are_evenly_spaced) {
  const std::vector<double> trained = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9},
                            asked = {0.01, 0.05, 0.1, 0.37, 0.5, 0.62, 0.9, 0.97};
  const at::Tensor values = std::get<0>(at::randn({4, 9, 5}).sort(1));
  const at::Tensor ends = at::cat({values.narrow(1, 0, 1), values, values.narrow(1, 8, 1)}, 1);
  const at::Tensor expected = at::quantile(ends, at::tensor(asked, at::kFloat), 1).transpose(0, 1);
  EXPECT_TRUE(at::allclose(interpolate_levels(values, trained, asked), expected, 1e-5, 1e-6));
}

TEST(InterpolateLevels, takes_trained_levels_as_they_are_and_never_crosses_between_them) {
  const at::Tensor values = at::tensor({3.0F, 1.0F, 2.0F}).view({1, 3, 1});
  EXPECT_TRUE(
      at::equal(interpolate_levels(values, {0.1, 0.5, 0.9}, {0.9, 0.1}).flatten(), at::tensor({2.0F, 3.0F})));
  EXPECT_TRUE(
      at::equal(interpolate_levels(values, {0.1, 0.5, 0.9}, {0.3, 0.5}).flatten(), at::tensor({1.5F, 2.0F})));
  EXPECT_TRUE(at::equal(interpolate_levels(values, {0.1, 0.5, 0.9}, {0.05, 0.95}).flatten(),
                        at::tensor({1.0F, 3.0F})));
}

TEST_P(ChronosBoltGolden, five_steps_of_adamw_have_the_losses_and_end_in_the_weights_of_the_reference) {
  const SafetensorsFile file = golden();
  const at::Tensor rows = stored(file, "loss_rows").to(at::kLong);
  const at::Tensor context = stored(file, "context").index_select(0, rows);
  const at::Tensor target = stored(file, "target").index_select(0, rows);
  const at::Tensor expected = stored(file, "losses");
  const DemandModel model = model_of(folder(), context.size(1));
  std::vector<Parameter> tower;  // what the demand model adds stays as it is
  for (const Parameter& parameter : model.parameters())
    if (parameter.name.starts_with("tower.")) tower.push_back(parameter);
  testing::PlainAdamW optimizer(tower);
  for (std::int64_t step = 0; step < 5; ++step) {
    const LossSums sums = loss_sums(model.forward(inputs_of(context), nullptr),
                                    {target, at::ones({rows.size(0)}), {}}, model.config());
    const at::Tensor loss = sums.loss / static_cast<double>(rows.size(0));
    expect_below("bolt loss in five steps",
                 std::abs(loss.item<double>() / expected[step].item<double>() - 1.0), 2e-5);
    loss.backward();
    optimizer.step();
  }
  std::size_t in_file = 0;
  for (const auto& [name, tensor] : file.tensors()) in_file += name.starts_with("trained.") ? 1 : 0;
  EXPECT_EQ(tower.size(), in_file);
  for (const Parameter& parameter : tower) {
    const std::string name = parameter.name.substr(6);
    // A softmax of one token passes nothing on: the reference has gradients of zero there, which its
    // optimizer takes for a reason to decay the weights.
    const bool reached = stored(file, "gradient." + name)[2].item<double>() > 0.0;
    const double decayed = reached ? 1.0 : std::pow(1.0 - 1e-3 * 0.01, 5);
    expect_below("bolt trained weight",
                 digest_error(parameter.tensor * decayed, stored(file, "trained." + name)), 5e-5, name);
  }
}

// With $SHELFCAST_SAVED the folder stays for make_bolt.py --check.
TEST_P(ChronosBoltGolden, saved_and_loaded_again_it_forecasts_the_same_bits) {
  const at::Tensor context = stored(golden(), "context");
  const DemandModel model = model_of(folder(), context.size(1));
  const shelfcast::testing::TemporaryFolder temporary;
  model.save(temporary.path());
  const fs::path tower = temporary.path() / "tower";
  const auto before = open_series_model(folder()), after = open_series_model(tower);
  EXPECT_TRUE(at::equal(before->forecast(context, 2, {0.5}), after->forecast(context, 2, {0.5})));
  if (const char* named = std::getenv("SHELFCAST_SAVED"); named != nullptr) {
    const fs::path kept = fs::path(named) / (std::string("bolt_") + GetParam());
    fs::create_directories(kept);
    fs::copy(tower, kept, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    fs::copy_file(folder() / "case.safetensors", kept / "case.safetensors",
                  fs::copy_options::overwrite_existing);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ChronosBoltGolden,
                         ::testing::Values("wide_heads", "patch_8", "no_reg", "gated_overlap", "silu_gaps"),
                         [](const auto& chosen) { return std::string(chosen.param); });

// Counted of models that chronos-forecasting 2.3 made of configurations with these widths.
TEST(ChronosBolt, sizes_are_the_published_ones) {
  const auto parameters = [](const std::string& name) {
    TowerConfig config = named_tower(name);
    config.context_length = 2048, config.prediction_length = 64;
    config.quantiles = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    ParameterMaker make(1, ParameterMaker::Fill::leave);
    const ChronosBolt tower(config, "tower.", make);
    std::int64_t count = 0;
    for (const Parameter& p : make.take()) count += p.tensor.numel();
    return count;
  };
  EXPECT_EQ(parameters("bolt-tiny"), 8'652'672);
  EXPECT_EQ(parameters("bolt-mini"), 21'236'096);
  EXPECT_EQ(parameters("bolt-small"), 47'718'016);
  EXPECT_EQ(parameters("bolt-base"), 205'292'928);
}

}  // namespace
}  // namespace shelfcast::models
