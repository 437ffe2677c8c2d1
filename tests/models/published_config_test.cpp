#include "models/published_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/series/series_model.h"
#include "tests/models/meta_device.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A copy of a published model whose config.json is changed.
class PublishedConfig : public ::testing::TestWithParam<const char*> {
 protected:
  static fs::path golden(const std::string& name) { return testing::golden_dir() / name; }

  // What opening `name` says after its `key` ("chronos_config" part and all: "/d_model") became `value`.
  std::string error(const std::string& name, const std::string& key, const json& value) const {
    json config = json::parse(read_file(golden(name) / "config.json"));
    config[json::json_pointer(key)] = value;
    return error(name, config);
  }
  std::string error(const std::string& name, const json& config) const {
    fs::copy(golden(name), folder_.path(),
             fs::copy_options::overwrite_existing | fs::copy_options::recursive);
    write_file_atomically(folder_ / "config.json", config.dump());
    try {
      (void)open_series_model(folder_.path());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      return error.what();
    }
    return "nothing was wrong";
  }
  std::string file() const { return (folder_ / "config.json").string(); }

  testing::TemporaryFolder folder_;
};

TEST_P(PublishedConfig, says_file_and_key_of_what_makes_no_sense) {
  const auto names = [&](const std::string& key, const json& value) {
    EXPECT_THAT(error(GetParam(), key, value),
                AllOf(StartsWith(file()), HasSubstr(key.substr(key.rfind('/') + 1))))
        << value;
  };
  for (const char* size :
       {"/d_model", "/d_kv", "/d_ff", "/num_layers", "/num_heads", "/chronos_config/context_length",
        "/chronos_config/input_patch_size", "/chronos_config/input_patch_stride"})
    for (const json& value : {json(-4), json("wide"), json(2.5), json(16.7), json(1e30), json(true)})
      names(size, value);
  names("/dropout_rate", "some");
  names("/dropout_rate", 1.0);
  names("/layer_norm_epsilon", "tiny");
  names("/layer_norm_epsilon", 0);
  names("/chronos_config", nullptr);
  names("/chronos_config", 7);
  names("/chronos_config/quantiles", {0.1, "half"});
  names("/chronos_config/quantiles", {0.5, 0.1});
  names("/chronos_config/use_reg_token", 3);
}

TEST_P(PublishedConfig, forecasts_where_its_parameters_are_from_and_to_host_memory) {
  const auto model = open_series_model(golden(GetParam()));
  put_on_meta(model->parameters());
  const std::int64_t beyond = 2 * model->prediction_length() + 1;
  const at::Tensor context = at::rand({3, 40});
  for (const std::int64_t horizon : {std::int64_t{5}, beyond}) {
    const at::Tensor forecast = model->forecast(context, horizon, {0.5, 0.9});
    EXPECT_TRUE(forecast.is_cpu());
    EXPECT_EQ(forecast.sizes(), at::IntArrayRef({3, 2, horizon}));
  }
  if (!model->reads_covariates()) return;
  const std::vector<float> past(40, 1.0F), ahead(5, 2.0F);
  const ForecastTask task{{past, past}, {}, {{"promotion", {past, {}}, {ahead, {}}}}};
  EXPECT_TRUE(model->forecast_tasks({task}, 5, {0.5}).front().is_cpu());
}

TEST_P(PublishedConfig, refuses_sizes_that_no_memory_holds_before_it_takes_any) {
  const auto refused = [&](const std::string& key, const json& value) {
    EXPECT_THAT(error(GetParam(), key, value), StartsWith(file())) << key << " " << value;
  };
  for (const char* size : {"/d_model", "/d_ff", "/d_kv", "/num_heads", "/num_layers",
                           "/chronos_config/context_length", "/chronos_config/input_patch_size"}) {
    refused(size, 1e12);
    refused(size, 1'000'000'000);
  }
  // Within what one size may be; together with the others far more than the weights hold.
  refused("/d_model", 1 << 16);
  refused("/d_ff", 1 << 17);
}

INSTANTIATE_TEST_SUITE_P(Architectures, PublishedConfig,
                         ::testing::Values("bolt/wide_heads", "chronos2/published"));

TEST_F(PublishedConfig, refuses_more_steps_ahead_than_the_weights_can_hold) {
  for (const json& steps : {json(1e12), json(1 << 24)})
    EXPECT_THAT(error("bolt/wide_heads", "/chronos_config/prediction_length", steps), StartsWith(file()));
  EXPECT_THAT(error("chronos2/published", "/chronos_config/max_output_patches", 1e12), StartsWith(file()));
}

TEST_F(PublishedConfig, names_unknown_activations_with_file_and_key) {
  EXPECT_THAT(error("bolt/wide_heads", "/dense_act_fn", "reluu"),
              AllOf(StartsWith(file()), HasSubstr("dense_act_fn \"reluu\""), HasSubstr("known are relu")));
  EXPECT_THAT(
      error("chronos2/published", "/feed_forward_proj", "reluu"),
      AllOf(StartsWith(file()), HasSubstr("feed_forward_proj \"reluu\""), HasSubstr("known are relu")));
  json config = json::parse(read_file(golden("bolt/wide_heads") / "config.json"));
  config.erase("dense_act_fn");
  config["feed_forward_proj"] = "gated-snake";
  EXPECT_THAT(
      error("bolt/wide_heads", config),
      AllOf(StartsWith(file()), HasSubstr("feed_forward_proj \"gated-snake\""), HasSubstr("\"snake\"")));
}

TEST_F(PublishedConfig, says_that_an_original_chronos_is_of_unknown_architecture) {
  json config = {
      {"architectures", {"T5ForConditionalGeneration"}},
      {"model_type", "t5"},
      {"d_model", 256},
      {"chronos_config", {{"tokenizer_class", "MeanScaleUniformBins"}, {"prediction_length", 64}}}};
  EXPECT_THAT(error("bolt/wide_heads", config),
              AllOf(StartsWith(file()), HasSubstr("unknown architecture"), HasSubstr("tokenizer_class")));
  config["chronos_pipeline_class"] = "ChronosPipeline";
  EXPECT_THAT(error("bolt/wide_heads", config),
              AllOf(StartsWith(file()), HasSubstr("unknown architecture"), HasSubstr("ChronosPipeline")));
}

TEST_F(PublishedConfig, reads_whole_numbers_that_are_written_with_a_point) {
  EXPECT_EQ(error("bolt/wide_heads", "/chronos_config/context_length", 64.0), "nothing was wrong");
}

}  // namespace
}  // namespace shelfcast::models
