// Adapters of every kind: what a fresh one changes, what is stored, and what is refused.
#include "models/adapters/adapter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "models/product.h"
#include "tests/models/adapted_models.h"
#include "tests/models/golden.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::golden;
using testing::gradient_of;
using testing::message_of;
using testing::move_adapter;
using testing::published;
using testing::quantiles;

struct Kind {
  std::string name;
  std::string base;
  AdapterConfig everywhere;  // wherever it can be
  AdapterConfig small;       // with dropout and a module trained whole
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class AnyAdapter : public ::testing::TestWithParam<Kind> {};

TEST_P(AnyAdapter, changes_no_forecast_by_a_bit_while_it_is_fresh_in_either_precision) {
  DemandModel model = published(GetParam().base);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const PrecisionScope scope(precision);
    const at::Tensor before = quantiles(model);
    DemandModel adapted = published(GetParam().base);
    adapted.add_adapter(GetParam().everywhere, 1);
    EXPECT_GT(adapted.parameters().size(), model.parameters().size());
    EXPECT_TRUE(at::equal(quantiles(adapted), before));
    const DropoutKeys keys{1, 2, {0, 1, 2, 3, 4, 5, 6}};
    EXPECT_TRUE(at::equal(quantiles(adapted, &keys), quantiles(model, &keys)));
  }
}

// Those behind a start of zero get theirs in the second step.
TEST_P(AnyAdapter, gets_a_gradient_in_every_parameter_within_two_steps) {
  DemandModel model = published(GetParam().base);
  model.add_adapter(GetParam().everywhere, 1);
  for (int step = 0; step < 2; ++step) {
    at::manual_seed(6);
    const at::Tensor forecast = model.forward(testing::small_batch(model.config(), 7), nullptr).quantiles_bqh;
    (forecast * at::randn(forecast.sizes())).sum().backward();
    const at::NoGradGuard no_grad;
    for (const Parameter& parameter : model.parameters())
      if (parameter.adapter) at::Tensor(parameter.tensor).sub_(gradient_of(parameter), 1e-3);
  }
  for (const Parameter& parameter : model.parameters()) {
    // Over one token the decoder's own q and k have no effect, nor have those across a series alone.
    const bool alone = (parameter.name.find("decoder") != std::string::npos &&
                        parameter.name.find("SelfAttention") != std::string::npos) ||
                       parameter.name.find("layer.1.self_attention") != std::string::npos;
    const bool idle = alone && parameter.name.find("prefix") == std::string::npos &&
                      (parameter.name.find("ttention.q") != std::string::npos ||
                       parameter.name.find("ttention.k") != std::string::npos);
    if (!parameter.adapter || idle) continue;
    EXPECT_GT(gradient_of(parameter).abs().max().item<float>(), 0.0F) << parameter.name;
  }
}

TEST_P(AnyAdapter, stored_and_loaded_again_forecasts_the_same_bits_from_kilobytes) {
  const shelfcast::testing::TemporaryFolder folder;
  DemandModel model = published(GetParam().base);
  model.add_adapter(GetParam().small, 1);
  move_adapter(model);
  model.save(folder.path());
  EXPECT_FALSE(fs::exists(folder.path() / "tower"));
  EXPECT_TRUE(fs::exists(folder.path() / "adapter/adapter_config.json"));
  DemandModel loaded = DemandModel::load(folder.path());
  EXPECT_TRUE(at::equal(quantiles(loaded), quantiles(model)));
  EXPECT_FALSE(at::equal(quantiles(published(GetParam().base)), quantiles(model)));
  const DropoutKeys keys{1, 2, {0, 1, 2, 3, 4, 5, 6}};
  EXPECT_TRUE(at::equal(quantiles(loaded, &keys), quantiles(model, &keys)));
  EXPECT_FALSE(at::equal(quantiles(loaded, &keys), quantiles(model)));

  loaded.merge_adapter();
  EXPECT_EQ(loaded.adapter() == nullptr, can_be_merged(GetParam().small));
  EXPECT_TRUE(at::allclose(quantiles(loaded), quantiles(model), 1e-4, 1e-5));
  const shelfcast::testing::TemporaryFolder whole;
  loaded.save(whole.path());
  EXPECT_TRUE(at::equal(quantiles(DemandModel::load(whole.path())), quantiles(loaded)));
}

TEST_P(AnyAdapter, of_another_base_is_refused_by_its_digest) {
  const shelfcast::testing::TemporaryFolder folder;
  DemandModel model = published(GetParam().base.starts_with("bolt") ? "bolt/patch_8" : "chronos2/one_block");
  model.add_adapter(GetParam().small, 1);
  model.save(folder.path());
  const std::string message =
      message_of([&] { published(GetParam().base).add_adapter(folder.path() / "adapter"); });
  EXPECT_NE(message.find("was made for another base model"), std::string::npos) << message;
}

TEST_P(AnyAdapter, without_its_base_says_what_is_missing) {
  const shelfcast::testing::TemporaryFolder folder;
  DemandModel model = published(GetParam().base);
  model.add_adapter(GetParam().small, 1);
  model.save(folder.path());
  nlohmann::json json = read_json(folder.path() / "model.json");
  json["model"]["weights"] = "gone/chronos";
  write_file_atomically(folder.path() / "model.json", json.dump());
  const std::string message = message_of([&] { DemandModel::load(folder.path()); });
  EXPECT_NE(message.find("gone/chronos, which is not there"), std::string::npos) << message;
}

TEST_P(AnyAdapter, has_a_configuration_that_is_read_as_it_was_written) {
  const nlohmann::json written = to_json(GetParam().small, "base");
  EXPECT_EQ(to_json(adapter_config_from_json(written), "base"), written);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, AnyAdapter,
    ::testing::Values(
        Kind{"lora", "bolt/wide_heads",
             LoraConfig{.targets = {"q", "k", "v", "o", "wi", "wo", "hidden_layer", "residual_layer"}},
             LoraConfig{.dropout = 0.1, .modules_to_save = {"output_patch_embedding"}}},
        Kind{"adalora", "bolt/wide_heads",
             LoraConfig{.targets = {"q", "k", "v", "o", "wi", "wo", "hidden_layer", "residual_layer"},
                        .budget = RankBudget{}},
             LoraConfig{.dropout = 0.1,
                        .modules_to_save = {"output_patch_embedding"},
                        .budget = RankBudget{.target = 3, .warmup = 1, .final = 2, .every = 3, .steps = 9}}},
        Kind{"prefix", "bolt/wide_heads",
             PrefixConfig{.length = 3, .attentions = {"SelfAttention", "EncDecAttention"}},
             PrefixConfig{.dropout = 0.1, .modules_to_save = {"output_patch_embedding"}}},
        Kind{"bottleneck", "bolt/wide_heads", BottleneckConfig{.size = 5, .activation = "gelu"},
             BottleneckConfig{.dropout = 0.1, .modules_to_save = {"output_patch_embedding"}}},
        Kind{"lora_of_chronos_2", "chronos2/published",
             LoraConfig{.targets = {"q", "k", "v", "o", "wi", "wo", "hidden_layer", "residual_layer"}},
             LoraConfig{.dropout = 0.1, .modules_to_save = {"output_patch_embedding"}}},
        Kind{"adalora_of_chronos_2", "chronos2/published",
             LoraConfig{.targets = {"q", "k", "v", "o", "wi", "wo", "hidden_layer", "residual_layer"},
                        .budget = RankBudget{}},
             LoraConfig{.dropout = 0.1,
                        .modules_to_save = {"output_patch_embedding"},
                        .budget = RankBudget{.target = 3, .warmup = 1, .final = 2, .every = 3, .steps = 9}}},
        Kind{"prefix_of_chronos_2", "chronos2/published",
             PrefixConfig{.length = 3, .attentions = {"self_attention"}},
             PrefixConfig{.dropout = 0.1,
                          .attentions = {"self_attention"},
                          .modules_to_save = {"output_patch_embedding"}}},
        Kind{"bottleneck_of_chronos_2", "chronos2/published",
             BottleneckConfig{.size = 5, .activation = "gelu"},
             BottleneckConfig{.dropout = 0.1, .modules_to_save = {"output_patch_embedding"}}}),
    [](const auto& chosen) { return chosen.param.name; });

TEST(Adapters, folders_that_hold_none_and_models_from_scratch_are_errors) {
  EXPECT_NE(message_of([] { read_adapter_config(golden("bolt/wide_heads")); }).find("holds no adapter"),
            std::string::npos);
  DemandModel scratch(testing::small_config(), 1);
  EXPECT_NE(message_of([&] { scratch.add_adapter(LoraConfig{}, 1); }).find("needs a pretrained model"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              adapter_config_from_json({{"adapter_type", "compacter"}});
            }).find("compacter"),
            std::string::npos);
}

TEST(Bottleneck, stands_behind_named_sublayers_and_nowhere_else) {
  DemandModel model = published();
  model.add_adapter(BottleneckConfig{.size = 3, .after = {"DenseReluDense.wo", "EncDecAttention.o"}}, 1);
  std::int64_t downs = 0;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.name.ends_with(".adapter_down.weight")) continue;
    ++downs;
    EXPECT_EQ(parameter.tensor.sizes(), (std::vector<std::int64_t>{3, 24})) << parameter.name;
    EXPECT_EQ(parameter.name.find("SelfAttention"), std::string::npos) << parameter.name;
  }
  EXPECT_EQ(downs, 4 + 2);  // feed-forward of four blocks, cross-attention of two
}

TEST(Bottleneck, a_name_that_ends_no_sublayer_is_an_error_with_the_nearest) {
  const auto message = [](const BottleneckConfig& config) {
    return message_of([&] { published().add_adapter(config, 1); });
  };
  const std::string near = message({.after = {"o", "SelfAtention.o"}});
  EXPECT_NE(near.find("tune.after: \"SelfAtention.o\" matches no tensor"), std::string::npos) << near;
  EXPECT_NE(near.find("nearest is \"SelfAttention.o\""), std::string::npos) << near;
  const std::string inside = message({.after = {"wi"}});
  EXPECT_NE(inside.find("tune.after: \"wi\" matches no tensor"), std::string::npos) << inside;
  EXPECT_NE(inside.find("name some of o, wo"), std::string::npos) << inside;
  const std::string saved = message({.modules_to_save = {"output_patch_embeding"}});
  EXPECT_NE(saved.find("tune.modules_to_save"), std::string::npos) << saved;
  EXPECT_NE(message({.size = 0}).find("tune.size"), std::string::npos);
  EXPECT_NE(message({.activation = "rellu"}).find("tune.activation"), std::string::npos);
}

TEST(Prefix, a_name_that_is_no_attention_is_an_error_with_the_nearest) {
  const auto message = [](const PrefixConfig& config) {
    return message_of([&] { published().add_adapter(config, 1); });
  };
  const std::string near = message({.attentions = {"SelfAtention"}});
  EXPECT_NE(near.find("tune.attentions: \"SelfAtention\" matches no tensor"), std::string::npos) << near;
  EXPECT_NE(near.find("nearest is \"SelfAttention\""), std::string::npos) << near;
  EXPECT_NE(message({.attentions = {"DenseReluDense"}}).find("matches no tensor"), std::string::npos);
  EXPECT_NE(message({.length = 0}).find("tune.prefix"), std::string::npos);
}

}  // namespace
}  // namespace shelfcast::models
