// Chronos-2 as the tower of a demand model: step 0 is the published model's forecast, its loss the published
// one.
#include "models/series/chronos2_tower.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "models/demand_model.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_loss.h"
#include "models/series/series_model.h"
#include "tests/models/adapted_models.h"
#include "tests/models/golden.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::golden;
using testing::gradient_of;
using testing::largest_difference;
using testing::message_of;
using testing::small_batch;
using testing::small_config;

// Every path switched on beside the published tower of `folder`, at all its levels.
DemandModelConfig everything_on(const fs::path& folder, std::int64_t context, std::int64_t horizon) {
  DemandModelConfig config = small_config();
  config.context = context;
  config.horizon = horizon;
  config.model.weights = folder.string();
  config.tower = tower_for(config.model, context, horizon);
  config.model.quantiles = config.tower.quantiles;
  testing::switch_all_on(config.model);
  if (config.tower.input_patch_stride != config.tower.input_patch_size) {
    config.model.masked = false;  // refused: what is hidden in one patch stands in the next
    config.model.loss.masked = 0.0;
  }
  return config;
}

DemandModelConfig nothing_on(const fs::path& folder, std::int64_t context, std::int64_t horizon) {
  DemandModelConfig config;
  config.context = context;
  config.horizon = horizon;
  config.model.weights = folder.string();
  config.tower = tower_for(config.model, context, horizon);
  config.model.quantiles = config.tower.quantiles;
  config.model.mean_head = false;
  return config;
}

at::Tensor demand(const Forecast& forecast) {
  return forecast.linear().quantiles_bqh * forecast.scale_b.view({-1, 1, 1}) +
         forecast.loc_b.view({-1, 1, 1});
}

// Gaps, a window without any demand and a constant one.
ModelInputs odd_batch(const DemandModelConfig& config) {
  at::manual_seed(31);
  ModelInputs inputs = small_batch(config, 6);
  inputs.context_bt[1].fill_(NAN);
  inputs.context_bt[2].fill_(3.5F);
  inputs.context_bt[3].narrow(0, 0, config.context / 2).fill_(NAN);
  return inputs;
}

class PublishedChronos2 : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return golden("chronos2") / GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Folders, PublishedChronos2,
                         ::testing::Values("published", "overlapping", "one_block"),
                         [](const auto& chosen) { return std::string(chosen.param); });

TEST_P(PublishedChronos2, with_everything_on_forecasts_at_step_0_equal_the_models_own_to_the_bit) {
  const at::NoGradGuard no_grad;
  const std::unique_ptr<SeriesModel> own = open_series_model(folder());
  const std::int64_t reach = own->prediction_length();
  // Contexts that are no whole patches, shorter than one, and longer than the model reads.
  for (const std::int64_t context : {45, 5, 200}) {
    for (const std::int64_t horizon : {reach, reach - 3, std::int64_t{1}}) {
      SCOPED_TRACE(fmt::format("context {}, horizon {}", context, horizon));
      const DemandModelConfig config = everything_on(folder(), context, horizon);
      const DemandModel model(config, 9);
      const ModelInputs inputs = odd_batch(config);
      const Forecast forecast = model.forward(inputs, nullptr);
      const at::Tensor expected = own->forecast(inputs.context_bt, horizon, own->levels());
      EXPECT_TRUE(at::equal(demand(forecast), expected))
          << "off by " << largest_difference(demand(forecast), expected);
      EXPECT_TRUE(
          at::equal(forecast.mean_bh, forecast.linear().quantiles_bqh.select(1, config.median_index())));
    }
  }
}

TEST_P(PublishedChronos2,
       with_groups_forecasts_at_step_0_equal_the_models_own_beside_its_covariates_to_the_bit) {
  const at::NoGradGuard no_grad;
  const Chronos2Model own = load_chronos2(folder());
  const std::int64_t reach = read_chronos2_config(folder()).prediction_length();
  for (const auto& [past, known] : {std::pair(1, 2), std::pair(0, 2), std::pair(1, 0)}) {
    for (const std::int64_t context : {45, 200}) {
      SCOPED_TRACE(fmt::format("{} past, {} known, context {}", past, known, context));
      DemandModelConfig config = everything_on(folder(), context, reach - 3);
      config.model.groups = true;
      config.past_numeric = past;
      config.known_numeric = known;
      const DemandModel model(config, 9);
      ModelInputs inputs = odd_batch(config);
      for (const at::Tensor& column : {inputs.past_bnt, inputs.known_bnu})
        column.masked_fill_(at::rand(column.sizes()) < 0.2, NAN);

      // Rows of each window, one after another: demand, past, known.
      std::vector<at::Tensor> rows, future;
      const at::Tensor nothing = at::full({config.horizon}, NAN);
      for (std::int64_t b = 0; b < 6; ++b) {
        rows.push_back(inputs.context_bt[b]);
        future.push_back(nothing);
        for (std::int64_t c = 0; c < past; ++c) {
          rows.push_back(inputs.past_bnt[b][c]);
          future.push_back(nothing);
        }
        for (std::int64_t c = 0; c < known; ++c) {
          rows.push_back(inputs.known_bnu[b][c].narrow(0, 0, context));
          future.push_back(inputs.known_bnu[b][c].narrow(0, context, config.horizon));
        }
      }
      const std::int64_t members = 1 + past + known;
      const Chronos2Forecast theirs = own.tower.forward(
          {at::stack(rows), at::arange(6).repeat_interleave(members), at::stack(future),
           (config.horizon + own.tower.config().patch_size - 1) / own.tower.config().patch_size},
          nullptr);
      const at::Tensor of_demand =
          theirs.demand_quantiles_bqh().slice(0, 0, 6 * members, members).narrow(2, 0, config.horizon);
      const at::Tensor ours = demand(model.forward(inputs, nullptr));
      EXPECT_TRUE(at::equal(ours, of_demand)) << "off by " << largest_difference(ours, of_demand);
      inputs.known_bnu = inputs.known_bnu * -1.5;
      const at::Tensor otherwise = demand(model.forward(inputs, nullptr));
      EXPECT_EQ(at::equal(ours, otherwise), known == 0);  // instance norms forgive the size, not the sign
    }
  }
}

TEST_P(PublishedChronos2, its_loss_and_every_gradient_are_the_published_ones) {
  const std::int64_t reach = read_chronos2_config(folder()).prediction_length();
  const DemandModelConfig config = nothing_on(folder(), 40, reach);
  const DemandModel model(config, 9);
  const Chronos2Model own = load_chronos2(folder());
  const ModelInputs inputs = odd_batch(config);
  const at::Tensor target = at::rand({6, reach}) * 8.0;
  const LossSums sums =
      loss_sums(model.forward(inputs, nullptr), {target, at::ones({6}), {}}, model.config());
  const Chronos2Inputs rows{inputs.context_bt, {}, {}, own.tower.config().max_output_patches};
  const LossSums published =
      chronos2_loss(own.tower.forward(rows, nullptr), rows, target, {}, own.tower.config());
  // Ours is the mean over levels and the sum over steps, theirs the other way round.
  const double factor = static_cast<double>(std::ssize(config.tower.quantiles)) / static_cast<double>(reach);
  EXPECT_NEAR(sums.loss.item<double>() * factor / published.loss.item<double>(), 1.0, 1e-5);
  (sums.loss * factor).backward();
  published.loss.backward();
  std::map<std::string, at::Tensor> theirs;
  for (const Parameter& parameter : own.parameters)
    theirs["tower." + parameter.name] = gradient_of(parameter);
  std::size_t compared = 0;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.name.starts_with("tower.")) continue;
    const at::Tensor expected = theirs.at(parameter.name);
    EXPECT_LE(largest_difference(gradient_of(parameter), expected),
              1e-4 * expected.abs().max().item<double>() + 1e-7)
        << parameter.name;
    ++compared;
  }
  EXPECT_EQ(compared, theirs.size());
}

class PathsOfChronos2 : public ::testing::TestWithParam<std::tuple<const char*, bool>> {};
INSTANTIATE_TEST_SUITE_P(Folders, PathsOfChronos2,
                         ::testing::Combine(::testing::Values("published", "overlapping", "one_block"),
                                            ::testing::Bool()),
                         [](const auto& chosen) {
                           return fmt::format("{}{}", std::get<0>(chosen.param),
                                              std::get<1>(chosen.param) ? "_with_groups" : "");
                         });

TEST_P(PathsOfChronos2, every_new_path_gets_a_gradient_within_two_steps) {
  const auto& [name_of_folder, groups] = GetParam();
  const fs::path folder = golden("chronos2") / name_of_folder;
  const std::int64_t reach = read_chronos2_config(folder).prediction_length();
  DemandModelConfig config = everything_on(folder, 45, reach);
  config.model.masked = false;  // its own tests hide something first
  config.model.loss.masked = 0.0;
  config.model.groups = groups;
  const DemandModel model(config, 9);
  at::manual_seed(32);
  ModelInputs inputs = small_batch(config, 8);
  const Targets targets = testing::small_targets(config, 8);
  std::map<std::string, double> reached;
  for (int step = 0; step < 2; ++step) {
    for (const Parameter& parameter : model.parameters()) at::Tensor(parameter.tensor).mutable_grad().reset();
    loss_sums(model.forward(inputs, nullptr), targets, config).loss.backward();
    const at::NoGradGuard no_grad;
    for (const Parameter& parameter : model.parameters()) {
      reached[parameter.name] =
          std::max(reached[parameter.name], gradient_of(parameter).abs().max().item<double>());
      at::Tensor(parameter.tensor).sub_(gradient_of(parameter), 1e-3);
    }
  }
  for (const auto& [name, size] : reached) {
    // Probabilities of a series alone are 1, whatever these are.
    const bool idle = (!groups && (name.find("layer.1.self_attention.q") != std::string::npos ||
                                   name.find("layer.1.self_attention.k") != std::string::npos)) ||
                      (name == "tower.shared.weight" && !config.tower.use_reg_token);
    EXPECT_EQ(size > 0.0, !idle) << name;
  }
}

TEST_P(PublishedChronos2, the_tower_of_a_saved_model_is_a_published_directory_again) {
  const shelfcast::testing::TemporaryFolder out;
  const std::int64_t reach = read_chronos2_config(folder()).prediction_length();
  const DemandModelConfig config = everything_on(folder(), 45, reach);
  const DemandModel model(config, 9);
  at::manual_seed(33);
  for (const Parameter& parameter : model.parameters())
    at::Tensor(parameter.tensor).detach().add_(0.01 * at::randn_like(parameter.tensor));
  model.save(out.path());
  const auto ours = nlohmann::json::parse(read_file(out.path() / "tower/config.json")),
             theirs = nlohmann::json::parse(read_file(folder() / "config.json"));
  for (const auto& [key, value] : ours.items()) {
    EXPECT_EQ(value, theirs.value(key, value)) << key;
  }
  const DemandModel loaded = DemandModel::load(out.path());
  const ModelInputs inputs = odd_batch(config);
  EXPECT_TRUE(
      at::equal(loaded.forward(inputs, nullptr).quantiles_bqh, model.forward(inputs, nullptr).quantiles_bqh));
  const DemandModel bare(nothing_on(out.path() / "tower", 45, reach), 1);
  const at::NoGradGuard no_grad;
  const std::unique_ptr<SeriesModel> own = open_series_model(out.path() / "tower");
  EXPECT_TRUE(at::equal(demand(bare.forward(inputs, nullptr)),
                        own->forecast(inputs.context_bt, reach, own->levels())));
}

TEST(Chronos2Tower, from_scratch_reads_the_context_in_patches_and_reaches_the_horizon_in_whole_ones) {
  ModelConfig model;
  model.tower = "chronos-2-nano";
  model.patch = 7;
  const TowerConfig tower = tower_for(model, 30, 16);
  EXPECT_EQ(tower.architecture, Architecture::chronos2);
  EXPECT_EQ(tower.input_patch_size, 7);
  EXPECT_EQ(tower.context_length, 35);
  EXPECT_EQ(tower.time_encoding_scale, 35);
  EXPECT_EQ(tower.prediction_length, 21);
  EXPECT_EQ(tower.quantiles, model.quantiles);
  EXPECT_EQ(tower.d_model, named_chronos2("chronos-2-nano").d_model);
}

TEST(Chronos2Tower, is_told_from_chronos_bolt_by_its_config_and_horizons_beyond_it_are_errors) {
  ModelConfig model;
  model.weights = (golden("chronos2") / "published").string();
  EXPECT_EQ(model.architecture(), Architecture::chronos2);
  EXPECT_NE(message_of([&] { tower_for(model, 30, 17); }).find("forecast 16 steps"), std::string::npos);
  model.weights = golden("bolt/wide_heads").string();
  EXPECT_EQ(model.architecture(), Architecture::chronos_bolt);
}

TEST(Chronos2Tower, the_other_windows_of_a_batch_have_no_influence) {
  at::manual_seed(34);
  const DemandModelConfig config = small_config(Architecture::chronos2);
  const DemandModel model(config, 7);
  ModelInputs inputs = small_batch(config, 4);
  const at::Tensor before = model.forward(inputs, nullptr).quantiles_bqh;
  inputs.context_bt = inputs.context_bt.clone();
  inputs.context_bt[2].add_(at::arange(config.context, at::kFloat));
  const at::Tensor change = (model.forward(inputs, nullptr).quantiles_bqh - before).abs().amax({1, 2});
  for (const std::int64_t row : {0, 1, 3}) EXPECT_EQ(change[row].item<float>(), 0.0F);
  EXPECT_GT(change[2].item<float>(), 1e-4F);
}

TEST(Chronos2Tower, what_is_dropped_in_a_group_does_not_depend_on_the_batch) {
  at::manual_seed(35);
  DemandModelConfig config = small_config(Architecture::chronos2);
  config.model.groups = true;
  config.model.dropout = 0.3;
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 5);
  const DropoutKeys all{3, 8, {10, 11, 12, 13, 14}}, part{3, 8, {12, 13}}, later{3, 9, {12, 13}};
  const at::Tensor together = model.forward(inputs, &all).quantiles_bqh.narrow(0, 2, 2);
  EXPECT_LT(largest_difference(model.forward(testing::rows_of(inputs, 2, 2), &part).quantiles_bqh, together),
            1e-5);
  EXPECT_GT(largest_difference(model.forward(testing::rows_of(inputs, 2, 2), &later).quantiles_bqh, together),
            1e-2);
}

TEST(Chronos2Tower, covariates_change_the_forecasts_of_their_own_window_alone) {
  at::manual_seed(36);
  DemandModelConfig config = small_config(Architecture::chronos2);
  config.model.groups = true;
  const DemandModel model(config, 7);
  ModelInputs inputs = small_batch(config, 4);
  const at::Tensor before = model.forward(inputs, nullptr).quantiles_bqh;
  inputs.past_bnt = inputs.past_bnt.clone();
  inputs.past_bnt[1].mul_(at::arange(config.context, at::kFloat));
  const at::Tensor change = (model.forward(inputs, nullptr).quantiles_bqh - before).abs().amax({1, 2});
  for (const std::int64_t row : {0, 2, 3}) EXPECT_EQ(change[row].item<float>(), 0.0F);
  EXPECT_GT(change[1].item<float>(), 1e-4F);
}

TEST(Chronos2Tower, groups_need_a_tower_that_has_them_and_a_covariate) {
  DemandModelConfig bolt = small_config();
  bolt.model.groups = true;
  EXPECT_NE(message_of([&] { bolt.validate(); }).find("it is chronos-bolt; only Chronos-2"),
            std::string::npos);
  DemandModelConfig alone = small_config(Architecture::chronos2);
  alone.model.groups = true;
  alone.past_numeric = alone.known_numeric = 0;
  EXPECT_NE(message_of([&] { alone.validate(); }).find("data.known or data.past"), std::string::npos);
}

}  // namespace
}  // namespace shelfcast::models
