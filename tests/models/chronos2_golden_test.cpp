// Chronos-2 against the reference Python package: files of tests/golden/make_chronos2.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_forecast.h"
#include "models/series/chronos2_loss.h"
#include "tests/models/golden.h"
#include "tests/support/paths.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::digest_error;
using testing::expect_below;
using testing::gradient_of;
using testing::row_error;
using testing::stored;

fs::path folder_of(const std::string& name) { return shelfcast::testing::golden_dir() / "chronos2" / name; }

class Chronos2Golden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return folder_of(GetParam()); }

  Chronos2Inputs inputs() const {
    return {stored(golden_, "context"), stored(golden_, "group_ids").to(at::kLong), stored(golden_, "future"),
            model_.tower.config().max_output_patches};
  }
  at::Tensor loss() const {
    const Chronos2Inputs batch = inputs();
    const LossSums sums = chronos2_loss(model_.tower.forward(batch, nullptr), batch,
                                        stored(golden_, "target"), {}, model_.tower.config());
    return sums.loss / sums.valid_targets;
  }
  // `plain`, or four times the reference's own rounding where that is more.
  double bound(const std::string& name, double plain) const {
    return std::max(plain, 4.0 * stored(golden_, "error." + name).item<double>());
  }

  Chronos2Model model_ = load_chronos2(folder());
  SafetensorsFile golden_{folder() / "case.safetensors"};
};

TEST_P(Chronos2Golden, forecasts_equal_the_reference_with_groups_gaps_and_odd_contexts) {
  const at::NoGradGuard no_grad;
  const Chronos2Inputs batch = inputs();
  const at::Tensor grouped = model_.tower.forward(batch, nullptr).demand_quantiles_bqh();
  expect_below("chronos2 forecast", row_error(grouped, stored(golden_, "forecast")), bound("forecast", 1e-5));
  const at::Tensor alone =
      model_.tower.forward({batch.context_bt, {}, {}, 1}, nullptr).demand_quantiles_bqh();
  expect_below("chronos2 alone_forecast", row_error(alone, stored(golden_, "alone_forecast")),
               bound("alone_forecast", 1e-5));
}

TEST_P(Chronos2Golden, loss_and_every_gradient_equal_the_reference) {
  const at::Tensor value = loss();
  expect_below("chronos2 loss", std::abs(value.item<double>() / stored(golden_, "loss").item<double>() - 1.0),
               bound("loss", 1e-5));
  value.backward();
  std::size_t in_file = 0;
  for (const auto& [name, tensor] : golden_.tensors()) in_file += name.starts_with("gradient.") ? 1 : 0;
  EXPECT_EQ(model_.parameters.size(), in_file);
  for (const Parameter& p : model_.parameters) {
    const std::string name = "gradient." + p.name;
    expect_below("chronos2 gradient", digest_error(gradient_of(p), stored(golden_, name)), bound(name, 2e-4),
                 p.name);
  }
}

TEST_P(Chronos2Golden, five_steps_of_training_equal_the_reference) {
  testing::PlainAdamW optimizer(model_.parameters, 1e-6);
  const at::Tensor expected = stored(golden_, "step_losses");
  for (std::int64_t step = 0; step < 5; ++step) {
    const at::Tensor value = loss();
    expect_below("chronos2 loss in five steps",
                 std::abs(value.item<double>() / expected[step].item<double>() - 1.0),
                 bound("step_losses", 1e-5));
    value.backward();
    optimizer.step();
  }
  for (const Parameter& p : model_.parameters) {
    const std::string name = "trained." + p.name;
    expect_below("chronos2 trained weight", digest_error(p.tensor, stored(golden_, name)), bound(name, 1e-4),
                 p.name);
  }
}

std::vector<float> numbers(const json& values) {
  std::vector<float> result;
  for (const json& value : values) result.push_back(value.is_null() ? NAN : value.get<float>());
  return result;
}

CovariateValues column(const json& values, bool named) {
  CovariateValues result;
  if (!named) result.numbers = numbers(values);
  for (const json& value : values) {
    if (named)
      result.names.push_back(value.is_null() ? std::nullopt : std::optional(value.get<std::string>()));
  }
  return result;
}

std::vector<ForecastTask> tasks_from(const json& set) {
  std::vector<ForecastTask> tasks;
  for (const json& task : set.at("tasks")) {
    ForecastTask& made = tasks.emplace_back();
    for (const json& target : task.at("targets")) made.targets.push_back(numbers(target));
    for (const json& covariate : task.at("covariates")) {
      const json &past = covariate.at("past"), &future = covariate.at("future");
      const bool named =
          std::any_of(past.begin(), past.end(), [](const json& value) { return value.is_string(); });
      auto& list = covariate.at("known").get<bool>() ? made.known_covariates : made.past_covariates;
      list.push_back({covariate.at("name"), column(past, named), column(future, named)});
    }
  }
  return tasks;
}

void expect_same(const at::Tensor& got, const at::Tensor& expected) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_TRUE(at::equal(got.isnan(), expected.isnan()));
  EXPECT_LE((got - expected).nan_to_num().abs().max().item<float>(),
            2e-6F);  // in units of 10: the last place
}

TEST_P(Chronos2Golden, tasks_with_covariates_of_all_kinds_are_prepared_as_by_the_reference) {
  const json file = json::parse(read_file(folder() / "tasks.json"));
  for (const auto& [name, set] : file.at("sets").items()) {
    const std::vector<PreparedTask> prepared = prepare_tasks(tasks_from(set), set.at("horizon"));
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      const std::string task = fmt::format("{}.{}.", name, i);
      SCOPED_TRACE(task);
      expect_same(prepared[i].context_rt, stored(golden_, task + "context"));
      expect_same(prepared[i].future_rh, stored(golden_, task + "future"));
      EXPECT_EQ(prepared[i].targets, name == "two_targets" ? 2 : 1);
    }
  }
}

TEST_P(Chronos2Golden, forecasts_of_tasks_equal_the_reference_at_untrained_levels_and_unrolled) {
  const json file = json::parse(read_file(folder() / "tasks.json"));
  const auto levels = file.at("levels").get<std::vector<double>>();
  for (const std::int64_t batch_rows : {7, 1}) {
    // Patches that overlap see how far a batch's longest context pads the others; the reference had 7.
    if (batch_rows == 1 && model_.tower.config().input_patch_stride < model_.tower.config().patch_size)
      continue;
    UnrollOptions options{file.at("unroll").get<std::vector<double>>(), batch_rows};
    for (const auto& [name, set] : file.at("sets").items()) {
      const at::Tensor got =
          at::cat(forecast(model_.tower, tasks_from(set), set.at("horizon"), levels, options), 0);
      const std::string result = name + ".forecast";
      ASSERT_EQ(got.sizes(), stored(golden_, result).sizes());
      expect_below("chronos2 " + result, row_error(got, stored(golden_, result)), bound(result, 1e-5),
                   result);
    }
  }
}

// With $SHELFCAST_SAVED the folder stays for make_chronos2.py --check.
TEST_P(Chronos2Golden, a_saved_folder_holds_the_same_tensors_and_config) {
  const char* named = std::getenv("SHELFCAST_SAVED");
  const fs::path out =
      fs::path(named == nullptr ? ::testing::TempDir() : named) / (std::string("chronos2_") + GetParam());
  save_chronos2(out, model_.tower.config(), model_.parameters);
  fs::copy_file(folder() / "case.safetensors", out / "case.safetensors",
                fs::copy_options::overwrite_existing);
  const SafetensorsFile saved(out / "model.safetensors"), original(folder() / "model.safetensors");
  ASSERT_EQ(saved.tensors().size(), original.tensors().size());
  for (const auto& [name, tensor] : original.tensors())
    EXPECT_TRUE(at::equal(stored(saved, name), stored(original, name))) << name;
  const json ours = json::parse(read_file(out / "config.json"));
  const json theirs = json::parse(read_file(folder() / "config.json"));
  for (const auto& [key, value] : ours.items()) {
    EXPECT_EQ(value, theirs.value(key, value)) << key;
  }
  if (named == nullptr) fs::remove_all(out);
}

INSTANTIATE_TEST_SUITE_P(Cases, Chronos2Golden, ::testing::Values("published", "overlapping", "one_block"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::models
