// Steps where nothing can be sold, from a known column to forecasts and losses.
#include <gtest/gtest.h>

#include <limits>

#include "models/closed_steps.h"
#include "models/demand_model.h"
#include "tests/models/adapted_models.h"
#include "tests/models/small_models.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

using testing::small_batch;
using testing::small_config;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kWindows = 4;

struct Closed : ::testing::TestWithParam<Architecture> {
  DemandModelConfig config = [] {
    DemandModelConfig made = small_config(GetParam());
    made.open_column = 1;
    made.model.classes = {0.2, 0.7};
    made.model.loss.classes = 1.0;
    return made;
  }();
  DemandModel model{config, 3};
  ModelInputs inputs;
  at::Tensor closed_bt, closed_bh;

  Closed() {
    at::manual_seed(5);
    inputs = small_batch(config, kWindows);
    const at::Tensor open_bu = (at::rand({kWindows, config.context + config.horizon}) > 0.3).to(at::kFloat);
    inputs.known_bnu.select(1, config.open_column).copy_(open_bu - 1.0);
    closed_bt = open_bu.narrow(1, 0, config.context) == 0.0;
    closed_bh = open_bu.narrow(1, config.context, config.horizon) == 0.0;
    EXPECT_TRUE(closed_bh.any().item<bool>() && !closed_bh.all().item<bool>());
  }
  Forecast forecast() const {
    const at::NoGradGuard no_gradients;
    return model.forward(inputs, nullptr);
  }
  Targets targets(const at::Tensor& demand_bh) const {
    Targets made{demand_bh, at::ones({kWindows}), {}};
    made.class_bh = at::ones({kWindows, config.horizon}, at::kLong);
    return made;
  }
};

TEST_P(Closed, steps_are_forecast_as_exactly_0_and_low_and_others_are_not) {
  const Forecast made = forecast();
  const at::Tensor quantiles = made.demand_quantiles_bqh(-1e9), mean = made.demand_mean_bh(-1e9);
  const at::Tensor low_bh = made.class_logits_bch.softmax(1).select(1, 0);
  for (std::int64_t q = 0; q < quantiles.size(1); ++q)
    EXPECT_TRUE(at::equal(quantiles.select(1, q) == 0.0, closed_bh)) << q;
  EXPECT_TRUE(at::equal(mean == 0.0, closed_bh));
  EXPECT_TRUE(at::equal(low_bh == 1.0, closed_bh));
}

TEST_P(Closed, steps_of_the_history_are_not_observed) {
  const Forecast before = forecast();
  inputs.context_bt = inputs.context_bt.masked_fill(closed_bt, 1e6);
  const Forecast after = forecast();
  EXPECT_TRUE(at::equal(before.quantiles_bqh, after.quantiles_bqh));
  EXPECT_TRUE(at::equal(before.mean_bh, after.mean_bh));
  inputs.context_bt = inputs.context_bt.masked_fill(closed_bt.logical_not(), 1e6);
  EXPECT_FALSE(at::equal(before.loc_b, forecast().loc_b));
}

TEST_P(Closed, around_a_step_is_what_the_known_head_sees) {
  const auto closed = [](std::vector<int> steps) {
    return at::tensor(steps, at::kInt).to(at::kBool).unsqueeze(0);
  };
  const at::Tensor runs = closures(closed({1, 1, 0, 1, 0, 0, 1, 1})).expm1().round();
  EXPECT_TRUE(at::equal(runs[0][0], at::tensor({0.F, 1.F, 2.F, 0.F, 1.F, 0.F, 0.F, 1.F})));
  EXPECT_TRUE(at::equal(runs[0][1], at::tensor({1.F, 0.F, 1.F, 0.F, 0.F, 2.F, 1.F, 0.F})));
  EXPECT_EQ(closures(at::ones({1, 50}, at::kBool)).expm1().round().max().item<float>(), 20.0F);

  config.model.closures = true;
  const DemandModel seeing(config, 3);
  const auto demand = [&] {
    const at::NoGradGuard no_gradients;
    return seeing.forward(inputs, nullptr).demand_mean_bh(-1e9);
  };
  inputs.known_bnu.select(1, config.open_column).zero_();
  const at::Tensor open = demand();
  inputs.known_bnu.select(1, config.open_column).select(1, config.context + 2).fill_(-1.0);
  const at::Tensor one_closed = demand();
  for (std::int64_t h = 0; h < config.horizon; ++h)
    EXPECT_EQ(at::equal(open.select(1, h), one_closed.select(1, h)), std::abs(h - 2) > 1) << h;
  // The last step of the history, of which nothing was observed to begin with.
  inputs.context_bt.select(1, config.context - 1).fill_(kNan);
  const at::Tensor before = demand();
  inputs.known_bnu.select(1, config.open_column).select(1, config.context - 1).fill_(-1.0);
  EXPECT_FALSE(at::equal(before.select(1, 0), demand().select(1, 0)));
}

TEST(Closures, need_a_column_that_says_what_is_closed) {
  DemandModelConfig config = small_config();
  config.model.closures = true;
  EXPECT_NE(testing::message_of([&] { config.validate(); }).find("data.open is empty"), std::string::npos);
}

TEST_P(Closed, a_step_is_open_where_nothing_is_known) {
  inputs.known_bnu.select(1, config.open_column).fill_(kNan);
  EXPECT_FALSE((forecast().demand_mean_bh(-1e9) == 0.0).any().item<bool>());
}

TEST_P(Closed, targets_count_for_nothing) {
  const at::Tensor demand_bh = at::rand({kWindows, config.horizon}) * 9.0;
  const auto sums_of = [&](const at::Tensor& demand, const at::Tensor& bound_bh = {},
                           const at::Tensor& class_bh = {}) {
    for (const Parameter& parameter : model.parameters()) parameter.tensor.mutable_grad() = at::Tensor();
    Targets given = targets(demand);
    given.bound_bh = bound_bh;
    if (class_bh.defined()) given.class_bh = class_bh;
    const LossSums sums = loss_sums(model.forward(inputs, nullptr), given, config);
    sums.loss.backward();
    return std::pair{sums.loss.item<double>(), sums.valid_targets.item<double>()};
  };
  const auto zeros = sums_of(demand_bh.masked_fill(closed_bh, 0.0));
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : model.parameters())
    gradients.push_back(parameter.tensor.grad().defined() ? parameter.tensor.grad().clone() : at::Tensor());
  EXPECT_EQ(sums_of(demand_bh.masked_fill(closed_bh, 1e6)), zeros);
  EXPECT_EQ(sums_of(demand_bh.masked_fill(closed_bh, kNan)), zeros);
  const at::Tensor cut_bh = at::full_like(demand_bh, kNan).masked_fill(closed_bh, 5.0);
  EXPECT_EQ(sums_of(demand_bh.masked_fill(closed_bh, kNan), cut_bh), zeros);
  const at::Tensor class_bh = at::ones(closed_bh.sizes(), at::kLong).masked_fill(closed_bh, kNoClass);
  EXPECT_EQ(sums_of(demand_bh, {}, class_bh), zeros);
  EXPECT_EQ(zeros.second, closed_bh.logical_not().sum().item<double>());
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].defined()) {
      EXPECT_TRUE(at::equal(model.parameters()[i].tensor.grad(), gradients[i])) << i;
    }
}

TEST_P(Closed, hidden_steps_count_for_nothing) {
  config.model.masked = true;
  config.model.loss.masked = 1.0;
  const DemandModel filling(config, 3);
  const DropoutKeys keys{1, 2, {0, 1, 2, 3}};
  const auto loss_of = [&](float while_closed) {
    Targets given = targets(at::ones({kWindows, config.horizon}));
    given.hidden_bt = at::full({kWindows, config.context}, 3.0F).masked_fill(closed_bt, while_closed);
    return loss_sums(filling.forward(inputs, &keys), given, config).loss.item<double>();
  };
  EXPECT_EQ(loss_of(1e6F), loss_of(kNan));
}

TEST_P(Closed, column_is_kept_with_the_model) {
  const shelfcast::testing::TemporaryFolder folder;
  model.save(folder / "model");
  EXPECT_EQ(DemandModel::load(folder / "model").config().open_column, 1);
}

INSTANTIATE_TEST_SUITE_P(Towers, Closed,
                         ::testing::Values(Architecture::chronos_bolt, Architecture::chronos2),
                         [](const auto& tower) {
                           return tower.param == Architecture::chronos2 ? "chronos2" : "chronos_bolt";
                         });

}  // namespace
}  // namespace shelfcast::models
