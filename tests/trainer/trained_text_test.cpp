// A text encoder that is trained with the demand model: gradients, exactness, files, and who reads them.
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "models/text/bert_weights.h"
#include "scorer/bundle.h"
#include "tests/trainer/text_fixture.h"
#include "trainer/requirements.h"
#include "trainer/text/live_texts.h"
#include "trainer/text/series_texts.h"
#include "trainer/text/text_encoder.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

class TrainedTexts : public Texts {
 protected:
  Recipe trained_recipe(const std::string& run, std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), "tune.text=all");
    return text_recipe(run, overrides);
  }
  fs::path text_of(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    return checkpoints.path_of(checkpoints.steps().back()) / "text";
  }
  std::shared_ptr<const TrainedText> open(double dropout = 0) const {
    models::ModelConfig model;
    model.dropout = dropout;
    return std::make_shared<const TrainedText>(encoder(), model, models::BertParts{false, false});
  }
};

// A published directory's tensors by their names today, without the prefix of a class.
std::map<std::string, at::Tensor> tensors_of(const fs::path& folder) {
  const SafetensorsFile file(folder / "model.safetensors");
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [stored, tensor] : file.tensors()) {
    std::string name = stored.starts_with("bert.") ? stored.substr(5) : stored;
    for (const auto& [old, now] : {std::pair(".gamma", ".weight"), std::pair(".beta", ".bias")})
      if (name.ends_with(old)) name.replace(name.rfind('.'), std::string::npos, now);
    if (name == "embeddings.position_ids") continue;  // old files hold 0, 1, 2, ...
    const std::vector<float> values = tensor.to_float();
    tensors[name] = at::tensor(values);
  }
  return tensors;
}

at::Tensor flat_gradient(const TrainedText& text) {
  std::vector<at::Tensor> all;
  for (const models::Parameter& parameter : text.parameters())
    all.push_back(parameter.tensor.grad().defined() ? parameter.tensor.grad().flatten().clone()
                                                    : at::zeros({parameter.tensor.numel()}));
  return at::cat(all);
}

void clear_gradients(const TrainedText& text) {
  for (const models::Parameter& parameter : text.parameters()) parameter.tensor.mutable_grad() = at::Tensor();
}

TEST_F(TrainedTexts, get_the_sum_of_the_gradients_of_all_windows_that_read_them) {
  const auto encoder = open();
  models::ModelConfig model;
  const std::vector<std::string> texts = {kTexts[0], kTexts[1], kTexts[3]};
  const std::vector<std::int64_t> row_of_series = {0, 2, -1, 0, 1};
  const SeriesTexts series(std::make_shared<const LiveTexts>(encoder, model, texts), row_of_series);
  const std::vector<data::Window> windows = {{3, 5}, {0, 9}, {2, 1}, {-1, 0}, {1, 1}, {0, 2}};
  const at::Tensor vectors = series.of(windows);
  ASSERT_EQ(vectors.sizes(), at::IntArrayRef({6, 32}));
  EXPECT_EQ(vectors[2].abs().max().item<float>(), 0.0F);
  EXPECT_EQ(vectors[3].abs().max().item<float>(), 0.0F);
  EXPECT_TRUE(at::equal(vectors[0], vectors[1]));
  const at::Tensor weights = at::cos(at::arange(6 * 32, at::kFloat)).view({6, 32});
  (vectors * weights).sum().backward();
  const at::Tensor together = flat_gradient(*encoder);
  // Each window's text by itself, straight through the encoder.
  clear_gradients(*encoder);
  for (const auto& [window, text] : {std::pair(0, 0), std::pair(1, 0), std::pair(4, 2), std::pair(5, 0)}) {
    const std::vector<data::Encoding> one = {
        encoder->tokenizer().encode(texts[static_cast<std::size_t>(text)], 128)};
    const models::PackedTexts packed = models::pack_texts(one, encoder->bert().config());
    const at::Tensor pooled =
        encoder->bert().pool(encoder->bert().forward(packed), packed, models::Pooling::mean);
    const at::Tensor vector = pooled / pooled.square().mean(1, true).sqrt();
    EXPECT_TRUE(at::allclose(vector[0], vectors[window], 1e-4, 1e-5));
    (vector[0] * weights[window]).sum().backward();
  }
  const at::Tensor apart = flat_gradient(*encoder);
  EXPECT_LT(((together - apart).norm() / apart.norm()).item<double>(), 1e-5);
  EXPECT_GT(apart.norm().item<double>(), 0.0);
}

TEST_F(TrainedTexts, drop_by_seed_step_and_text_wherever_they_stand) {
  const LiveTexts texts(open(0.3), {}, {kTexts[0], kTexts[1], kTexts[3]});
  const models::DropoutKeys keys{7, 3, {}}, later{7, 4, {}};
  const std::vector<std::int64_t> all = {0, 1, 2}, one = {2};
  const at::Tensor in_company = texts.encode(all, &keys), alone = texts.encode(one, &keys);
  EXPECT_TRUE(at::allclose(in_company[2], alone[0], 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(alone, texts.encode(one, &later), 1e-2, 1e-2));
  EXPECT_FALSE(at::allclose(alone, texts.encode(one, nullptr), 1e-2, 1e-2));
}

TEST_F(TrainedTexts, with_hidden_tokens_are_those_of_mask_tokens_in_their_places) {
  const auto encoder = open();
  const std::vector<std::string> three = {kTexts[0], kTexts[1], kTexts[3]};
  const LiveTexts plain(encoder, {}, three),
      all_hidden(encoder, {}, three, {.share = 1, .tokens = 1 - 1e-12});
  const models::DropoutKeys keys{7, 3, {}};
  const std::vector<std::int64_t> first = {1};
  data::Encoding masks = encoder->tokenizer().encode(kTexts[1], 128);
  for (std::size_t i = 1; i + 1 < masks.ids.size(); ++i)
    if (masks.ids[i] != encoder->tokenizer().unknown()) masks.ids[i] = encoder->tokenizer().mask();
  const models::PackedTexts packed = models::pack_texts(std::vector{masks}, encoder->bert().config());
  const at::Tensor pooled =
      encoder->bert().pool(encoder->bert().forward(packed), packed, models::Pooling::mean);
  EXPECT_TRUE(at::allclose(all_hidden.encode(first, &keys), pooled / pooled.square().mean(1, true).sqrt(),
                           1e-4, 1e-5));
  EXPECT_TRUE(at::equal(all_hidden.encode(first, nullptr), plain.encode(first, nullptr)));
  EXPECT_TRUE(at::equal(all_hidden.encode_now(first), plain.encode_now(first)));
}

TEST_F(TrainedTexts, hide_tokens_of_their_share_by_seed_step_and_text_wherever_they_stand) {
  const auto encoder = open();
  const std::vector<std::string> three = {kTexts[0], kTexts[1], kTexts[3]};
  const LiveTexts plain(encoder, {}, three), hidden(encoder, {}, three, {.share = 0.4, .tokens = 0.9});
  const std::vector<std::int64_t> all = {0, 1, 2}, one = {2};
  std::int64_t changed = 0;
  for (std::int64_t step = 0; step < 100; ++step) {
    const models::DropoutKeys keys{7, step, {}};
    const at::Tensor vectors = hidden.encode(all, &keys);
    EXPECT_TRUE(at::allclose(vectors[2], hidden.encode(one, &keys)[0], 1e-5, 1e-6));
    const at::Tensor apart = (vectors - plain.encode(all, nullptr)).abs().amax(1);
    changed += (apart > 1e-3).sum().item<std::int64_t>();
  }
  EXPECT_NEAR(static_cast<double>(changed), 120.0, 30.0);
  // A share of the tokens, not all or none.
  const data::Encoding text = encoder->tokenizer().encode(kTexts[3] + " " + kTexts[3], 128);
  double masked = 0, tokens = 0;
  for (std::int64_t step = 0; step < 200; ++step) {
    const data::Encoding shown = models::hide_tokens(text, encoder->tokenizer(), {7, step, 1}, 0.3);
    EXPECT_EQ(shown.ids.front(), encoder->tokenizer().cls());
    EXPECT_EQ(shown.ids.back(), encoder->tokenizer().separator());
    for (std::size_t i = 0; i < text.ids.size(); ++i) {
      if (shown.ids[i] == text.ids[i]) continue;
      EXPECT_EQ(shown.ids[i], encoder->tokenizer().mask());
      ++masked;
    }
    for (const std::int32_t id : text.ids)
      tokens += id != encoder->tokenizer().cls() && id != encoder->tokenizer().separator() &&
                        id != encoder->tokenizer().unknown()
                    ? 1
                    : 0;
  }
  EXPECT_NEAR(masked / tokens, 0.3, 0.03);
}

TEST_F(TrainedTexts, with_hidden_tokens_resume_to_the_bit_and_train_alike_on_ranks) {
  const std::vector<std::string> hiding = {"train.augment.tokens=0.3", "train.steps=8",
                                           "train.validate_every=8", "train.checkpoint_every=4"};
  train_alone(trained_recipe("whole", hiding));
  for (const std::int64_t stop : {4, 8})
    train_alone(trained_recipe("parts", hiding), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  std::vector<std::string> cut = hiding;
  cut.emplace_back("train.micro_batch=4");
  train_on(3, trained_recipe("ranks", cut));
  EXPECT_LT(relative_distance(weights("ranks"), weights("whole")), 2e-4);
  train_alone(trained_recipe("plain", {"train.steps=8", "train.validate_every=8"}));
  EXPECT_GT(relative_distance(weights("plain"), weights("whole")), 1e-3);
}

TEST_F(TrainedTexts, resumed_and_uninterrupted_training_end_in_the_same_bits) {
  for (const int ranks : {1, 2}) {
    const std::string whole = fmt::format("whole-{}", ranks), parts = fmt::format("parts-{}", ranks);
    train_on(ranks, trained_recipe(whole));
    for (const std::int64_t stop : {10, 20, 30})
      train_on(ranks, trained_recipe(parts), {.resume = Resume::automatic, .stop_after = stop});
    EXPECT_EQ(weights(whole), weights(parts));
    EXPECT_EQ(read_file(text_of(whole) / "model.safetensors"),
              read_file(text_of(parts) / "model.safetensors"));
  }
  train_alone(text_recipe("frozen"));
  EXPECT_GT(weights("whole-1").size(), weights("frozen").size());
}

TEST_F(TrainedTexts, ranks_and_micro_batches_change_rounding_only) {
  const std::vector<std::string> few = {"train.steps=8", "train.validate_every=8", "model.dropout=0.2"};
  const auto with = [&](const char* micro) {
    std::vector<std::string> all = few;
    all.emplace_back(micro);
    return all;
  };
  train_on(1, trained_recipe("one", with("train.micro_batch=24")));
  train_on(1, trained_recipe("slices", with("train.micro_batch=5")));
  train_on(3, trained_recipe("ranks", with("train.micro_batch=4")));
  const std::vector<float> expected = weights("one");
  EXPECT_LT(relative_distance(weights("slices"), expected), 2e-4);
  EXPECT_LT(relative_distance(weights("ranks"), expected), 2e-4);
  train_on(1, trained_recipe("other", with("run.seed=18")));
  EXPECT_GT(relative_distance(weights("other"), expected), 1e-2);
}

TEST_F(TrainedTexts, reach_all_of_the_encoder_or_its_top) {
  train_alone(trained_recipe("all", {"train.steps=3"}));
  train_alone(text_recipe("top", {"train.steps=3", "tune.text=top", "tune.text_layers=1"}));
  const auto before = tensors_of(encoder()), all = tensors_of(text_of("all")),
             top = tensors_of(text_of("top"));
  ASSERT_FALSE(all.empty());
  for (const auto& [name, values] : all) {
    EXPECT_FALSE(at::equal(values, before.at(name))) << name;
    EXPECT_EQ(!at::equal(top.at(name), before.at(name)), name.starts_with("encoder.layer.1.")) << name;
  }
}

TEST_F(TrainedTexts, learn_by_layer_and_at_a_rate_of_their_own) {
  TuneConfig tune{.layer_decay = 0.5, .text = TuneConfig::Text::all, .text_rate = 0.1};
  std::map<std::string, double> rate;
  for (const parallel::FlatParameter& parameter : trained_parameters(*open(), tune))
    rate[parameter.name] = parameter.lr_scale;
  EXPECT_DOUBLE_EQ(rate.at("text.encoder.layer.1.output.dense.weight"), 0.05);
  EXPECT_DOUBLE_EQ(rate.at("text.encoder.layer.0.output.dense.weight"), 0.025);
  EXPECT_DOUBLE_EQ(rate.at("text.embeddings.word_embeddings.weight"), 0.0125);
}

TEST_F(TrainedTexts, of_a_checkpoint_are_those_of_its_files_and_of_validation) {
  train_on(2, trained_recipe("run"));
  const TrainedRun run = open_run(folder_ / "run");
  EXPECT_NE(run.recipe.model.text, encoder().string());
  const data::Corpus opened(corpus());
  EXPECT_NE(run.features.text.encoder, text_column(text_recipe("x").model, opened).encoder);
  const auto alone = parallel::make_single();
  const SeriesTexts stored = read_series_texts(opened, run.features.text, run.recipe.model, *alone);
  const auto trained = std::make_shared<const TrainedText>(run.recipe.model.text, run.recipe.model,
                                                           models::BertParts{false, false});
  std::vector<data::Window> windows;
  for (std::int64_t series = 0; series < 12; ++series) windows.push_back({series, 90});
  const SeriesTexts live = live_series_texts(opened, trained, run.recipe.model);
  parallel::run_ranks_as_threads(3, [&](parallel::Communicator& communicator) {
    EXPECT_TRUE(at::equal(live.now(windows, communicator).of(windows), stored.of(windows)));
  });
  // Each encoder has its own vectors beside the corpus.
  EXPECT_EQ(cache_files().size(), 1U);
  train_alone(text_recipe("frozen", {"train.steps=2"}));
  EXPECT_EQ(cache_files().size(), 2U);
}

TEST_F(TrainedTexts, are_read_by_backtests_forecasts_and_bundles_without_the_first_encoder) {
  train_alone(trained_recipe("run"));
  fs::remove_all(encoder());
  backtest("run");
  EXPECT_TRUE(fs::exists(folder_ / "run/report/report.html"));
  const std::string heart = ",1," + kTexts[0], coffee = ",1,\"" + kTexts[1] + "\"";
  const auto rows = forecast("run", sales(",promo,text", {{"a", heart}, {"b", coffee}, {"c", heart}}));
  EXPECT_EQ(rows.at("a"), rows.at("c"));
  EXPECT_NE(rows.at("a"), rows.at("b"));
  // The bundle reproduces the run's forecasts when it is opened.
  parallel::Launch launch(nullptr, nullptr);
  trainer::run(ExportCommand{(folder_ / "run").string(), (folder_ / "bundle").string()}, launch);
  const scorer::Bundle bundle(folder_ / "bundle");
  const auto features =
      data::feature_spec_from_json(nlohmann::json::parse(read_file(folder_ / "bundle/features.json")));
  EXPECT_EQ(features.text.encoder, open_run(folder_ / "run").features.text.encoder);
}

// A model reads the vectors of the encoder that it was trained with.
TEST_F(TrainedTexts, go_on_with_the_model_that_was_trained_with_them) {
  train_alone(trained_recipe("first", {"train.steps=2"}));
  const auto refusal = [&](const std::string& run, std::vector<std::string> more) {
    more.insert(more.end(), {"run.start=" + (folder_ / "first").string(), "train.steps=2"});
    return message_of([&] { train_alone(text_recipe(run, more)); });
  };
  const std::string frozen = refusal("frozen", {});
  EXPECT_NE(frozen.find("reads the vectors of another text encoder (it trained its own"), std::string::npos)
      << frozen;
  EXPECT_NE(frozen.find("set model.text: " + (folder_ / "first").string()), std::string::npos) << frozen;
  EXPECT_FALSE(fs::exists(folder_ / "frozen"));
  EXPECT_EQ(refusal("its-own", {"model.text=" + (folder_ / "first").string()}), "");
  EXPECT_EQ(refusal("live", {"tune.text=all"}), "");
  const std::string pooled = refusal("pooled", {"tune.text=all", "model.text_pooling=cls"});
  EXPECT_NE(pooled.find("mean of 128 tokens there, cls of 128 here"), std::string::npos) << pooled;
}

TEST_F(TrainedTexts, stand_among_the_requirements) {
  const Requirements frozen = estimate_requirements(text_recipe("run"), 1),
                     all = estimate_requirements(trained_recipe("run"), 1),
                     top = estimate_requirements(text_recipe("run", {"tune.text=top"}), 1);
  std::int64_t parameters = 0, above = 0;
  const auto text = open();
  for (const models::Parameter& parameter : text->parameters()) {
    parameters += parameter.tensor.numel();
    if (parameter.name.starts_with("text.encoder.layer.1.")) above += parameter.tensor.numel();
  }
  EXPECT_EQ(all.trainable - frozen.trainable, parameters);
  EXPECT_EQ(top.trainable - frozen.trainable, above);
  EXPECT_EQ(top.frozen, parameters - above);
  const auto activations = [](const Requirements& needs) {
    for (const auto& [cause, bytes] : needs.memory)
      if (cause == "activations") return bytes;
    return std::int64_t{0};
  };
  EXPECT_GT(activations(all), activations(frozen));
}

TEST_F(TrainedTexts, name_the_key_that_is_wrong) {
  EXPECT_THAT(message_of([&] { recipe("run", {"tune.text=all"}); }), HasSubstr("data.text is false"));
  EXPECT_THAT(message_of([&] { text_recipe("run", {"tune.text=some"}); }), HasSubstr("frozen, top, all"));
  EXPECT_THAT(message_of([&] { trained_recipe("run", {"tune.text_rate=0"}); }), HasSubstr("tune.text_rate"));
  EXPECT_THAT(message_of([&] { trained_recipe("run", {"tune.text_layers=0"}); }),
              HasSubstr("tune.text_layers"));
  const auto refusal = message_of([&] {
    train_alone(text_recipe("run", {"tune.text=top", "tune.text_layers=3"}));
  });
  EXPECT_THAT(refusal, HasSubstr("the text encoder has 2 blocks"));
  EXPECT_THAT(refusal, HasSubstr("tune.text_layers is 3"));
  EXPECT_THAT(message_of([&] {
                estimate_requirements(text_recipe("run", {"tune.text=top", "tune.text_layers=3"}), 1);
              }),
              HasSubstr("tune.text_layers is 3"));
}

TEST_F(TrainedTexts, say_which_file_of_a_checkpoint_is_damaged) {
  train_alone(trained_recipe("run", {"train.steps=4"}), {.resume = Resume::never, .stop_after = 2});
  std::string bytes = read_file(text_of("run") / "model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const fs::path file = text_of("run") / "model.safetensors";
  write_file_atomically(file, bytes);
  EXPECT_THAT(Checkpoints(folder_ / "run/checkpoints").damage(2), HasSubstr("text/model.safetensors"));
}

// What a run writes is what was published: with $SHELFCAST_SAVED the folders stay for make_bert.py --check.
class TrainedTextGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TrainedTextGolden, saved_untouched_holds_the_published_tensors_config_and_vocabulary) {
  const fs::path published = shelfcast::testing::golden_dir() / "bert" / GetParam();
  const models::BertParts parts{models::bert_parts(published).pooler, false};
  models::ModelConfig model;
  const TrainedText text(published, model, parts);
  const char* named = std::getenv("SHELFCAST_SAVED");
  const fs::path out = named != nullptr
                           ? fs::path(named) / fmt::format("bert_{}", GetParam())
                           : fs::temp_directory_path() / fmt::format("shelfcast-text-{}", getpid());
  fs::remove_all(out);
  text.save(out, text.parameters());
  const auto before = tensors_of(published), after = tensors_of(out);
  for (const auto& [name, values] : after) EXPECT_TRUE(at::equal(values, before.at(name))) << name;
  EXPECT_EQ(after.size(), text.parameters().size());
  const TrainedText again(out, model, parts);
  EXPECT_EQ(again.tokenizer().digest(), text.tokenizer().digest());
  const auto config = nlohmann::json::parse(read_file(out / "config.json")),
             original = nlohmann::json::parse(read_file(published / "config.json"));
  for (const char* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
        "intermediate_size", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"})
    EXPECT_EQ(config.at(key), original.at(key)) << key;
  if (named == nullptr) return void(fs::remove_all(out));
  fs::copy_file(published / "case.safetensors", out / "case.safetensors");
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainedTextGolden, ::testing::Values("uncased", "cased", "chinese"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::trainer
