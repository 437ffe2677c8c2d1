// Models that fill in hidden steps of the context, from their recipe to their loss.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/demand_model.h"
#include "tests/models/adapted_models.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

using testing::largest_difference;
using testing::message_of;
using testing::small_batch;
using testing::small_config;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kWindows = 4;

struct Setting {
  const char* name;
  Architecture tower;
  bool groups;
  std::int64_t context;  // longer than what the tower reads, or no whole patches
};

DemandModelConfig config_of(const Setting& setting, bool masked = true) {
  DemandModelConfig config = small_config(setting.tower);
  config.context = setting.context;
  config.model.groups = setting.groups;
  config.model.masked = masked;
  config.model.loss.masked = masked ? 0.4 : 0.0;
  return config;
}

class Masked : public ::testing::TestWithParam<Setting> {
 protected:
  Masked() { at::manual_seed(5); }
  DropoutKeys keys_{3, 8, {10, 11, 12, 13}};
};
INSTANTIATE_TEST_SUITE_P(Towers, Masked,
                         ::testing::Values(Setting{"bolt", Architecture::chronos_bolt, false, 44},
                                           Setting{"long_bolt", Architecture::chronos_bolt, false, 61},
                                           Setting{"chronos2", Architecture::chronos2, false, 42},
                                           Setting{"groups", Architecture::chronos2, true, 61}),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

TEST_P(Masked, forecasts_in_training_are_those_of_the_model_without_the_head) {
  DemandModelConfig config = config_of(GetParam()), plain = config_of(GetParam(), false);
  // Chronos-2's last block is then computed for more tokens, so that others of its elements would be dropped.
  config.model.dropout = plain.model.dropout = 0.0;
  const ModelInputs inputs = small_batch(config, kWindows);
  const DemandModel with(config, 7), without(plain, 7);
  const Forecast a = with.forward(inputs, &keys_), b = without.forward(inputs, &keys_);
  EXPECT_LT(largest_difference(a.quantiles_bqh, b.quantiles_bqh), 1e-5);
  EXPECT_LT(largest_difference(a.mean_bh, b.mean_bh), 1e-5);
  EXPECT_EQ(a.masked_bt.sizes(), (std::vector<std::int64_t>{kWindows, std::min(config.context, 48L)}));
  EXPECT_FALSE(b.masked_bt.defined());
  EXPECT_FALSE(with.forward(inputs, nullptr).masked_bt.defined());  // nothing is hidden when it is used
}

TEST_P(Masked, has_the_loss_of_hidden_steps_alone_and_teaches_where_no_target_is_known) {
  DemandModelConfig config = config_of(GetParam());
  const DemandModel model(config, 7);
  ModelInputs inputs = small_batch(config, kWindows);
  at::Tensor hidden = at::full({kWindows, config.context}, kNaN);
  const std::int64_t last = config.context - 1;
  for (std::int64_t b = 0; b < kWindows; ++b)
    for (const std::int64_t t : {last, last - 1, last - 9, last - 20}) {
      hidden[b][t] = static_cast<float>(b + t % 5);
      inputs.context_bt[b][t] = kNaN;
    }
  hidden[0][0] = config.context > 48 ? 1e6F : kNaN;  // beyond what the tower reads
  const at::Tensor unknown = at::full({kWindows, config.horizon}, kNaN);
  const Targets targets{unknown, at::tensor({1.0F, 1.0F, 0.0F, 1.0F}), {}, {}, {}, {}, hidden};
  const Forecast forecast = model.forward(inputs, &keys_);
  double expected = 0.0;
  for (const std::int64_t b : {0, 1, 3})
    for (const std::int64_t t : {last, last - 1, last - 9, last - 20}) {
      const double y = (hidden[b][t].item<double>() - forecast.loc_b[b].item<double>()) /
                       forecast.scale_b[b].item<double>();
      const std::int64_t place = t - (config.context - forecast.masked_bt.size(1));
      expected += 0.4 * std::pow(y - forecast.masked_bt[b][place].item<double>(), 2);
    }
  const LossSums sums = loss_sums(forecast, targets, config);
  EXPECT_NEAR(sums.loss.item<double>(), expected, 1e-5 * expected);
  EXPECT_EQ(sums.valid_targets.item<double>(), 0.0);
  sums.loss.backward();
  const auto moved = [&](const std::string& name) {
    for (const Parameter& parameter : model.parameters())
      if (parameter.name == name)
        return parameter.tensor.grad().defined() && parameter.tensor.grad().abs().max().item<double>() > 0;
    throw std::runtime_error("no " + name);
  };
  EXPECT_TRUE(moved("heads.masked.weight"));
  EXPECT_TRUE(moved("tower.input_patch_embedding.hidden_layer.weight"));
  EXPECT_TRUE(moved("tower.encoder.final_layer_norm.weight"));
  EXPECT_FALSE(moved("heads.mean.weight"));
}

TEST_P(Masked, saved_and_loaded_is_the_same_bits) {
  const DemandModelConfig config = config_of(GetParam());
  const DemandModel model(config, 7);
  const auto folder =
      std::filesystem::path(::testing::TempDir()) / (std::string("masked-") + GetParam().name);
  model.save(folder);
  const DemandModel again = DemandModel::load(folder);
  EXPECT_EQ(again.config().model.loss.masked, 0.4);
  const ModelInputs inputs = small_batch(config, kWindows);
  EXPECT_TRUE(at::equal(again.forward(inputs, &keys_).masked_bt, model.forward(inputs, &keys_).masked_bt));
  std::filesystem::remove_all(folder);
}

TEST(MaskedErrors, towers_without_states_of_the_context_and_overlapping_patches_are_refused) {
  DemandModelConfig config = small_config(Architecture::lstm);
  config.model.masked = true;
  config.model.loss.masked = 0.4;
  EXPECT_NE(message_of([&] { config.validate(); }).find("lstm ends in one state"), std::string::npos);
  config = small_config();
  config.model.masked = true;
  EXPECT_NE(message_of([&] { config.validate(); }).find("is not trained"), std::string::npos);
  config.model.loss.masked = 0.4;
  config.tower.input_patch_stride = 4;
  EXPECT_NE(message_of([&] { config.validate(); }).find("reads 8 steps every 4"), std::string::npos);
  config = small_config();
  config.model.loss.masked = 0.4;
  EXPECT_NE(message_of([&] { config.validate(); }).find("weighs a head that is off"), std::string::npos);
}

}  // namespace
}  // namespace shelfcast::models
