// Models with a head of stock on hand, from their recipe to their forecasts.
#include "models/inventory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "models/demand_model.h"
#include "tests/models/adapted_models.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::small_config;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

DemandModelConfig with_stock(Architecture architecture = Architecture::chronos_bolt) {
  DemandModelConfig config = small_config(architecture);
  config.model.inventory = true;
  config.model.loss.inventory = 0.5;
  return config;
}

// Window 1 has always the same on hand, window 2 was never counted, window 3's last count is not at the end.
ModelInputs batch_with_stock(const DemandModelConfig& config) {
  ModelInputs inputs = testing::small_batch(config, 4);
  inputs.inventory_bt = at::randint(0, 40, {4, config.context}, at::kFloat);
  inputs.inventory_bt[1].fill_(17.0F);
  inputs.inventory_bt[2].fill_(kNaN);
  inputs.inventory_bt[3].narrow(0, config.context - 5, 5).fill_(kNaN);
  return inputs;
}

class Inventory : public ::testing::Test {
 protected:
  Inventory() { at::manual_seed(3); }
  ~Inventory() override { fs::remove_all(folder_); }
  fs::path folder_ = fs::path(::testing::TempDir()) / ("inventory-" + std::to_string(::getpid()));
};

TEST_F(Inventory, saved_and_loaded_is_the_same_bits_and_leaves_the_other_heads_as_they_are) {
  DemandModelConfig config = with_stock();
  config.model.cumulated = true;
  config.model.loss.cumulated = 1.0;
  config.model.classes = {0.2, 0.7};
  config.model.loss.classes = 1.0;
  const DemandModel model(config, 7);
  model.save(folder_);
  const DemandModel again = DemandModel::load(folder_);
  EXPECT_EQ(again.config().model.loss.inventory, 0.5);
  const ModelInputs inputs = batch_with_stock(config);
  const Forecast a = model.forward(inputs, nullptr), b = again.forward(inputs, nullptr);
  EXPECT_TRUE(at::equal(a.inventory_bh, b.inventory_bh));
  // The last row of the known-covariate head is its own.
  for (const Parameter& parameter : again.parameters())
    if (parameter.name == "heads.known.output.bias") at::Tensor(parameter.tensor).detach()[-1].add_(1.0);
  const Forecast moved = again.forward(inputs, nullptr);
  EXPECT_LT(testing::largest_difference(moved.inventory_bh, a.inventory_bh + 1.0), 1e-5);
  for (const auto& [before, after] :
       {std::pair(a.quantiles_bqh, moved.quantiles_bqh), std::pair(a.mean_bh, moved.mean_bh),
        std::pair(a.cumulated_bqh, moved.cumulated_bqh),
        std::pair(a.class_logits_bch, moved.class_logits_bch)})
    EXPECT_TRUE(at::equal(before, after));
}

TEST_F(Inventory, begins_as_what_was_on_hand_last) {
  for (const Architecture tower : {Architecture::chronos_bolt, Architecture::chronos2}) {
    DemandModel(small_config(tower), 7).save(folder_);
    DemandModelConfig config = with_stock(tower);
    config.model.weights = (folder_ / "tower").string();
    config.tower = tower_for(config.model, config.context, config.horizon);
    const ModelInputs inputs = batch_with_stock(config);
    const at::Tensor held_bh = DemandModel(config, 9).forward(inputs, nullptr).units_held_bh();
    for (std::int64_t b = 0; b < 4; ++b) {
      double last = 0.0;
      for (std::int64_t t = 0; t < config.context; ++t)
        if (const double x = inputs.inventory_bt[b][t].item<double>(); !std::isnan(x)) last = x;
      for (std::int64_t h = 0; h < config.horizon; ++h)
        EXPECT_NEAR(held_bh[b][h].item<double>(), last, 1e-4) << b;
    }
    fs::remove_all(folder_);
  }
}

TEST_F(Inventory, has_the_point_loss_of_what_was_counted_in_a_scale_no_smaller_than_demands) {
  using Mean = LossConfig::MeanLoss;
  for (const Mean kind : {Mean::mse, Mean::mae, Mean::huber, Mean::tweedie}) {
    DemandModelConfig config = with_stock();
    config.model.loss.quantile = config.model.loss.mean = 0.0;
    config.model.loss.mean_loss = kind;
    config.model.loss.huber_delta = 0.7;
    const DemandModel model(config, 7);
    const ModelInputs inputs = batch_with_stock(config);
    at::Tensor held = at::randint(0, 40, {4, config.horizon}, at::kFloat);
    held[0][2] = kNaN;
    // Demand that nobody observed does not take stock along.
    at::Tensor demand = at::rand({4, config.horizon});
    demand[0][1] = kNaN;
    const Forecast forecast = model.forward(inputs, nullptr);
    double expected = 0.0;
    for (std::int64_t b = 0; b < 3; ++b) {
      double sum = 0.0, squares = 0.0, n = 0.0;
      for (std::int64_t t = 0; t < config.context; ++t)
        if (const double x = inputs.inventory_bt[b][t].item<double>(); !std::isnan(x))
          sum += x, squares += x * x, n += 1.0;
      const double loc = n > 0 ? sum / n : 0.0, own = n > 0 ? std::sqrt(squares / n - loc * loc) : 1.0,
                   scale = std::max(own, forecast.scale_b[b].item<double>());
      for (std::int64_t h = 0; h < config.horizon; ++h) {
        const double error =
            (held[b][h].item<double>() - loc) / scale - forecast.inventory_bh[b][h].item<double>();
        if (std::isnan(error)) continue;
        const double size = std::abs(error);
        expected += kind == Mean::mae     ? size
                    : kind != Mean::huber ? size * size
                    : size < 0.7          ? 0.5 * size * size
                                          : 0.7 * (size - 0.35);
      }
    }
    const LossSums sums =
        loss_sums(forecast, {demand, at::tensor({1.0F, 1.0F, 1.0F, 0.0F}), {}, {}, {}, held}, config);
    EXPECT_NEAR(sums.loss.item<double>(), 0.5 * expected, 1e-4 * expected);
    EXPECT_EQ(sums.valid_targets.item<double>(), 3.0 * static_cast<double>(config.horizon) - 1.0);
    sums.loss.backward();
    for (const Parameter& parameter : model.parameters()) {
      const at::Tensor gradient = parameter.tensor.grad();
      ASSERT_TRUE(!gradient.defined() || gradient.isfinite().all().item<bool>()) << parameter.name;
      if (parameter.name == "heads.inventory.weight" || parameter.name == "tower.shared.weight") {
        EXPECT_GT(gradient.abs().max().item<double>(), 0.0) << parameter.name;
      }
    }
  }
}

TEST_F(Inventory, weights_of_a_head_that_is_off_and_heads_that_are_not_trained_are_errors) {
  DemandModelConfig config = with_stock();
  config.model.loss.inventory = 0.0;
  EXPECT_NE(testing::message_of([&] { config.validate(); }).find("model.heads.inventory is not trained"),
            std::string::npos);
  config = small_config();
  config.model.loss.inventory = 0.5;
  EXPECT_NE(testing::message_of([&] { config.validate(); }).find("weighs a head that is off"),
            std::string::npos);
  config.model.loss.inventory = -1.0;
  EXPECT_THROW(config.validate(), Error);
}

}  // namespace
}  // namespace shelfcast::models
