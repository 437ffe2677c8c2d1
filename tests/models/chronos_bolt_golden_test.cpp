// Against the reference Python package: files of tests/golden/make_bolt.py.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/safetensors.h"
#include "models/demand_model.h"
#include "tests/models/small_models.h"
#include "tests/support/paths.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;

at::Tensor stored(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  if (tensor.dtype == DType::i32) {
    return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, at::kInt).clone();
  }
  std::vector<float> values = tensor.to_float();
  return at::from_blob(values.data(), tensor.shape, at::kFloat).clone();
}

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
  fs::path folder() const {
    return shelfcast::testing::source_dir() / "tests" / "golden" / "bolt" / GetParam();
  }
  SafetensorsFile golden() const { return SafetensorsFile(folder() / "case.safetensors"); }
};

// The largest difference of forecasts, each window's in units of its scale or its level, whichever is larger.
void expect_forecast(const DemandModel& model, const at::Tensor& context, const at::Tensor& expected) {
  const at::NoGradGuard no_grad;
  const Forecast forecast = model.forward(inputs_of(context), nullptr);
  const at::Tensor difference = (demand(forecast) - expected).abs().flatten(1).amax(1);
  const at::Tensor scale = at::maximum(expected.abs().flatten(1).amax(1), forecast.scale_b);
  EXPECT_LT((difference / scale).max().item<float>(), 1e-5F) << difference << scale;
}

TEST_P(ChronosBoltGolden,
       forecasts_equal_the_reference_with_gaps_and_short_constant_empty_and_overlong_contexts) {
  const SafetensorsFile file = golden();
  const at::Tensor context = stored(file, "context");
  const DemandModel model = model_of(folder(), context.size(1));
  expect_forecast(model, context, stored(file, "forecast"));
  expect_forecast(model, stored(file, "overlong_context"), stored(file, "overlong_forecast"));
}

// What make_bolt.py keeps of a gradient.
std::array<double, 3> digest(const at::Tensor& gradient) {
  const at::Tensor flat = gradient.to(at::kDouble).flatten();
  const at::Tensor index = at::arange(flat.numel(), at::kDouble);
  const auto along = [&](double phase) {
    return flat.dot(at::cos(index * 0.37 + phase) + 0.1).item<double>();
  };
  return {along(0.0), along(1.0), flat.norm().item<double>()};
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
  EXPECT_NEAR(loss.item<double>() / stored(file, "loss").item<double>(), 1.0, 1e-5);
  EXPECT_EQ(sums.valid_targets, (~target.isnan()).sum().item<double>());
  loss.backward();
  std::size_t compared = 0;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.name.starts_with("tower.")) continue;
    const at::Tensor expected = stored(file, "gradient." + parameter.name.substr(6));
    const at::Tensor& gradient = parameter.tensor.grad();
    const auto got = digest(gradient.defined() ? gradient : at::zeros_like(parameter.tensor));
    const double size = expected[2].item<double>() + 1e-7;
    // A dot product's error is up to the vector's length times the gradient's.
    const double reach = std::sqrt(static_cast<double>(parameter.tensor.numel()));
    EXPECT_NEAR(got[0] / (size * reach), expected[0].item<double>() / (size * reach), 1e-4) << parameter.name;
    EXPECT_NEAR(got[1] / (size * reach), expected[1].item<double>() / (size * reach), 1e-4) << parameter.name;
    EXPECT_NEAR(got[2] / size, expected[2].item<double>() / size, 1e-4) << parameter.name;
    ++compared;
  }
  std::size_t in_file = 0;
  for (const auto& [name, tensor] : file.tensors()) in_file += name.starts_with("gradient.") ? 1 : 0;
  EXPECT_EQ(compared, in_file);
}

INSTANTIATE_TEST_SUITE_P(Cases, ChronosBoltGolden, ::testing::Values("wide_heads", "patch_8", "no_reg"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::models
