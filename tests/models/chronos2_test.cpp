// What a row of Chronos-2 depends on, and what is refused.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_forecast.h"
#include "models/series/chronos2_loss.h"
#include "models/series/series_model.h"
#include "tests/models/small_models.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

using testing::largest_difference;

Chronos2Config small() {
  Chronos2Config config = named_chronos2("chronos-2-nano");
  config.patch_size = config.input_patch_stride = 4;
  config.context_length = 40;
  config.max_output_patches = 3;
  config.dropout_rate = 0.25;
  return config;
}

// Eight rows: groups {0, 3, 5}, {1, 4}, {2, 7} and {6}; 2 and 5 have gaps, 3 knows its future.
Chronos2Inputs batch() {
  at::manual_seed(9);
  Chronos2Inputs inputs;
  inputs.context_bt = at::rand({8, 30}) * 10.0;
  inputs.context_bt[2].narrow(0, 0, 9).fill_(NAN);
  inputs.context_bt[5].masked_fill_(at::rand({30}) < 0.4, std::numeric_limits<float>::quiet_NaN());
  inputs.group_ids_b = at::tensor({5, -1, 8, 5, -1, 5, 3, 8}, at::kLong);
  inputs.future_bh = at::full({8, 11}, NAN);
  inputs.future_bh[3] = at::rand({11}) * 10.0;
  inputs.patches = 3;
  return inputs;
}

Chronos2Inputs rows_of(const Chronos2Inputs& inputs, const std::vector<std::int64_t>& rows) {
  const at::Tensor index = at::tensor(rows, at::kLong);
  return {inputs.context_bt.index_select(0, index), inputs.group_ids_b.index_select(0, index),
          inputs.future_bh.index_select(0, index), inputs.patches};
}

DropoutKeys keys_of(const std::vector<std::int64_t>& rows) {
  DropoutKeys keys{1, 2, {}};
  for (const std::int64_t row : rows) keys.sample_b.push_back(100 - 7 * row);
  return keys;
}

const std::vector<std::int64_t> kAll = {0, 1, 2, 3, 4, 5, 6, 7};

// Rows of any batch get what they get in the whole one, in evaluation and in training.
void expect_rows_as_in_the_whole_batch(const std::vector<std::int64_t>& rows) {
  const Chronos2Model model = make_chronos2(small(), 3);
  const at::Tensor index = at::tensor(rows, at::kLong);
  const DropoutKeys all = keys_of(kAll), some = keys_of(rows);
  for (const bool training : {false, true}) {
    const at::Tensor whole = model.tower.forward(batch(), training ? &all : nullptr).quantiles_bqh;
    const at::Tensor part =
        model.tower.forward(rows_of(batch(), rows), training ? &some : nullptr).quantiles_bqh;
    EXPECT_LT(largest_difference(whole.index_select(0, index), part), 1e-6) << training;
  }
}

TEST(Chronos2, rows_in_another_order_get_the_same_forecasts_and_draws) {
  expect_rows_as_in_the_whole_batch({7, 2, 6, 5, 4, 3, 1, 0});
}

TEST(Chronos2, a_group_gets_the_same_whoever_else_is_in_the_batch) {
  expect_rows_as_in_the_whole_batch({0, 3, 5});
  expect_rows_as_in_the_whole_batch({6});
  expect_rows_as_in_the_whole_batch({4, 7, 1, 2});
}

TEST(Chronos2, other_groups_have_no_influence_and_the_own_group_has) {
  const Chronos2Model model = make_chronos2(small(), 3);
  const at::NoGradGuard no_grad;
  const at::Tensor before = model.tower.forward(batch(), nullptr).quantiles_bqh;
  Chronos2Inputs changed = batch();
  changed.context_bt[4].add_(at::arange(30, at::kFloat));
  changed.future_bh[4].fill_(3.0);
  const at::Tensor difference =
      (model.tower.forward(changed, nullptr).quantiles_bqh - before).abs().flatten(1).amax(1);
  for (const std::int64_t row : kAll) {
    const double moved = difference[row].item<double>();
    if (row == 1 || row == 4) {
      EXPECT_GT(moved, 1e-3) << row;
    } else {
      EXPECT_EQ(moved, 0.0) << row;
    }
  }
}

TEST(Chronos2, what_groups_are_called_does_not_matter_and_rows_are_alone_without_ids) {
  const Chronos2Model model = make_chronos2(small(), 3);
  Chronos2Inputs named = batch(), alone = batch();
  named.group_ids_b = at::tensor({0, 1, 2, 0, 1, 0, 3, 2}, at::kLong);
  EXPECT_TRUE(at::equal(model.tower.forward(named, nullptr).quantiles_bqh,
                        model.tower.forward(batch(), nullptr).quantiles_bqh));
  alone.group_ids_b = at::arange(8, at::kLong);
  Chronos2Inputs without = batch();
  without.group_ids_b = at::Tensor();
  EXPECT_TRUE(at::equal(model.tower.forward(alone, nullptr).quantiles_bqh,
                        model.tower.forward(without, nullptr).quantiles_bqh));
}

TEST(Chronos2, left_padding_by_whole_patches_changes_nothing) {
  const Chronos2Model model = make_chronos2(small(), 3);
  Chronos2Inputs padded = batch();
  padded.context_bt = at::constant_pad_nd(padded.context_bt, {9, 0}, NAN);
  EXPECT_LT(largest_difference(model.tower.forward(padded, nullptr).quantiles_bqh,
                               model.tower.forward(batch(), nullptr).quantiles_bqh),
            1e-6);
}

TEST(Chronos2, dropout_changes_with_the_step_and_the_sample_only) {
  const Chronos2Model model = make_chronos2(small(), 3);
  DropoutKeys keys = keys_of(kAll);
  const at::Tensor first = model.tower.forward(batch(), &keys).quantiles_bqh;
  EXPECT_TRUE(at::equal(first, model.tower.forward(batch(), &keys).quantiles_bqh));
  keys.sample_b[6] = 77;
  const at::Tensor second = model.tower.forward(batch(), &keys).quantiles_bqh;
  EXPECT_GT(largest_difference(first[6], second[6]), 1e-3);
  EXPECT_TRUE(at::equal(first.narrow(0, 0, 6), second.narrow(0, 0, 6)));
  keys.step = 3;
  EXPECT_GT(largest_difference(second[0], model.tower.forward(batch(), &keys).quantiles_bqh[0]), 1e-3);
}

TEST(Chronos2, gradients_are_finite_with_everything_missing_and_do_not_depend_on_missing_targets) {
  const Chronos2Model model = make_chronos2(small(), 3);
  Chronos2Inputs inputs = batch();
  inputs.context_bt[6].fill_(NAN);
  inputs.context_bt[1].fill_(2.0);
  at::Tensor target = at::rand({8, 11});
  target[0].narrow(0, 3, 8).fill_(NAN);
  target[6].fill_(NAN);
  const LossSums sums =
      chronos2_loss(model.tower.forward(inputs, nullptr), inputs, target, {}, model.tower.config());
  sums.loss.backward();
  for (const Parameter& p : model.parameters)
    EXPECT_TRUE(p.tensor.grad().isfinite().all().item<bool>()) << p.name;
}

TEST(Chronos2, loss_is_a_sum_over_rows_by_their_weights) {
  const Chronos2Model model = make_chronos2(small(), 3);
  const at::NoGradGuard no_grad;
  const at::Tensor target = at::rand({8, 12}) * 10.0,
                   weight = at::tensor({1.0F, 0.0F, 2.0F, 1.0F, 1.0F, 0.0F, 1.0F, 1.0F});
  const auto loss = [&](const Chronos2Inputs& inputs, const at::Tensor& y, const at::Tensor& w) {
    return chronos2_loss(model.tower.forward(inputs, nullptr), inputs, y, w, model.tower.config());
  };
  const LossSums weighted = loss(batch(), target, weight);
  EXPECT_EQ(weighted.valid_targets.item<double>(), 7.0);
  double sum = 0.0;
  for (const std::int64_t row : kAll) {
    at::Tensor alone = at::zeros({8});
    alone[row] = weight[row];
    sum += loss(batch(), target, alone).loss.item<double>();
  }
  EXPECT_NEAR(weighted.loss.item<double>(), sum, 1e-5 * sum);
}

TEST(Chronos2, sizes_are_the_published_ones) {
  const auto parameters = [](const std::string& name) {
    const Chronos2Model model = make_chronos2(named_chronos2(name), 1);
    std::int64_t count = 0;
    for (const Parameter& p : model.parameters) count += p.tensor.numel();
    return count;
  };
  EXPECT_EQ(parameters("chronos-2-small"), 28'262'560);
  EXPECT_EQ(parameters("chronos-2"), 119'477'664);
}

TEST(Chronos2, first_forecasts_are_ordered_quantiles) {
  const Chronos2Model model = make_chronos2(small(), 3);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE((model.tower.forward(batch(), nullptr).quantiles_bqh.mean(at::IntArrayRef{0, 2}).diff() > 0)
                  .all()
                  .item<bool>());
}

TEST(Chronos2Forecast, unrolls_to_any_horizon_and_refuses_levels_the_model_lacks) {
  Chronos2Config config = small();
  const Chronos2Model model = make_chronos2(config, 3);
  ForecastTask task;
  task.targets = {{1.0F, 5.0F, 2.0F}};  // shorter than a patch
  const at::Tensor got = forecast(model.tower, {task, task}, 31, {0.5, 0.9, 0.999})[1];
  EXPECT_EQ(got.sizes(), (at::IntArrayRef{1, 3, 31}));
  EXPECT_TRUE(got.isfinite().all().item<bool>());
  // The first forward's part does not depend on what comes after.
  EXPECT_LT(largest_difference(forecast(model.tower, {task}, 12, {0.5, 0.9, 0.999})[0], got.narrow(2, 0, 12)),
            1e-5);
  UnrollOptions options;
  options.levels = {0.11};
  EXPECT_NO_THROW(forecast(model.tower, {task}, 12, {0.5}, options));
  EXPECT_THROW(forecast(model.tower, {task}, 13, {0.5}, options), Error);
}

template <typename Call>
void expect_error(ErrorKind kind, const std::string& part, Call call) {
  try {
    call();
    FAIL() << "nothing was said about " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Chronos2Config, refuses_what_it_cannot_be_and_names_the_field) {
  const auto refused = [](const char* field, auto change) {
    Chronos2Config config = small();
    change(config);
    expect_error(ErrorKind::input, field, [&config] { config.validate(); });
  };
  refused("d_kv", [](Chronos2Config& c) { c.d_kv = 7; });
  refused("num_heads", [](Chronos2Config& c) { c.num_heads = 0; });
  refused("input_patch_stride", [](Chronos2Config& c) { c.input_patch_stride = 5; });
  refused("max_output_patches", [](Chronos2Config& c) { c.max_output_patches = 0; });
  refused("time_encoding_scale", [](Chronos2Config& c) { c.time_encoding_scale = 0; });
  refused("dropout_rate", [](Chronos2Config& c) { c.dropout_rate = 1.0; });
  refused("quantiles", [](Chronos2Config& c) { c.quantiles = {0.5, 0.4}; });
  refused("rope_theta", [](Chronos2Config& c) { c.rope_theta = -1.0; });
  expect_error(ErrorKind::input, "chronos-2-small", [] { named_chronos2("chronos-2-smal"); });
}

TEST(Chronos2Config, survives_its_published_form_and_that_may_leave_defaults_out) {
  Chronos2Config config = small();
  config.activation = "gelu_new";
  config.use_reg_token = false;
  config.time_encoding_scale = 17;
  nlohmann::json json = to_published_json(config);
  EXPECT_EQ(to_published_json(chronos2_config_from_published_json(json)), json);
  json["chronos_config"].erase("time_encoding_scale");
  json["chronos_config"].erase("use_arcsinh");
  json.erase("rope_theta");
  const Chronos2Config read = chronos2_config_from_published_json(json);
  EXPECT_EQ(read.time_encoding_scale, 40);
  EXPECT_FALSE(read.use_arcsinh);
  EXPECT_EQ(read.rope_theta, 10000.0);
}

TEST(Chronos2Config, refuses_foreign_and_gated_descriptions) {
  const auto refused = [](const std::string& part, auto change) {
    nlohmann::json json = to_published_json(small());
    change(json);
    expect_error(ErrorKind::data, part, [&json] { (void)chronos2_config_from_published_json(json); });
  };
  refused("gated-gelu", [](nlohmann::json& j) { j["feed_forward_proj"] = "gated-gelu"; });
  refused("sine", [](nlohmann::json& j) { j["feed_forward_proj"] = "sine"; });
  refused("output_patch_size", [](nlohmann::json& j) { j["chronos_config"]["output_patch_size"] = 8; });
  refused("chronos_pipeline_class",
          [](nlohmann::json& j) { j["chronos_pipeline_class"] = "ChronosBoltPipeline"; });
  refused("chronos_config", [](nlohmann::json& j) { j.erase("chronos_config"); });
  refused("context_length", [](nlohmann::json& j) { j["chronos_config"].erase("context_length"); });
  refused("config.json has d_model \"wide\"", [](nlohmann::json& j) { j["d_model"] = "wide"; });
}

// The most memory this process has ever had, in bytes.
std::int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

TEST(Chronos2, unrolling_many_long_series_takes_no_more_memory_than_a_few) {
  Chronos2Config config = named_chronos2("chronos-2-nano");
  config.d_model = 24;
  config.d_kv = 2;
  config.num_heads = 12;
  config.num_layers = 1;
  const shelfcast::testing::TemporaryFolder folder;
  save_chronos2(folder.path(), config, make_chronos2(config, 3).parameters);
  const auto model = open_series_model(folder.path());
  const std::int64_t series = 40, steps = 8192, horizon = 1040;
  ASSERT_GT(horizon, model->prediction_length());
  const at::Tensor context = at::rand({series, steps});
  const std::int64_t before = peak_memory();
  const at::Tensor forecast = model->forecast(context, horizon, {0.5});
  EXPECT_EQ(forecast.sizes(), at::IntArrayRef({series, 1, horizon}));
  std::vector<ForecastTask> tasks;
  for (std::int64_t i = 0; i < series; ++i) {
    const float* values = context.const_data_ptr<float>() + i * steps;
    tasks.push_back({{{values, values + steps}}, {}, {}});
  }
  const at::Tensor by_tasks = at::cat(model->forecast_tasks(tasks, horizon, {0.5}), 0);
  EXPECT_LT(largest_difference(by_tasks, forecast), 1e-5);
  // All series in one: 40 series, 9 paths, 12 heads and 577 tokens squared make 5.8 GB.
  EXPECT_LT(peak_memory() - before, std::int64_t{3} << 30);  // what sanitizers keep of freed memory included
}

TEST(Chronos2, refuses_inputs_that_do_not_fit) {
  const Chronos2Model model = make_chronos2(small(), 3);
  const auto refused = [&model](const std::string& part, auto change) {
    Chronos2Inputs inputs = batch();
    change(inputs);
    expect_error(ErrorKind::input, part, [&] { (void)model.tower.forward(inputs, nullptr); });
  };
  refused("no context", [](Chronos2Inputs& i) { i.context_bt = at::zeros({8, 0}); });
  refused("group ids", [](Chronos2Inputs& i) { i.group_ids_b = i.group_ids_b.narrow(0, 0, 3); });
  refused("known steps ahead", [](Chronos2Inputs& i) { i.patches = 2; });
  refused("patches 0", [](Chronos2Inputs& i) { i.patches = 0; });
  refused("known future", [](Chronos2Inputs& i) { i.future_bh = i.future_bh[0]; });
}

}  // namespace
}  // namespace shelfcast::models
