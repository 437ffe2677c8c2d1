// Models with quantiles of demand added up over the first steps, from their recipe to their forecasts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/random.h"
#include "models/demand_model.h"
#include "tests/models/golden.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::small_batch;
using testing::small_config;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

DemandModelConfig with_sums(Architecture architecture = Architecture::chronos_bolt) {
  DemandModelConfig config = small_config(architecture);
  config.model.cumulated = true;
  config.model.loss.cumulated = 1.0;
  return config;
}

at::Tensor some_demand(std::int64_t windows, std::int64_t steps) {
  return at::arange(windows * steps, at::kFloat).view({windows, steps}).remainder(7.0);
}

class Cumulated : public ::testing::Test {
 protected:
  Cumulated() { at::manual_seed(3); }
  ~Cumulated() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(::testing::TempDir()) / ("cumulated-" + std::to_string(::getpid()));
};

TEST_F(Cumulated, saved_and_loaded_are_the_same_bits_and_leave_the_other_heads_as_they_are) {
  DemandModelConfig config = with_sums();
  config.model.classes = {0.2, 0.7};
  config.model.loss.classes = 1.0;
  const DemandModel model(config, 7);
  model.save(folder_);
  const DemandModel again = DemandModel::load(folder_);
  const ModelInputs inputs = small_batch(config, 3);
  const Forecast a = model.forward(inputs, nullptr), b = again.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(a.cumulated_bqh, b.cumulated_bqh));
  EXPECT_TRUE(at::equal(a.quantiles_bqh, b.quantiles_bqh));
  EXPECT_TRUE(at::equal(a.class_logits_bch, b.class_logits_bch));
  EXPECT_TRUE(again.config().model.cumulated);
  EXPECT_EQ(again.config().model.loss.cumulated, 1.0);
  EXPECT_FALSE(DemandModel(small_config(), 7).forward(inputs, nullptr).cumulated_bqh.defined());
}

// With pretrained weights nothing is added yet: sums are those of independent steps.
TEST_F(Cumulated, begin_as_the_sums_of_independent_steps) {
  for (const Architecture tower : {Architecture::chronos_bolt, Architecture::chronos2}) {
    DemandModel(small_config(tower), 7).save(folder_);
    DemandModelConfig config = with_sums(tower);
    config.model.weights = (folder_ / "tower").string();
    config.tower = tower_for(config.model, config.context, config.horizon);
    const ModelInputs inputs = small_batch(config, 4);
    const Forecast forecast = DemandModel(config, 9).forward(inputs, nullptr);
    const at::Tensor step_bqh = forecast.linear().quantiles_bqh;
    for (std::int64_t b = 0; b < 4; ++b)
      for (int q = 0; q < 3; ++q) {
        double mean = 0.0, squares = 0.0;
        for (std::int64_t h = 0; h < config.horizon; ++h) {
          const double median = step_bqh[b][1][h].item<double>();
          mean += forecast.mean_bh[b][h].item<double>();
          squares += std::pow(step_bqh[b][q][h].item<double>() - median, 2);
          const double expected =
              (mean + (q - 1) * std::sqrt(squares)) / std::sqrt(static_cast<double>(h + 1));
          EXPECT_NEAR(forecast.cumulated_bqh[b][q][h].item<double>(), expected,
                      2e-5 * (1 + std::abs(expected)));
        }
      }
    fs::remove_all(folder_);
  }
}

TEST_F(Cumulated, have_the_pinball_loss_of_whole_sums_alone) {
  for (const Architecture tower : {Architecture::chronos_bolt, Architecture::chronos2}) {
    DemandModelConfig config = with_sums(tower);
    config.model.loss.quantile = config.model.loss.mean = 0.0;
    config.model.loss.cumulated = 0.5;
    config.model.loss.scale_power = 1.0;
    const DemandModel model(config, 7);
    const ModelInputs inputs = small_batch(config, 4);
    at::Tensor demand = some_demand(4, config.horizon), bound = at::full_like(demand, kNaN);
    demand[1][2] = kNaN;                     // sums of three steps and more are unknown
    demand[2][0] = kNaN, bound[2][0] = 3.0;  // cut by a stock-out: all sums are unknown
    const at::Tensor weight_b = at::tensor({1.0F, 1.0F, 1.0F, 0.0F});
    const Forecast forecast = model.forward(inputs, nullptr);
    double expected = 0.0;
    for (std::int64_t b = 0; b < 3; ++b) {
      double sum = 0.0;
      const double scale = forecast.scale_b[b].item<double>(), loc = forecast.loc_b[b].item<double>();
      for (std::int64_t h = 0; h < config.horizon; ++h) {
        sum += (demand[b][h].item<double>() - loc) / scale;
        if (std::isnan(sum)) break;
        for (int q = 0; q < 3; ++q) {
          const double level = config.model.quantiles[static_cast<std::size_t>(q)];
          const double error = sum / std::sqrt(h + 1.0) - forecast.cumulated_bqh[b][q][h].item<double>();
          expected += 0.5 * scale * 2.0 / 3.0 * std::max(level * error, (level - 1.0) * error);
        }
      }
    }
    const LossSums sums = loss_sums(forecast, {demand, weight_b, bound}, config);
    EXPECT_NEAR(sums.loss.item<double>(), expected, 1e-4 * expected);
    sums.loss.backward();
    for (const Parameter& p : model.parameters())
      EXPECT_TRUE(!p.tensor.grad().defined() || at::isfinite(p.tensor.grad()).all().item<bool>()) << p.name;
  }
}

TEST_F(Cumulated, never_cross_and_never_fall_with_more_steps) {
  const DemandModelConfig config = with_sums();
  const DemandModel model(config, 7);
  for (const ModelInputs& inputs : {small_batch(config, 20), testing::flat_batch(config)}) {
    Forecast forecast = model.forward(inputs, nullptr);
    forecast.cumulated_bqh = forecast.cumulated_bqh + at::randn_like(forecast.cumulated_bqh);
    const at::Tensor sums_bqh = forecast.demand_cumulated_bqh(0.0);
    EXPECT_GE(sums_bqh.min().item<double>(), 0.0);
    EXPECT_TRUE((sums_bqh.diff(1, 1) >= 0).all().item<bool>());
    EXPECT_TRUE((sums_bqh.diff(1, 2) >= 0).all().item<bool>());
    EXPECT_TRUE(at::isfinite(sums_bqh).all().item<bool>());
  }
  // In units of demand: a forecast that is right says the sum itself.
  Forecast forecast = model.forward(small_batch(config, 2), nullptr);
  const at::Tensor demand = some_demand(2, config.horizon) + 1.0;
  const at::Tensor scaled = (demand - forecast.loc_b.unsqueeze(1)) / forecast.scale_b.unsqueeze(1);
  const at::Tensor root_h = (at::arange(config.horizon, at::kFloat) + 1.0).sqrt();
  forecast.cumulated_bqh = (scaled.cumsum(1) / root_h).unsqueeze(1).expand({2, 3, config.horizon});
  EXPECT_LT(testing::largest_difference(forecast.demand_cumulated_bqh(0.0).select(1, 1), demand.cumsum(1)),
            1e-4);
}

TEST_F(Cumulated, reach_all_their_weights_and_leave_the_quantiles_of_steps_to_their_own_loss) {
  DemandModel(small_config(), 7).save(folder_);
  DemandModelConfig config = with_sums();
  config.model.weights = (folder_ / "tower").string();
  config.tower = tower_for(config.model, config.context, config.horizon);
  config.model.loss.quantile = config.model.loss.mean = 0.0;
  const DemandModel model(config, 9);
  const ModelInputs inputs = small_batch(config, 6);
  std::vector<double> reached(model.parameters().size());
  for (int step = 0; step < 2; ++step) {
    for (const Parameter& p : model.parameters()) at::Tensor(p.tensor).mutable_grad() = at::Tensor();
    loss_sums(model.forward(inputs, nullptr), {some_demand(6, config.horizon), at::ones({6}), {}}, config)
        .loss.backward();
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < reached.size(); ++i) {
      const at::Tensor w = model.parameters()[i].tensor;
      if (!w.grad().defined()) continue;
      reached[i] = std::max(reached[i], w.grad().abs().max().item<double>());
      w.sub_(w.grad(), 1e-4);
    }
  }
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const std::string& name = model.parameters()[i].name;
    if (name.starts_with("heads.cumulated") || name.starts_with("heads.known") ||
        name == "tower.shared.weight") {
      EXPECT_GT(reached[i], 0.0) << name;
    } else if (name.starts_with("tower.output_patch_embedding") || name.starts_with("heads.mean")) {
      EXPECT_EQ(reached[i], 0.0) << name;
    }
  }
}

// All steps of a horizon sell alike: quantiles of sums are sums of quantiles, which independence denies.
TEST_F(Cumulated, learn_that_steps_depend_on_each_other) {
  DemandModelConfig config = with_sums();
  config.past_numeric = config.known_numeric = 0;
  config.past_cardinalities = config.known_cardinalities = config.static_cardinalities = {};
  config.static_numbers = config.text_width = 0;
  config.model.dropout = config.tower.dropout_rate = 0.0;
  const DemandModel model(config, 7);
  const auto inputs = [&] {
    ModelInputs made;
    made.context_bt = at::rand({64, config.context}) * 10.0;
    return made;
  };
  testing::PlainAdamW optimizer(model.parameters());
  for (int step = 0; step < 250; ++step) {
    const at::Tensor target = (at::rand({64, 1}) * 10.0).expand({64, config.horizon}).contiguous();
    const LossSums sums = loss_sums(model.forward(inputs(), nullptr), {target, at::ones({64}), {}}, config);
    (sums.loss / sums.valid_targets).backward();
    optimizer.step();
  }
  const at::Tensor sums_qh = model.forward(inputs(), nullptr).demand_cumulated_bqh(0.0).mean(0);
  for (std::int64_t h = 0; h < config.horizon; ++h) {
    const double steps = static_cast<double>(h + 1);
    EXPECT_NEAR(sums_qh[0][h].item<double>(), 1.0 * steps, 0.8 * steps) << h;
    EXPECT_NEAR(sums_qh[1][h].item<double>(), 5.0 * steps, 0.8 * steps) << h;
    EXPECT_NEAR(sums_qh[2][h].item<double>(), 9.0 * steps, 0.8 * steps) << h;
  }
}

void expect_refused(const std::function<void(ModelConfig&)>& change, const std::string& part) {
  ModelConfig config = with_sums().model;
  change(config);
  try {
    config.validate();
    ADD_FAILURE() << "not refused: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(CumulatedConfig, heads_and_weights_that_do_not_fit_are_refused_by_name) {
  expect_refused([](ModelConfig& c) { c.cumulated = false; },
                 "model.loss.cumulated weighs a head that is off");
  expect_refused([](ModelConfig& c) { c.loss.cumulated = 0.0; }, "model.heads.cumulated is not trained");
  expect_refused([](ModelConfig& c) { c.loss.cumulated = -1.0; }, "a weight of model.loss is negative");
}

}  // namespace
}  // namespace shelfcast::models
