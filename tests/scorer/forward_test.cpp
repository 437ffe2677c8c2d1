// The whole forward against plain loops in double, on every instruction set this machine has.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "scorer/bundle.h"
#include "scorer/forecaster.h"
#include "scorer/forward/chronos_bolt.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

struct Case {
  std::string name;
  std::function<void(ModelConfig&)> change;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

void no_columns(ModelConfig& c) {
  c.past_numeric = c.known_numeric = 0;
  c.past_cardinalities = c.known_cardinalities = {};
}

void with_counts(ModelConfig& c, std::int64_t parameters, bool written) {
  c.count_parameters = parameters, c.counts_written = written, c.positive_means = true;
}

const std::vector<Case> kCases = {
    {"all_columns", [](ModelConfig&) {}},
    {"no_columns", no_columns},
    {"no_statics", [](ModelConfig& c) { c.static_cardinalities = {}; }},
    {"no_text", [](ModelConfig& c) { c.text_width = 0; }},
    {"no_static_numbers", [](ModelConfig& c) { c.static_numbers = 0; }},
    {"static_numbers_alone",
     [](ModelConfig& c) {
       c.static_numbers = 2, c.level = true, c.static_cardinalities = {}, c.text_width = 0;
     }},
    {"no_statics_nor_text",
     [](ModelConfig& c) { c.static_cardinalities = {}, c.static_numbers = c.text_width = 0; }},
    {"demand_alone",
     [](ModelConfig& c) { no_columns(c), c.static_cardinalities = {}, c.static_numbers = c.text_width = 0; }},
    {"no_reg", [](ModelConfig& c) { c.tower.use_reg_token = false; }},
    {"no_mean_head", [](ModelConfig& c) { c.mean_head = false; }},
    {"neither_mean_head_nor_median",
     [](ModelConfig& c) {
       c.mean_head = false, c.quantiles = {0.1, 0.9};
     }},
    {"scale_floor", [](ModelConfig& c) { c.scale_floor = 2.5; }},
    {"positive_means", [](ModelConfig& c) { c.positive_means = true; }},
    {"counts_beside_quantiles", [](ModelConfig& c) { with_counts(c, 1, false); }},
    {"negative_binomial", [](ModelConfig& c) { with_counts(c, 1, true); }},
    {"zero_inflated", [](ModelConfig& c) { with_counts(c, 2, true); }},
    {"level", [](ModelConfig& c) { c.level = true; }},
    {"level_of_statics", [](ModelConfig& c) { c.level = true, c.text_width = 0; }},
    {"level_of_text", [](ModelConfig& c) { c.level = true, c.static_cardinalities = {}; }},
    {"inner_wider_than_model", [](ModelConfig& c) { c.tower.num_heads = 4, c.tower.d_kv = 8; }},
    {"inner_equal_to_model", [](ModelConfig& c) { c.tower.num_heads = 3, c.tower.d_kv = 4; }},
    {"widths_of_whole_panels", [](ModelConfig& c) { c.tower.d_model = 64, c.tower.d_ff = 128; }},
    {"patch_16_of_long_context",
     [](ModelConfig& c) { c.tower.patch = c.tower.stride = 16, c.context = c.tower.context_length = 200; }},
    {"context_shorter_than_a_patch",
     [](ModelConfig& c) { c.tower.patch = c.tower.stride = 16, c.context = 3; }},
    {"context_cut_to_the_towers", [](ModelConfig& c) { c.tower.context_length = 12; }},
    {"one_step_each", [](ModelConfig& c) { c.context = 1, c.horizon = 1; }},
    {"one_layer", [](ModelConfig& c) { c.tower.num_layers = c.tower.num_decoder_layers = 1; }},
    {"tower_with_more_levels_and_steps",
     [](ModelConfig& c) {
       c.tower.quantiles = {0.05, 0.1, 0.25, 0.5, 0.9, 0.95};
       c.tower.prediction_length = 9;
     }},
    {"few_buckets",
     [](ModelConfig& c) {
       c.tower.buckets = 8, c.tower.max_distance = 10, c.tower.patch = c.tower.stride = 1;
     }},
    {"two_levels_around_the_median",
     [](ModelConfig& c) {
       c.quantiles = c.tower.quantiles = {0.4, 0.6};
     }},
};

const std::vector<Case> kChronos2Cases = {
    {"all_columns", [](ModelConfig&) {}},
    {"demand_alone", [](ModelConfig& c) { no_columns(c), c.static_cardinalities = {}, c.text_width = 0; }},
    {"no_reg", [](ModelConfig& c) { c.tower.use_reg_token = false; }},
    {"no_arcsinh", [](ModelConfig& c) { c.tower.use_arcsinh = false; }},
    {"no_mean_head", [](ModelConfig& c) { c.mean_head = false; }},
    {"scale_floor", [](ModelConfig& c) { c.scale_floor = 2.5; }},
    {"zero_inflated", [](ModelConfig& c) { with_counts(c, 2, true); }},
    {"level", [](ModelConfig& c) { c.level = true; }},
    {"horizon_within_a_patch", [](ModelConfig& c) { c.horizon = 3; }},
    {"horizon_of_whole_patches", [](ModelConfig& c) { c.horizon = 12; }},
    {"context_shorter_than_a_patch", [](ModelConfig& c) { c.context = 3; }},
    {"context_cut_to_the_towers", [](ModelConfig& c) { c.tower.context_length = 13; }},
    {"one_layer", [](ModelConfig& c) { c.tower.num_layers = 1; }},
    {"one_step_a_patch", [](ModelConfig& c) { c.tower.patch = c.tower.stride = 1; }},
    {"tower_with_more_levels", [](ModelConfig& c) { c.tower.quantiles = {0.05, 0.1, 0.25, 0.5, 0.9, 0.95}; }},
};

void expect_equals_plain_loops(const ModelConfig& config) {
  const RandomModel random(config);
  const RandomInputs inputs(config, 7);
  const ScratchFolder folder;
  random.save(folder.path());
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(to_string(isa));
    const DemandModel model(folder.path(), ops_for(isa));
    const Forecasts got = forecast(model, inputs.view, {}, 1);
    std::size_t neighbours = 0;  // counts that rounding took to the next one
    for (std::int64_t b = 0; b < 7; ++b) {
      const ReferenceForecast want = reference_forecast(random, inputs.view, b);
      const std::size_t cells = want.quantiles_qh.size(), steps = want.mean_h.size();
      // 1e-4 of the scale is the promise; float32 alone also cannot hold more than its own digits of the
      // level.
      const auto near = [&](double g, double w) {
        return std::abs(g - w) <= 2e-5 * want.scale + 3e-6 * std::abs(w);
      };
      EXPECT_NEAR(got.scale_b[b], want.scale, 1e-6 * want.scale);
      for (std::size_t i = 0; i < cells; ++i) {
        const double g = got.quantiles_bqh[b * cells + i], w = want.quantiles_qh[i];
        // Large counts are computed in coarser units.
        const bool neighbour = config.counts_written && g != w && std::abs(g - w) <= count_step(w);
        if (neighbour && (w > 1000.0 || ++neighbours <= 2)) continue;
        EXPECT_TRUE(near(g, w)) << "series " << b << " cell " << i << ": " << g << " is not " << w;
      }
      for (std::size_t h = 0; h < steps; ++h)
        EXPECT_TRUE(near(got.mean_bh[b * steps + h], want.mean_h[h]))
            << "series " << b << " mean of step " << h;
    }
  }
}

class Forward : public ::testing::TestWithParam<Case> {};

TEST_P(Forward, equals_plain_loops_in_double) {
  ModelConfig config = small_config();
  GetParam().change(config);
  expect_equals_plain_loops(config);
}

INSTANTIATE_TEST_SUITE_P(Models, Forward, ::testing::ValuesIn(kCases),
                         [](const auto& i) { return i.param.name; });

class Chronos2Forward : public ::testing::TestWithParam<Case> {};

TEST_P(Chronos2Forward, equals_plain_loops_in_double) {
  ModelConfig config = small_chronos2_config();
  GetParam().change(config);
  expect_equals_plain_loops(config);
}

INSTANTIATE_TEST_SUITE_P(Models, Chronos2Forward, ::testing::ValuesIn(kChronos2Cases),
                         [](const auto& i) { return i.param.name; });

void expect_same_bits(const ModelConfig& config) {
  const RandomInputs inputs(config, 150);
  const ScratchFolder folder;
  RandomModel(config).save(folder.path());
  for (const Isa isa : isas_here()) {
    const DemandModel model(folder.path(), ops_for(isa));
    const Forecasts one = forecast(model, inputs.view, {}, 1), three = forecast(model, inputs.view, {}, 3);
    EXPECT_EQ(one.quantiles_bqh, three.quantiles_bqh);
    EXPECT_EQ(one.mean_bh, three.mean_bh);
    const Forecasts alone = forecast(model, inputs.view, {149, 0, 77}, 2);
    const std::size_t cells = one.quantiles_bqh.size() / 150;
    for (const auto& [row, series] : {std::pair{0, 149}, {1, 0}, {2, 77}})
      EXPECT_EQ(std::memcmp(alone.quantiles_bqh.data() + row * cells,
                            one.quantiles_bqh.data() + series * cells, cells * sizeof(float)),
                0);
  }
}

TEST(Forecaster, gives_the_same_bits_for_any_threads_and_neighbours) {
  expect_same_bits(small_config());
  expect_same_bits(small_chronos2_config());
}

TEST(Forecaster, names_a_code_the_model_has_no_embedding_for) {
  const ModelConfig config = small_config();
  RandomInputs inputs(config, 4);
  check_codes(inputs.view, config);
  inputs.known_codes[3] = 17;
  try {
    check_codes(inputs.view, config);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("known categorical column 0 of series 0 holds code 17"),
              std::string::npos)
        << error.what();
  }
}

// What reading a damaged model folder says.
std::string refusal(const std::filesystem::path& folder) {
  try {
    DemandModel model(folder, ops_for(Isa::baseline));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Model, refuses_missing_surplus_and_misshapen_tensors_by_name) {
  RandomModel random(small_config());
  const ScratchFolder folder;
  const auto without = random.tensors.extract("heads.known.step_bias");
  random.save(folder.path());
  EXPECT_NE(refusal(folder.path()).find("heads.known.step_bias"), std::string::npos)
      << refusal(folder.path());
  random = RandomModel(small_config());
  random.tensors["tower.encoder.surplus"] = {1.0F};
  random.shapes["tower.encoder.surplus"] = {1};
  random.save(folder.path());
  EXPECT_NE(refusal(folder.path()).find("encoder.surplus"), std::string::npos) << refusal(folder.path());
  random = RandomModel(small_config());
  std::swap(random.shapes["heads.mean.weight"][0], random.shapes["heads.mean.weight"][1]);
  random.save(folder.path());
  EXPECT_NE(refusal(folder.path()).find("heads.mean.weight"), std::string::npos) << refusal(folder.path());
}

TEST(Model, refuses_a_description_without_a_field_by_name) {
  const ScratchFolder folder;
  RandomModel(small_config()).save(folder.path());
  std::string text = read_file(folder.path() / "model.json");
  text.replace(text.find("\"d_kv\""), 6, "\"d_vk\"");
  write_file_atomically(folder.path() / "model.json", text);
  EXPECT_NE(refusal(folder.path()).find("tower.d_kv"), std::string::npos) << refusal(folder.path());
}

TEST(Model, refuses_the_tower_it_cannot_run_by_name) {
  const ScratchFolder folder;
  RandomModel(small_config()).save(folder.path());
  std::string text = read_file(folder.path() / "model.json");
  text.replace(text.find("\"d_kv\""), 6, "\"architecture\": \"lstm\", \"d_kv\"");
  write_file_atomically(folder.path() / "model.json", text);
  EXPECT_NE(refusal(folder.path()).find("tower is \"lstm\""), std::string::npos) << refusal(folder.path());
}

TEST(Model, refuses_an_impossible_chronos2_tower_by_name) {
  const ScratchFolder folder;
  for (const auto& [change, said] : std::vector<std::pair<std::function<void(TowerConfig&)>, std::string>>{
           {[](TowerConfig& t) { t.d_kv = 5; }, "d_kv is 5"},
           {[](TowerConfig& t) { t.stride = 5; }, "input_patch_stride is 5"},
           {[](TowerConfig& t) { t.prediction_length = 9; }, "prediction_length is 9"},
           {[](TowerConfig& t) { t.gated = true; }, "no gated layers"},
           {[](TowerConfig& t) { t.rope_theta = -1.0; }, "rope_theta"}}) {
    ModelConfig config = small_chronos2_config();
    change(config.tower);
    RandomModel(config).save(folder.path());
    EXPECT_NE(refusal(folder.path()).find(said), std::string::npos) << refusal(folder.path());
  }
}

TEST(RelativeBucket, has_the_values_of_the_published_model) {
  // model-facts: T5's bidirectional buckets with 32 buckets and distance 128.
  const std::vector<std::pair<int, int>> kKnown = {
      {-200, 15}, {-91, 15}, {-90, 14}, {-64, 14}, {-46, 13}, {-45, 12}, {-23, 11}, {-16, 10},
      {-12, 9},   {-8, 8},   {-7, 7},   {0, 0},    {1, 17},   {8, 24},   {11, 24},  {12, 25},
      {16, 26},   {23, 27},  {45, 28},  {46, 29},  {64, 30},  {90, 30},  {91, 31},  {200, 31}};
  for (const auto& [distance, bucket] : kKnown)
    EXPECT_EQ(relative_bucket(distance, 32, 128), bucket) << distance;
}

}  // namespace
}  // namespace shelfcast::scorer::testing
