// Models with a head of counts, from their recipe to their forecasts.
#include <gtest/gtest.h>
#include <unistd.h>

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
using Counts = ModelConfig::Counts;
using testing::small_batch;
using testing::small_config;

DemandModelConfig with_counts(Counts counts = Counts::zero_inflated) {
  DemandModelConfig config = small_config();
  config.model.counts = counts;
  config.model.loss.counts = 1.0;
  config.model.written = ModelConfig::WrittenQuantiles::counts;
  return config;
}

at::Tensor loss_of(const DemandModel& model, const ModelInputs& inputs) {
  const std::int64_t windows = inputs.context_bt.size(0), steps = model.config().horizon;
  const at::Tensor target = at::arange(windows * steps, at::kFloat).view({windows, steps}).remainder(7.0);
  return loss_sums(model.forward(inputs, nullptr), {target, at::ones({windows}), {}}, model.config()).loss;
}

class Counted : public ::testing::Test {
 protected:
  Counted() { at::manual_seed(3); }
  ~Counted() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(::testing::TempDir()) / ("counts-" + std::to_string(::getpid()));
};

TEST_F(Counted, saved_and_loaded_forecast_the_same_bits) {
  for (const Counts counts : {Counts::negative_binomial, Counts::zero_inflated}) {
    const DemandModelConfig config = with_counts(counts);
    const DemandModel model(config, 7);
    model.save(folder_);
    const DemandModel again = DemandModel::load(folder_);
    const ModelInputs inputs = small_batch(config, 3);
    const Forecast a = model.forward(inputs, nullptr), b = again.forward(inputs, nullptr);
    EXPECT_TRUE(at::equal(a.dispersion_bh, b.dispersion_bh));
    EXPECT_EQ(a.zeros_bh.defined(), counts == Counts::zero_inflated);
    EXPECT_TRUE(at::equal(a.demand_quantiles_bqh(0.0), b.demand_quantiles_bqh(0.0)));
    EXPECT_TRUE(at::equal(a.demand_mean_bh(0.0), b.demand_mean_bh(0.0)));
    EXPECT_EQ(again.config().model.counts, counts);
  }
}

TEST_F(Counted, are_whole_numbers_that_ascend_while_the_head_of_quantiles_stays_what_it_was) {
  DemandModelConfig config = with_counts();
  const ModelInputs inputs = small_batch(config, 4);
  const Forecast counts = DemandModel(config, 7).forward(inputs, nullptr);
  const at::Tensor quantiles = counts.demand_quantiles_bqh(0.0);
  EXPECT_TRUE(at::equal(quantiles, quantiles.round()));
  EXPECT_TRUE((quantiles.diff(1, 1) >= 0).all().item<bool>());
  EXPECT_GT(quantiles.max().item<double>(), 0.0);
}

TEST_F(Counted, with_pretrained_weights_begin_at_the_tower_and_every_path_gets_a_gradient_in_two_steps) {
  DemandModel(small_config(), 7).save(folder_);
  DemandModelConfig config = with_counts(), without = small_config();
  for (DemandModelConfig* each : {&config, &without}) {
    each->model.weights = (folder_ / "tower").string();
    each->tower = tower_for(each->model, each->context, each->horizon);
  }
  const DemandModel model(config, 9), plain(without, 9);
  const ModelInputs inputs = small_batch(config, 6);
  const Forecast forecast = model.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(forecast.quantiles_bqh, plain.forward(inputs, nullptr).quantiles_bqh));
  EXPECT_NEAR(forecast.dispersion_bh.min().item<double>(), 0.5, 1e-5);
  EXPECT_NEAR(forecast.zeros_bh.sigmoid().max().item<double>(), 0.1, 1e-6);
  std::vector<bool> reached(model.parameters().size());
  for (int step = 0; step < 2; ++step) {
    for (const Parameter& p : model.parameters()) at::Tensor(p.tensor).mutable_grad() = at::Tensor();
    loss_of(model, inputs).backward();
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < reached.size(); ++i) {
      const at::Tensor w = model.parameters()[i].tensor;
      if (!w.grad().defined()) continue;
      if (w.grad().abs().max().item<double>() > 0) reached[i] = true;
      w.sub_(w.grad(), 1e-4);
    }
  }
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const std::string& name = model.parameters()[i].name;
    EXPECT_TRUE(reached[i] || !name.starts_with("heads.")) << name;
  }
}

TEST_F(Counted, windows_without_or_with_constant_demand_have_finite_losses_and_gradients) {
  for (const double floor : {0.0, 1.0}) {
    DemandModelConfig config = with_counts();
    config.model.scale_floor = floor;
    const DemandModel model(config, 7);
    const ModelInputs inputs = testing::flat_batch(config);
    const at::Tensor loss = loss_of(model, inputs);
    EXPECT_TRUE(std::isfinite(loss.item<double>()));
    EXPECT_TRUE(at::isfinite(model.forward(inputs, nullptr).demand_quantiles_bqh(0.0)).all().item<bool>());
    loss.backward();
    for (const Parameter& p : model.parameters())
      EXPECT_TRUE(!p.tensor.grad().defined() || at::isfinite(p.tensor.grad()).all().item<bool>()) << p.name;
  }
}

// Hidden demand is drawn from the counts when they are what is written.
TEST_F(Counted, a_step_that_a_stock_out_cut_counts_and_has_a_gradient) {
  const DemandModelConfig config = with_counts();
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 2);
  const at::Tensor nothing = at::full({2, 6}, std::numeric_limits<float>::quiet_NaN());
  at::Tensor bound = nothing.clone();
  bound[1][2] = 5.0F;
  const LossSums sums = loss_sums(model.forward(inputs, nullptr), {nothing, at::ones({2}), bound}, config);
  EXPECT_EQ(sums.valid_targets.item<double>(), 1.0);
  EXPECT_TRUE(std::isfinite(sums.loss.item<double>()));
  sums.loss.backward();
  for (const Parameter& p : model.parameters())
    EXPECT_TRUE(p.name != "heads.dispersion.weight" || p.tensor.grad().abs().max().item<double>() > 0.0);
}

// Counts of one mean, dispersion and share of zeros for all: what is learned must be near them.
TEST_F(Counted, learn_how_demand_spreads) {
  DemandModelConfig config = with_counts();
  config.past_numeric = config.known_numeric = 0;
  config.past_cardinalities = config.known_cardinalities = config.static_cardinalities = {};
  config.static_numbers = config.text_width = 0;
  config.model.dropout = config.tower.dropout_rate = 0.0;
  config.model.loss.quantile = config.model.loss.mean = 0.0;
  const double mean = 8.0, dispersion = 0.3, zeros = 0.25;
  const DemandModel model(config, 7);
  RandomStream random(5);
  const auto draw = [&](at::IntArrayRef shape) {
    at::Tensor counts = at::empty(shape);
    auto* values = counts.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < counts.numel(); ++i) {
      const double rate = mean / (1.0 - zeros) * dispersion * random.gamma(1.0 / dispersion);
      values[i] = random.uniform() < zeros ? 0.0F : static_cast<float>(random.poisson(rate));
    }
    return counts;
  };
  testing::PlainAdamW optimizer(model.parameters());
  for (int step = 0; step < 150; ++step) {
    ModelInputs inputs;
    inputs.context_bt = draw({64, config.context});
    const at::Tensor target = draw({64, config.horizon});
    const LossSums sums = loss_sums(model.forward(inputs, nullptr), {target, at::ones({64}), {}}, config);
    (sums.loss / sums.valid_targets).backward();
    optimizer.step();
  }
  ModelInputs inputs;
  inputs.context_bt = draw({64, config.context});
  const Forecast forecast = model.forward(inputs, nullptr);
  EXPECT_NEAR(forecast.demand_mean_bh(0.0).mean().item<double>(), mean, 0.6);
  EXPECT_NEAR(forecast.dispersion_bh.mean().item<double>(), dispersion, 0.1);
  EXPECT_NEAR(forecast.zeros_bh.sigmoid().mean().item<double>(), zeros, 0.05);
}

void expect_refused(const std::function<void(ModelConfig&)>& change, const std::vector<std::string>& parts) {
  ModelConfig config;
  change(config);
  try {
    config.validate();
    ADD_FAILURE() << "not refused: " << parts.front();
  } catch (const Error& error) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(CountsConfig, heads_and_weights_that_do_not_fit_are_refused_by_name) {
  expect_refused([](ModelConfig& c) { c.loss.counts = 1.0; },
                 {"model.loss.counts weighs a head that is off", "negative_binomial"});
  expect_refused([](ModelConfig& c) { c.counts = Counts::negative_binomial; },
                 {"model.heads.counts is not trained", "model.loss.counts is 0"});
  expect_refused(
      [](ModelConfig& c) { c.counts = Counts::zero_inflated, c.loss.counts = 1.0, c.mean_head = false; },
      {"model.heads.mean is false"});
  expect_refused([](ModelConfig& c) { c.written = ModelConfig::WrittenQuantiles::counts; },
                 {"model.heads.written is counts", "model.heads.counts is none"});
  expect_refused([](ModelConfig& c) { c.loss.tweedie_power = 2.0; }, {"model.loss.tweedie_power is 2"});
  expect_refused([](ModelConfig& c) { c.loss.huber_delta = 0.0; }, {"model.loss.huber_delta"});
}

}  // namespace
}  // namespace shelfcast::models
