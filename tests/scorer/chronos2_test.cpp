// Chronos-2 without LibTorch against the reference Python package (files of tests/golden/make_chronos2.py),
// and what it refuses.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "scorer/forward/chronos2_forecast.h"
#include "scorer/forward/quantile_levels.h"
#include "tests/scorer/random_model.h"
#include "tests/support/paths.h"

namespace shelfcast::scorer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path golden_folder(const std::string& name) {
  return shelfcast::testing::golden_dir() / "chronos2" / name;
}

// The largest difference over the largest value, row by row.
double row_error(const std::vector<float>& got, const std::vector<float>& expected, std::size_t rows) {
  EXPECT_EQ(got.size(), expected.size());
  const std::size_t cells = expected.size() / rows;
  double worst = 0.0;
  for (std::size_t row = 0; row < rows; ++row) {
    double difference = 0.0, largest = 0.0;
    for (std::size_t i = row * cells; i < (row + 1) * cells; ++i) {
      const double apart = std::abs(static_cast<double>(got[i]) - expected[i]);
      difference = std::isnan(apart) ? INFINITY : std::max(difference, apart);
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

class Chronos2Golden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return golden_folder(GetParam()); }
  std::vector<float> stored(const std::string& name) const { return golden_.at(name).to_float(); }
  std::int64_t extent(const std::string& name, std::size_t axis) const {
    return golden_.at(name).shape[axis];
  }
  // As in tests/models: 1e-5, or four times the reference's own rounding where that is more.
  double bound(const std::string& name) const {
    return std::max(1e-5, 4.0 * static_cast<double>(stored("error." + name)[0]));
  }

  SafetensorsFile golden_{folder() / "case.safetensors"};
};

TEST_P(Chronos2Golden, forecasts_equal_the_reference_with_groups_gaps_and_odd_contexts) {
  const std::vector<float> context = stored("context"), future = stored("future");
  std::vector<std::int64_t> groups(static_cast<std::size_t>(extent("context", 0)));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    std::int32_t id = 0;
    std::memcpy(&id, golden_.at("group_ids").bytes.data() + i * sizeof(id), sizeof(id));
    groups[i] = id;
  }
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(to_string(isa));
    const Chronos2 model(folder(), ops_for(isa));
    Chronos2Series series{std::ssize(groups), extent("context", 1), extent("future", 1),
                          context.data(),     future.data(),        groups};
    Chronos2Options options;
    options.horizon = extent("forecast", 2);
    EXPECT_LT(row_error(forecast(model, series, options), stored("forecast"), groups.size()),
              bound("forecast"));
    series.groups = {};
    series.known = 0;
    options.horizon = model.config().patch;
    EXPECT_LT(row_error(forecast(model, series, options), stored("alone_forecast"), groups.size()),
              bound("alone_forecast"));
  }
}

// Tasks as the package prepared them, side by side as it took them: left-padded to the longest.
struct TaskBatch {
  std::int64_t steps = 0;
  std::vector<float> context, future;
  std::vector<std::int64_t> groups;

  void append(std::span<const float> context_rt, std::span<const float> future_rh, std::int64_t rows,
              std::int64_t task) {
    const std::int64_t length = std::ssize(context_rt) / rows, kept = std::min(length, steps);
    for (std::int64_t row = 0; row < rows; ++row) {
      context.insert(context.end(), static_cast<std::size_t>(steps - kept), NAN);
      const auto end = context_rt.begin() + (row + 1) * length;
      context.insert(context.end(), end - kept, end);
      groups.push_back(task);
    }
    future.insert(future.end(), future_rh.begin(), future_rh.end());
  }
};

TEST_P(Chronos2Golden, forecasts_of_tasks_equal_the_reference_at_untrained_levels_and_unrolled) {
  const json file = json::parse(read_file(folder() / "tasks.json"));
  const Chronos2 model(folder(), ops_for(best_isa()));
  for (const auto& [name, set] : file.at("sets").items()) {
    SCOPED_TRACE(name);
    const std::string& prefix = name;
    const Chronos2Options options{set.at("horizon"), file.at("levels"), 2, file.at("unroll")};
    const std::int64_t cells = std::ssize(options.levels) * options.horizon,
                       targets = name == "two_targets" ? 2 : 1;
    const auto of = [&](int task, const char* what) { return fmt::format("{}.{}.{}", prefix, task, what); };
    std::vector<float> got;
    // The package took tasks until there were 7 rows. Patches that overlap see how far the longest context of
    // such a batch pads the others.
    for (int first = 0, last = 0; first < 3; first = last) {
      TaskBatch batch;
      for (std::int64_t rows = 0; last < 3 && rows < 7; ++last) {
        rows += extent(of(last, "context"), 0);
        batch.steps =
            std::max(batch.steps, std::min(extent(of(last, "context"), 1), model.config().context_length));
      }
      for (int task = first; task < last; ++task)
        batch.append(stored(of(task, "context")), stored(of(task, "future")), extent(of(task, "context"), 0),
                     task);
      const std::int64_t rows = std::ssize(batch.groups);
      const std::vector<float> all = forecast(
          model,
          {rows, batch.steps, options.horizon, batch.context.data(), batch.future.data(), batch.groups},
          options);
      for (std::int64_t row = 0; row < rows; ++row)
        if (row == 0 || batch.groups[row] != batch.groups[row - 1])
          got.insert(got.end(), all.begin() + row * cells, all.begin() + (row + targets) * cells);
    }
    const std::string result = name + ".forecast";
    EXPECT_LT(row_error(got, stored(result), static_cast<std::size_t>(extent(result, 0))), bound(result));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Chronos2Golden, ::testing::Values("published", "overlapping", "one_block"),
                         [](const auto& chosen) { return std::string(chosen.param); });

// Rows as they come in stores: every third group has three series, the others one; some are short or empty.
struct ManySeries {
  static constexpr std::int64_t kRows = 150, kSteps = 96;
  std::vector<float> context, future;
  std::vector<std::int64_t> groups;

  ManySeries() {
    RandomStream random(4);
    for (std::int64_t row = 0; row < kRows; ++row) {
      groups.push_back(row % 10 < 6 ? row : row % 7 + 1000);
      const std::int64_t begin = row % 5 == 0 ? static_cast<std::int64_t>(random.below(kSteps + 1)) : 0;
      for (std::int64_t t = 0; t < kSteps; ++t)
        context.push_back(t < begin || random.uniform() < 0.1 ? NAN
                                                              : static_cast<float>(10 + 3 * random.normal()));
      for (std::int64_t h = 0; h < 5; ++h)
        future.push_back(row % 2 == 0 ? NAN : static_cast<float>(10 + random.normal()));
    }
  }
  Chronos2Series all() const { return {kRows, kSteps, 5, context.data(), future.data(), groups}; }
};

TEST(Chronos2Forecast, has_the_same_bits_for_any_threads_and_without_the_other_groups) {
  const ManySeries many;
  Chronos2Options options;
  options.horizon = 37;  // unrolled
  for (const Isa isa : isas_here()) {
    SCOPED_TRACE(to_string(isa));
    const Chronos2 model(golden_folder("published"), ops_for(isa));
    const std::vector<float> one = forecast(model, many.all(), options);
    options.threads = 3;
    EXPECT_EQ(one, forecast(model, many.all(), options));
    // The group of row 6, and row 12, which is alone.
    std::vector<std::int64_t> rows{12};
    for (std::int64_t row = 0; row < ManySeries::kRows; ++row)
      if (many.groups[row] == many.groups[6]) rows.push_back(row);
    ASSERT_GT(rows.size(), 3U);
    std::vector<float> context, future;
    std::vector<std::int64_t> groups;
    for (const std::int64_t row : rows) {
      context.insert(context.end(), many.context.begin() + row * ManySeries::kSteps,
                     many.context.begin() + (row + 1) * ManySeries::kSteps);
      future.insert(future.end(), many.future.begin() + row * 5, many.future.begin() + (row + 1) * 5);
      groups.push_back(many.groups[row]);
    }
    const std::vector<float> some = forecast(
        model, {std::ssize(rows), ManySeries::kSteps, 5, context.data(), future.data(), groups}, options);
    const std::size_t cells = one.size() / ManySeries::kRows;
    for (std::size_t i = 0; i < rows.size(); ++i)
      EXPECT_EQ(std::memcmp(some.data() + i * cells, one.data() + rows[i] * cells, cells * sizeof(float)), 0)
          << "row " << rows[i];
  }
}

TEST(Chronos2Forecast, needs_memory_for_a_group_not_for_all_of_them) {
  const Chronos2 model(golden_folder("published"), ops_for(best_isa()));
  const TowerConfig& config = model.config();
  const auto floats_for = [&](std::int64_t rows) {
    const std::vector<float> context(static_cast<std::size_t>(rows * 96), 1.0F);
    std::vector<float> out(static_cast<std::size_t>(rows * std::ssize(config.quantiles) * config.patch));
    Chronos2Scratch scratch;
    model.forward({rows, 96, 0, context.data(), nullptr, std::vector<std::int64_t>(rows, 1)}, 1, scratch,
                  out.data());
    return scratch.tokens.x.size() + scratch.patches.size() + scratch.inside.size() + scratch.states.size() +
           scratch.tower.qkv.size() + scratch.tower.hidden.size() + scratch.tower.scores.size();
  };
  EXPECT_EQ(floats_for(1000), floats_for(30));
}

// A copy of a golden model whose files a test may change.
class ChangedModel {
 public:
  ChangedModel() {
    const fs::path from = golden_folder("published");
    config_ = json::parse(read_file(from / "config.json"));
    const SafetensorsFile file(from / "model.safetensors");
    for (const auto& [name, tensor] : file.tensors()) {
      shapes[name] = tensor.shape;
      tensors[name] = tensor.to_float();
    }
  }
  json& chronos() { return config_.at("chronos_config"); }
  json& config() { return config_; }

  // What reading the changed model says; "" = nothing.
  std::string refusal() {
    save();
    try {
      Chronos2 model(folder_.path(), ops_for(Isa::baseline));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  const fs::path& save(DType dtype = DType::f32) {
    std::vector<std::vector<std::uint16_t>> halves;
    std::vector<TensorToStore> stored;
    for (const auto& [name, values] : tensors) {
      std::span<const std::byte> bytes = std::as_bytes(std::span(values));
      if (dtype == DType::bf16) {
        auto& half = halves.emplace_back();
        for (const float value : values)
          half.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
        bytes = std::as_bytes(std::span(half));
      }
      stored.push_back({name, dtype, shapes.at(name), bytes});
    }
    write_safetensors(folder_.path() / "model.safetensors", stored);
    write_file_atomically(folder_.path() / "config.json", config_.dump());
    return folder_.path();
  }

  std::map<std::string, std::vector<std::int64_t>> shapes;
  std::map<std::string, std::vector<float>> tensors;

 private:
  json config_;
  ScratchFolder folder_;
};

TEST(Chronos2Files, of_half_precision_forecast_as_their_numbers_in_float32) {
  ChangedModel halves;
  for (auto& [name, values] : halves.tensors)
    for (float& value : values)  // cut to bfloat16
      value = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0xffff0000U);
  const ManySeries many;
  Chronos2Options options;
  options.horizon = 5;
  const Chronos2 whole(halves.save(), ops_for(best_isa()));
  const std::vector<float> want = forecast(whole, many.all(), options);
  const Chronos2 half(halves.save(DType::bf16), ops_for(best_isa()));
  EXPECT_EQ(forecast(half, many.all(), options), want);
}

TEST(Chronos2Files, with_a_missing_surplus_or_misshapen_tensor_are_refused_by_its_name) {
  const std::string wo = "encoder.block.1.layer.1.self_attention.o.weight";
  ChangedModel model;
  EXPECT_EQ(model.refusal(), "");
  std::swap(model.shapes[wo][0], model.shapes[wo][1]);
  EXPECT_NE(model.refusal().find(wo), std::string::npos) << model.refusal();
  EXPECT_NE(model.refusal().find("config.json asks for [24, 32]"), std::string::npos) << model.refusal();
  model.tensors.erase(wo);
  EXPECT_NE(model.refusal().find(wo), std::string::npos) << model.refusal();
  ChangedModel surplus;
  surplus.tensors["encoder.block.2.layer.2.mlp.wi.weight"] = {1.0F};
  surplus.shapes["encoder.block.2.layer.2.mlp.wi.weight"] = {1};
  EXPECT_NE(surplus.refusal().find("encoder.block.2.layer.2.mlp.wi.weight"), std::string::npos)
      << surplus.refusal();
}

struct BadConfig {
  std::string name, message;
  std::function<void(ChangedModel&)> change;
};

void PrintTo(const BadConfig& c, std::ostream* out) { *out << c.name; }

const std::vector<BadConfig> kBadConfigs = {
    {"another_architecture", "\"ChronosBoltPipeline\", not \"Chronos2Pipeline\"",
     [](ChangedModel& m) { m.config()["chronos_pipeline_class"] = "ChronosBoltPipeline"; }},
    {"not_chronos", "no \"chronos_config\"", [](ChangedModel& m) { m.config().erase("chronos_config"); }},
    {"gated", "no gated layers", [](ChangedModel& m) { m.config()["feed_forward_proj"] = "gated-gelu"; }},
    {"activation", "no activation function \"sine\"",
     [](ChangedModel& m) { m.config()["feed_forward_proj"] = "sine"; }},
    {"odd_heads", "d_kv is 7", [](ChangedModel& m) { m.config()["d_kv"] = 7; }},
    {"no_heads", "\"num_heads\"", [](ChangedModel& m) { m.config()["num_heads"] = 0; }},
    {"words_for_numbers", "\"d_model\"", [](ChangedModel& m) { m.config()["d_model"] = "wide"; }},
    {"wide_stride", "input_patch_stride is 9",
     [](ChangedModel& m) { m.chronos()["input_patch_stride"] = 9; }},
    {"other_output_patch", "\"output_patch_size\"",
     [](ChangedModel& m) { m.chronos()["output_patch_size"] = 16; }},
    {"no_patch", "\"input_patch_size\"", [](ChangedModel& m) { m.chronos().erase("input_patch_size"); }},
    {"levels_that_fall", "\"quantiles\"",
     [](ChangedModel& m) {
       m.chronos()["quantiles"] = {0.5, 0.1};
     }},
    {"no_levels", "\"quantiles\"", [](ChangedModel& m) { m.chronos()["quantiles"] = json::array(); }},
    {"no_epsilon", "\"layer_norm_epsilon\"", [](ChangedModel& m) { m.config()["layer_norm_epsilon"] = 0; }},
    {"another_width", "shared.weight", [](ChangedModel& m) { m.config()["d_model"] = 25; }},
    {"another_patch", "input_patch_embedding.hidden_layer.weight",
     [](ChangedModel& m) {
       for (const char* field : {"input_patch_size", "output_patch_size"}) m.chronos()[field] = 12;
     }},
};

class Chronos2BadConfig : public ::testing::TestWithParam<BadConfig> {};

TEST_P(Chronos2BadConfig, is_refused_by_name) {
  ChangedModel model;
  GetParam().change(model);
  const std::string said = model.refusal();
  EXPECT_NE(said.find(GetParam().message), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(Configs, Chronos2BadConfig, ::testing::ValuesIn(kBadConfigs),
                         [](const auto& i) { return i.param.name; });

TEST(Chronos2Files, that_are_not_there_are_named) {
  const ScratchFolder folder;
  try {
    Chronos2 model(folder.path(), ops_for(Isa::baseline));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("config.json"), std::string::npos) << error.what();
  }
}

TEST(Chronos2Forecast, refuses_what_cannot_be_forecast_by_name) {
  const Chronos2 model(golden_folder("one_block"), ops_for(best_isa()));
  const std::vector<float> context(40, 1.0F), future(40, 1.0F);
  const std::vector<std::int64_t> ids{1, 1, 1};
  const auto said = [&](const Chronos2Series& series, const Chronos2Options& options) -> std::string {
    try {
      (void)forecast(model, series, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      return error.what();
    }
    return "";
  };
  const Chronos2Series sound{2, 20, 3, context.data(), future.data(), {}};
  Chronos2Series series = sound;
  Chronos2Options options;
  options.horizon = 16;
  EXPECT_EQ(said(series, options), "");
  series.steps = 0;
  EXPECT_NE(said(series, options).find("no context"), std::string::npos);
  series = sound;
  series.known = 17;
  EXPECT_NE(said(series, options).find("17 known steps"), std::string::npos);
  series = sound;
  series.groups = ids;
  EXPECT_NE(said(series, options).find("group ids"), std::string::npos);
  options.horizon = 0;
  EXPECT_NE(said(sound, options).find("horizon is 0"), std::string::npos);
  options.horizon = 17;
  options.unroll = {0.15};
  EXPECT_NE(said(sound, options).find("unrolling along levels 0.15"), std::string::npos);
  options.horizon = 16;
  options.levels = {1.5};
  EXPECT_NE(said(sound, options).find("level 1.5"), std::string::npos);
}

TEST(QuantileLevels, are_those_of_the_published_package) {
  // model-facts: levels over the values 1 to 9 at 0.1 to 0.9, plain and as weighted samples.
  std::vector<double> levels;
  std::vector<std::pair<float, float>> points;
  for (int i = 1; i <= 9; ++i) {
    levels.push_back(0.1 * i);
    points.emplace_back(0.1F * static_cast<float>(i), static_cast<float>(i));
  }
  const std::vector<std::pair<float, float>> kWanted = {{0.01F, 1.0F}, {0.1F, 1.0F}, {0.15F, 1.5F},
                                                        {0.2F, 2.0F},  {0.8F, 8.0F}, {0.87F, 8.7F},
                                                        {0.9F, 9.0F},  {0.99F, 9.0F}};
  for (const auto& [level, value] : kWanted) EXPECT_NEAR(interpolate(level, points), value, 1e-5) << level;
  // Nine samples of equal mass: the k-th smallest is the quantile at k/9.
  std::vector<std::pair<float, float>> samples;
  for (const int value : {5, 1, 9, 3, 2, 8, 7, 4, 6}) samples.emplace_back(static_cast<float>(value), 0.25F);
  to_distribution(samples);
  for (int k = 1; k <= 9; ++k) {
    EXPECT_EQ(samples[k - 1].second, static_cast<float>(k));
    EXPECT_NEAR(samples[k - 1].first, k / 9.0, 1e-6);
  }
  // Half the distance between neighbours, 0 and 1 beyond the outer ones: 0.1 of 0.8 for all nine.
  const std::vector<float> masses = level_masses(levels);
  for (const float mass : masses) EXPECT_NEAR(mass, 1.0 / 9.0, 1e-6);
  EXPECT_NEAR(level_masses({0.1, 0.5, 0.9})[0], 0.25 / 0.9, 1e-6);
}

}  // namespace
}  // namespace shelfcast::scorer::testing
