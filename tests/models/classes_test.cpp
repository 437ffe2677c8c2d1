// Models with a head of low, normal and high demand, from their recipe to their forecasts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "models/demand_model.h"
#include "tests/models/golden.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::small_batch;
using testing::small_config;

DemandModelConfig with_classes(Architecture architecture = Architecture::chronos_bolt) {
  DemandModelConfig config = small_config(architecture);
  config.model.classes = {0.2, 0.7};
  config.model.loss.classes = 1.0;
  return config;
}

// All three classes and a step without one.
at::Tensor some_classes(std::int64_t windows, std::int64_t steps) {
  return at::arange(windows * steps, at::kLong).view({windows, steps}).remainder(4) - 1;
}

at::Tensor demand_where_classed(const at::Tensor& class_bh) {
  const at::Tensor demand = at::arange(class_bh.numel(), at::kFloat).view_as(class_bh).remainder(7.0);
  return demand.masked_fill(class_bh == kNoClass, std::numeric_limits<float>::quiet_NaN());
}

LossSums sums_of(const DemandModel& model, const ModelInputs& inputs, const at::Tensor& class_bh,
                 const at::Tensor& weight_c = {}) {
  const at::Tensor weight_b = at::ones({class_bh.size(0)});
  return loss_sums(model.forward(inputs, nullptr),
                   {demand_where_classed(class_bh), weight_b, {}, class_bh, weight_c}, model.config());
}

class Classes : public ::testing::Test {
 protected:
  Classes() { at::manual_seed(3); }
  ~Classes() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(::testing::TempDir()) / ("classes-" + std::to_string(::getpid()));
};

TEST_F(Classes, saved_and_loaded_are_the_same_bits_and_begin_as_likely_as_in_the_past) {
  for (const Architecture tower : {Architecture::chronos_bolt, Architecture::chronos2}) {
    DemandModelConfig config = with_classes(tower);
    config.model.counts = ModelConfig::Counts::zero_inflated;
    config.model.loss.counts = 1.0;
    config.model.loss.balance_classes = true;
    config.model.loss.label_smoothing = 0.125;
    const DemandModel model(config, 7);
    model.save(folder_);
    const DemandModel again = DemandModel::load(folder_);
    const ModelInputs inputs = small_batch(config, 30);
    const Forecast a = model.forward(inputs, nullptr), b = again.forward(inputs, nullptr);
    EXPECT_TRUE(at::equal(a.class_logits_bch, b.class_logits_bch));
    EXPECT_EQ(a.class_logits_bch.sizes(), at::IntArrayRef({30, 3, config.horizon}));
    EXPECT_EQ(again.config().model.classes, config.model.classes);
    EXPECT_TRUE(again.config().model.loss.balance_classes);
    EXPECT_EQ(again.config().model.loss.label_smoothing, 0.125);
    const at::Tensor likely_c = a.class_logits_bch.softmax(1).mean(0).mean(1);
    for (const auto& [c, share] : std::vector<std::pair<int, double>>{{0, 0.2}, {1, 0.5}, {2, 0.3}})
      EXPECT_NEAR(likely_c[c].item<double>(), share, 0.1);
  }
}

TEST_F(Classes, leave_the_other_heads_as_they_are) {
  const DemandModelConfig config = with_classes();
  const ModelInputs inputs = small_batch(config, 3);
  const Forecast with = DemandModel(config, 7).forward(inputs, nullptr);
  DemandModelConfig without = config;
  without.model.classes = {}, without.model.loss.classes = 0.0;
  const DemandModel plain(without, 7);
  EXPECT_FALSE(plain.forward(inputs, nullptr).class_logits_bch.defined());
  EXPECT_EQ(with.quantiles_bqh.sizes(), plain.forward(inputs, nullptr).quantiles_bqh.sizes());
}

// The definition that torch.nn.functional.cross_entropy documents, in plain loops and double precision:
// -(1 - e) w[y] log p[y] - e / C sum_c w[c] log p[c].
double cross_entropy(const at::Tensor& logits_bch, const at::Tensor& class_bh, const std::vector<double>& w,
                     double e) {
  double sum = 0.0;
  for (std::int64_t b = 0; b < class_bh.size(0); ++b)
    for (std::int64_t h = 0; h < class_bh.size(1); ++h) {
      const auto y = class_bh[b][h].item<std::int64_t>();
      if (y < 0) continue;
      double all = 0.0, spread = 0.0;
      std::vector<double> z;
      for (int c = 0; c < 3; ++c) z.push_back(logits_bch[b][c][h].item<double>());
      for (const double one : z) all += std::exp(one);
      for (std::size_t c = 0; c < 3; ++c) spread -= w[c] * (z[c] - std::log(all));
      const auto own = static_cast<std::size_t>(y);
      sum += -(1.0 - e) * w[own] * (z[own] - std::log(all)) + e / 3.0 * spread;
    }
  return sum;
}

TEST_F(Classes, have_the_cross_entropy_that_pytorch_defines_weights_and_smoothing_included) {
  DemandModelConfig config = with_classes();
  config.model.loss.quantile = config.model.loss.mean = 0.0;
  config.model.loss.classes = 2.0;
  const ModelInputs inputs = small_batch(config, 5);
  const at::Tensor class_bh = some_classes(5, config.horizon);
  for (const double smoothing : {0.0, 0.1})
    for (const std::vector<double>& weights : {std::vector<double>{1, 1, 1}, {0.5, 0.25, 3.0}}) {
      config.model.loss.label_smoothing = smoothing;
      const DemandModel model(config, 7);
      const LossSums sums = sums_of(model, inputs, class_bh, at::tensor(weights, at::kFloat));
      const double expected =
          2.0 * cross_entropy(model.forward(inputs, nullptr).class_logits_bch, class_bh, weights, smoothing);
      EXPECT_NEAR(sums.loss.item<double>(), expected, 1e-4 * expected);
      EXPECT_EQ(sums.valid_targets.item<double>(), (class_bh >= 0).sum().item<double>());
    }
}

TEST_F(Classes, of_steps_without_one_and_of_padding_have_no_loss_and_no_gradient) {
  const DemandModelConfig config = with_classes();
  const DemandModel model(config, 7);
  const ModelInputs inputs = small_batch(config, 2);
  const at::Tensor none = at::full({2, config.horizon}, kNoClass, at::kLong);
  Forecast forecast = model.forward(inputs, nullptr);
  const at::Tensor demand = at::ones({2, config.horizon});
  // Observed demand of a series that has no thresholds: other heads learn from it.
  loss_sums(forecast, {demand, at::ones({2}), {}, none, {}}, config).loss.backward();
  const auto gradient = [&](const char* name) {
    for (const Parameter& p : model.parameters())
      if (p.name == name && p.tensor.grad().defined()) return p.tensor.grad().abs().max().item<double>();
    return 0.0;
  };
  EXPECT_EQ(gradient("heads.class.weight"), 0.0);
  EXPECT_GT(gradient("heads.mean.weight"), 0.0);
  forecast = model.forward(inputs, nullptr);
  const LossSums padding =
      loss_sums(forecast, {demand, at::zeros({2}), {}, at::zeros_like(none), {}}, config);
  EXPECT_EQ(padding.loss.item<double>(), 0.0);
  EXPECT_EQ(padding.valid_targets.item<double>(), 0.0);
}

TEST_F(Classes, with_pretrained_weights_begin_at_the_tower_and_every_path_gets_a_gradient_in_two_steps) {
  DemandModel(small_config(), 7).save(folder_);
  DemandModelConfig config = with_classes();
  config.model.weights = (folder_ / "tower").string();
  config.tower = tower_for(config.model, config.context, config.horizon);
  const DemandModel model(config, 9);
  const ModelInputs inputs = small_batch(config, 6);
  const at::Tensor likely_bch = model.forward(inputs, nullptr).class_logits_bch.softmax(1);
  EXPECT_NEAR(likely_bch.select(1, 1).max().item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(likely_bch.select(1, 1).min().item<double>(), 0.5, 1e-6);
  std::vector<bool> reached(model.parameters().size());
  for (int step = 0; step < 2; ++step) {
    for (const Parameter& p : model.parameters()) at::Tensor(p.tensor).mutable_grad() = at::Tensor();
    sums_of(model, inputs, some_classes(6, config.horizon)).loss.backward();
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

// What a covariate known ahead says of the step decides about its class.
TEST_F(Classes, learn_a_rule) {
  DemandModelConfig config = with_classes();
  config.past_numeric = 0, config.known_numeric = 1;
  config.past_cardinalities = config.known_cardinalities = config.static_cardinalities = {};
  config.static_numbers = config.text_width = 0;
  config.model.known_hidden = 64;
  config.model.dropout = config.tower.dropout_rate = 0.0;
  config.model.loss.quantile = config.model.loss.mean = 0.0;
  const DemandModel model(config, 7);
  // -1, 0 or 1 on each step.
  const auto draw = [&](std::int64_t windows) {
    ModelInputs inputs = small_batch(config, windows);
    inputs.known_bnu = at::randint(-1, 2, inputs.known_bnu.sizes(), at::kFloat);
    return inputs;
  };
  const auto rule = [&](const ModelInputs& inputs) {
    return inputs.known_bnu.select(1, 0).narrow(1, config.context, config.horizon).to(at::kLong) + 1;
  };
  testing::PlainAdamW optimizer(model.parameters());
  for (int step = 0; step < 150; ++step) {
    const ModelInputs inputs = draw(32);
    const LossSums sums = sums_of(model, inputs, rule(inputs));
    (sums.loss / sums.valid_targets).backward();
    optimizer.step();
  }
  const ModelInputs inputs = draw(64);
  const at::Tensor said_bh = model.forward(inputs, nullptr).class_logits_bch.argmax(1);
  EXPECT_GT((said_bh == rule(inputs)).to(at::kFloat).mean().item<double>(), 0.95);
}

void expect_refused(const std::function<void(ModelConfig&)>& change, const std::vector<std::string>& parts) {
  ModelConfig config = with_classes().model;
  change(config);
  try {
    config.validate();
    ADD_FAILURE() << "not refused: " << parts.front();
  } catch (const Error& error) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(ClassesConfig, heads_and_weights_that_do_not_fit_are_refused_by_name) {
  expect_refused([](ModelConfig& c) { c.classes = {}; },
                 {"model.loss.class weighs a head that is off", "[0.25, 0.75]"});
  expect_refused([](ModelConfig& c) { c.loss.classes = 0.0; },
                 {"model.heads.classes is not trained", "model.loss.class is 0"});
  expect_refused([](ModelConfig& c) { c.loss.classes = -1.0; }, {"a weight of model.loss is negative"});
  expect_refused([](ModelConfig& c) { c.classes = {}, c.loss.classes = 0.0, c.loss.label_smoothing = 0.1; },
                 {"label_smoothing of a head that is off"});
  for (const std::vector<double>& shares : {std::vector{0.5}, {0.75, 0.25}, {0.0, 0.5}, {0.1, 0.5, 0.9}})
    expect_refused([&](ModelConfig& c) { c.classes = shares; }, {"model.heads.classes"});
  for (const std::vector<double>& weights : {std::vector{1.0, 2.0}, {1.0, -1.0, 1.0}, {0.0, 0.0, 0.0}})
    expect_refused([&](ModelConfig& c) { c.loss.class_weights = weights; },
                   {"model.loss.class_weights is ["});
  for (const double smoothing : {-0.1, 1.0})
    expect_refused([&](ModelConfig& c) { c.loss.label_smoothing = smoothing; },
                   {"model.loss.label_smoothing"});
}

}  // namespace
}  // namespace shelfcast::models
