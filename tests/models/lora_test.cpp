// Low-rank adapters: what they compute, where they attach, what is stored, and what is refused.
#include "models/adapters/lora.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <torch/csrc/autograd/autograd.h>

#include "base/json_file.h"
#include "models/product.h"
#include "tests/models/adapted_models.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::golden;
using testing::message_of;
using testing::published;

struct Adapted {
  explicit Adapted(std::int64_t out, bool adapted = true)
      : values(at::randn({out, 12})),
        a(at::randn({3, 12}).set_requires_grad(true)),
        b(at::randn({out, 3}).set_requires_grad(true)) {
    if (adapted) *slot = LowRank{"site", a, b, 0.7};
  }
  Weight weight() const { return {values, slot}; }
  // The definition.
  at::Tensor matrix() const { return slot->index() != 0 ? values + 0.7 * at::mm(b, a) : values; }
  at::Tensor values, a, b;
  std::shared_ptr<AdapterSlot> slot = std::make_shared<AdapterSlot>();
};

TEST(AdaptedProduct, equals_the_product_with_the_sum_of_the_matrices_and_so_do_all_gradients) {
  at::manual_seed(1);
  const Adapted own(9);
  const at::Tensor x = at::randn({5, 12}).set_requires_grad(true),
                   bias = at::randn({9}).set_requires_grad(true), dy = at::randn({5, 9});
  const auto all = [&](const at::Tensor& y) {
    std::vector<at::Tensor> results = {y.detach()};
    for (const at::Tensor& gradient : torch::autograd::grad({y}, {x, bias, own.a, own.b}, {dy}))
      results.push_back(gradient);
    return results;
  };
  const auto got = all(product(x, own.weight(), bias)), expected = all(at::addmm(bias, x, own.matrix().t()));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(at::allclose(got[i], expected[i], 1e-4, 1e-5)) << i;
  EXPECT_TRUE(at::allclose(own.weight().effective(), own.matrix(), 1e-5, 1e-6));
}

TEST(AdaptedProduct, stacked_with_matrices_that_have_no_adapter_it_gives_each_its_own) {
  at::manual_seed(2);
  const Adapted first(4), plain(6, false), last(5);
  const at::Tensor x = at::randn({5, 12}), dy = at::randn({5, 15});
  const auto gradients = [&](const at::Tensor& y) {
    return torch::autograd::grad({y}, {first.a, first.b, last.a, last.b}, {dy});
  };
  const at::Tensor got = stacked_product(x, {first.weight(), plain.weight(), last.weight()});
  const at::Tensor expected = at::mm(x, at::cat({first.matrix(), plain.matrix(), last.matrix()}).t());
  EXPECT_TRUE(at::allclose(got, expected, 1e-4, 1e-5));
  const auto dgot = gradients(got), dexpected = gradients(expected);
  for (std::size_t i = 0; i < dgot.size(); ++i)
    EXPECT_TRUE(at::allclose(dgot[i], dexpected[i], 1e-4, 1e-5)) << i;
}

TEST(AdaptedProduct, in_bf16_it_is_the_product_within_its_rounding_and_exact_where_b_is_zero) {
  at::manual_seed(3);
  const Adapted own(9);
  const at::Tensor x = at::randn({5, 12});
  const PrecisionScope scope(Precision::bf16);
  EXPECT_TRUE(at::allclose(product(x, own.weight()), at::mm(x, own.matrix().t()), 0.05, 0.1));
  at::Tensor(own.b).detach().zero_();
  EXPECT_TRUE(at::equal(product(x, own.weight()), product(x, Weight(own.values))));
}

TEST(AdaptedProduct, dropout_takes_elements_of_what_the_adapter_reads_and_keeps_the_mean) {
  at::manual_seed(4);
  const Adapted own(9);
  const at::Tensor x = at::randn({4, 12});
  const at::Tensor plain = at::mm(x, own.values.t());
  at::Tensor sum = at::zeros({4, 9});
  constexpr int kDraws = 4000;
  for (int step = 0; step < kDraws; ++step) {
    const DropoutKeys keys{1, step, {10, 11}};  // two rows of each window
    const Dropout dropout(&keys, 0.25);
    const AdapterDropoutScope scope(dropout);
    sum += product(x, own.weight()).detach() - plain;
  }
  const at::Tensor expected = at::mm(x, (own.matrix() - own.values).detach().t());
  EXPECT_LT((sum / kDraws - expected).abs().max().item<double>(), 0.25);
  EXPECT_TRUE(at::allclose(product(x, own.weight()).detach() - plain, expected, 1e-4, 1e-4));
}

TEST(Lora, parameters_stand_behind_the_matrices_they_change_with_pefts_variance) {
  DemandModel model = published();
  const std::size_t before = model.parameters().size();
  model.add_adapter(LoraConfig{.rank = 6, .targets = {"SelfAttention.q"}}, 1);
  const std::vector<Parameter>& all = model.parameters();
  EXPECT_EQ(all.size(), before + 2 * 4);  // two encoder and two decoder blocks
  for (std::size_t i = 0; i + 2 < all.size(); ++i) {
    if (!all[i].name.ends_with("SelfAttention.q.weight")) continue;
    EXPECT_TRUE(all[i + 1].name.ends_with("SelfAttention.q.lora_A.weight"));
    EXPECT_EQ(all[i + 1].tensor.sizes(), (std::vector<std::int64_t>{6, 24}));
    EXPECT_NEAR(all[i + 1].tensor.std().item<double>(), 1.0 / std::sqrt(3.0 * 24), 0.03);
    EXPECT_EQ(all[i + 2].tensor.abs().max().item<float>(), 0.0F);
  }
}

TEST(Lora, scales_follow_rank_and_patterns) {
  LoraConfig config{.rank = 4, .alpha = 12};
  EXPECT_DOUBLE_EQ(config.scale_of("x.q"), 3.0);
  config.rslora = true;
  EXPECT_DOUBLE_EQ(config.scale_of("x.q"), 6.0);
  config.rank_pattern = {{"q", 9}};
  config.alpha_pattern = {{"x.q", 6}};
  EXPECT_DOUBLE_EQ(config.scale_of("x.q"), 2.0);
  EXPECT_DOUBLE_EQ(config.scale_of("xx.q"), 4.0);
}

// As PEFT reads them: re.match(rf"(.*\.)?({key})$", module).
TEST(Lora, patterns_are_regular_expressions_for_names_or_their_ends) {
  LoraConfig config{.rank = 4, .alpha = 8};
  const std::string q = "encoder.block.0.layer.0.SelfAttention.q",
                    v = "encoder.block.10.layer.0.SelfAttention.v";
  const auto scale = [&](const std::string& key, const std::string& module) {
    config.alpha_pattern = {{key, 64}};
    return config.scale_of(module);
  };
  EXPECT_DOUBLE_EQ(scale("encoder\\..*\\.SelfAttention\\.q", q), 16.0);
  EXPECT_DOUBLE_EQ(scale("encoder\\..*\\.SelfAttention\\.q", v), 2.0);
  EXPECT_DOUBLE_EQ(scale("^encoder.block.0.layer.0.SelfAttention.q", q), 16.0);
  EXPECT_DOUBLE_EQ(scale("SelfAttention.(q|k)", q), 16.0);
  EXPECT_DOUBLE_EQ(scale("block.1.layer.0.SelfAttention.v", v), 2.0);
  EXPECT_DOUBLE_EQ(scale("Attention.q", q), 2.0);  // after a dot or at the beginning
  config.rank_pattern = {{"layer\\.0\\.SelfAttention\\.[qv]", 2}};
  EXPECT_EQ(config.rank_of(v), 2);
  EXPECT_EQ(config.rank_of("encoder.block.0.layer.0.SelfAttention.k"), 4);
  // Which of two stands first is not known any more.
  config.alpha_pattern = {{"q", 8}, {"SelfAttention.q", 64}};
  const std::string both = message_of([&] { (void)config.scale_of(q); });
  EXPECT_NE(both.find("\"SelfAttention.q\" and \"q\" both mean " + q), std::string::npos) << both;
  config.alpha_pattern = {{"q", 16}, {"SelfAttention.q", 16}};
  EXPECT_DOUBLE_EQ(config.scale_of(q), 16.0 / 2);
  EXPECT_NE(message_of([&] { scale("(q", q); }).find("\"(q\" is not a regular expression"),
            std::string::npos);
}

TEST(Lora, a_name_that_matches_no_tensor_is_an_error_with_the_nearest) {
  const auto message = [](const LoraConfig& config) {
    return message_of([&] { published().add_adapter(config, 1); });
  };
  const std::string target = message({.targets = {"q", "SelfAtention.v"}});
  EXPECT_NE(target.find("tune.targets: \"SelfAtention.v\" matches no tensor"), std::string::npos) << target;
  EXPECT_NE(target.find("nearest is \"SelfAttention.v\""), std::string::npos) << target;
  const std::string far = message({.targets = {"query_projection"}});
  EXPECT_NE(far.find("name some of "), std::string::npos) << far;
  EXPECT_NE(far.find("wo"), std::string::npos) << far;
  const std::string saved = message({.modules_to_save = {"output_patch_embeding"}});
  EXPECT_NE(saved.find("tune.modules_to_save"), std::string::npos) << saved;
  EXPECT_NE(saved.find("nearest is \"output_patch_embedding"), std::string::npos) << saved;
  // A table is no matrix that layers multiply by.
  EXPECT_NE(message({.targets = {"relative_attention_bias"}}).find("matches no tensor"), std::string::npos);
}

TEST(Lora, an_adapter_of_another_base_without_a_digest_is_refused_by_its_shapes) {
  const std::string message = message_of([&] { published("bolt/patch_8").add_adapter(golden("lora/bolt")); });
  EXPECT_NE(message.find("has shape"), std::string::npos) << message;
  EXPECT_NE(message.find("belongs to this base"), std::string::npos) << message;
}

TEST(PeftConfig, variants_that_compute_something_else_are_refused_by_name) {
  const nlohmann::json good = read_json(golden("lora/bolt/adapter_config.json"));
  EXPECT_EQ(lora_config_from_peft_json(good).rank, 4);
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = good;
    changed[key] = value;
    return message_of([&] { lora_config_from_peft_json(changed); });
  };
  EXPECT_NE(with("peft_type", "IA3").find("peft_type \"IA3\""), std::string::npos);
  EXPECT_NE(with("use_dora", true).find("use_dora"), std::string::npos);
  EXPECT_NE(with("bias", "all").find("bias"), std::string::npos);
  for (const char* start : {"pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"})
    EXPECT_NE(with("init_lora_weights", start).find(start), std::string::npos);
  for (const nlohmann::json& start :
       {nlohmann::json(true), nlohmann::json(false), nlohmann::json("gaussian")})
    EXPECT_EQ(with("init_lora_weights", start), "");
  EXPECT_NE(with("r", "four").find("cannot be read"), std::string::npos);
  EXPECT_NE(with("r", 0).find("rank"), std::string::npos);
}

TEST(PeftConfig, budgets_that_cannot_be_are_refused_by_name) {
  const auto message = [](LoraConfig config) { return message_of([&] { config.validate(); }); };
  EXPECT_EQ(message({.budget = RankBudget{}}), "");
  EXPECT_NE(message({.rank = 2, .budget = RankBudget{}}).find("tune.budget.target 4 is above tune.rank 2"),
            std::string::npos);
  EXPECT_NE(message({.rslora = true, .budget = RankBudget{}}).find("tune.rslora"), std::string::npos);
  EXPECT_NE(message({.budget = RankBudget{.warmup = 6, .final = 4, .steps = 10}}).find("no step to cut"),
            std::string::npos);
  EXPECT_NE(message({.budget = RankBudget{.every = 0}}).find("tune.budget.every"), std::string::npos);
  EXPECT_NE(message({.budget = RankBudget{.beta2 = 1}}).find("beta2"), std::string::npos);
}

TEST(PeftConfig, what_is_written_is_read_again) {
  LoraConfig config{.rank = 3,
                    .alpha = 7.5,
                    .rslora = true,
                    .dropout = 0.2,
                    .targets = {"q", "x.wo"},
                    .modules_to_save = {"head"},
                    .rank_pattern = {{"q", 2}},
                    .alpha_pattern = {{"wo", 1.5}}};
  const LoraConfig read = lora_config_from_peft_json(to_peft_json(config, "base"));
  EXPECT_EQ(to_peft_json(read, "base"), to_peft_json(config, "base"));
}

}  // namespace
}  // namespace shelfcast::models
