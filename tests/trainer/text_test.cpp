// Product texts on their way from the corpus into forecasts: encoded once, kept beside the corpus, read by
// all.
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <cmath>

#include "scorer/bundle.h"
#include "scorer/forecaster.h"
#include "scorer/new_items.h"
#include "tests/trainer/text_fixture.h"
#include "trainer/commands/commands.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/requirements.h"
#include "trainer/text/series_texts.h"
#include "trainer/text/text_encoder.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

TEST_F(Texts, become_the_encoders_vectors_with_mean_square_one_and_zeros_where_there_is_none) {
  const data::Corpus opened(corpus());
  const Recipe r = text_recipe("run");
  const auto alone = parallel::make_single();
  const data::TextColumn column = text_column(r.model, opened);
  const SeriesTexts texts = read_series_texts(opened, column, r.model, *alone);
  const at::Tensor got = texts.of({{4, 90}, {2, 90}, {-1, 0}, {11, 90}});
  ASSERT_EQ(got.sizes(), at::IntArrayRef({4, 32}));
  const TextTower tower = open_text_tower(encoder());
  const std::vector<std::string> of_items = {kTexts[0], kTexts[3]};
  const at::Tensor pooled = models::embed(tower.bert, tower.tokenizer, of_items, {});
  const at::Tensor expected = pooled / pooled.square().mean(1, true).sqrt();
  EXPECT_TRUE(at::allclose(got[0], expected[0], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(got[3], expected[1], 1e-5, 1e-6));
  EXPECT_EQ(got[1].abs().max().item<float>(), 0.0F);
  EXPECT_EQ(got[2].abs().max().item<float>(), 0.0F);
  EXPECT_EQ(texts.series_without(), 3);
}

TEST_F(Texts, are_encoded_once_for_all_runs_and_resumes_on_a_corpus) {
  train_alone(text_recipe("first", {"train.steps=4"}), {.resume = Resume::never, .stop_after = 2});
  ASSERT_EQ(cache_files().size(), 1U);
  const fs::file_time_type written = fs::last_write_time(cache_files()[0]);
  train_alone(text_recipe("first", {"train.steps=4"}), {.resume = Resume::required, .stop_after = {}});
  train_on(2, text_recipe("second", {"train.steps=2"}));
  ASSERT_EQ(cache_files().size(), 1U);
  EXPECT_EQ(fs::last_write_time(cache_files()[0]), written);
  // Other settings are other vectors.
  train_alone(text_recipe("third", {"train.steps=2", "model.text_pooling=cls"}));
  EXPECT_EQ(cache_files().size(), 2U);
}

TEST_F(Texts, resumed_and_uninterrupted_training_end_in_the_same_bits) {
  for (const int ranks : {1, 2}) {
    const std::string whole = fmt::format("whole-{}", ranks), parts = fmt::format("parts-{}", ranks);
    train_on(ranks, text_recipe(whole));
    for (const std::int64_t stop : {10, 20, 30})
      train_on(ranks, text_recipe(parts), {.resume = Resume::automatic, .stop_after = stop});
    EXPECT_EQ(weights(whole), weights(parts));
  }
  train_alone(recipe("without"));
  EXPECT_NE(weights("whole-1").size(), weights("without").size());
}

TEST_F(Texts, two_series_alike_but_for_their_text_get_different_forecasts) {
  train_alone(text_recipe("run"));
  const std::string heart = ",1," + kTexts[0], coffee = ",1,\"" + kTexts[1] + "\"";
  auto rows =
      forecast("run", sales(",promo,text", {{"a", heart}, {"b", coffee}, {"c", heart}, {"new", ",1,Tea"}}));
  EXPECT_EQ(rows.at("a"), rows.at("c"));
  EXPECT_NE(rows.at("a"), rows.at("b"));
  EXPECT_NE(rows.at("a"), rows.at("new"));
  // The text of an item of the corpus is that of the same words.
  // (As many series: the last bits follow the batch.)
  const std::vector<std::pair<std::string, std::string>> items = {
      {"d", ",1,item-0"}, {"e", ",1,item-2"}, {"f", ",1,item-0"}, {"g", ",1,item-1"}};
  rows.merge(forecast("run", sales(",promo,item", items)));
  EXPECT_EQ(rows.at("a"), rows.at("d"));
  EXPECT_NE(rows.at("a"), rows.at("e"));
  EXPECT_EQ(rows.at("b"), rows.at("g"));
  EXPECT_EQ(cache_files().size(), 1U);
}

TEST_F(Texts, reach_backtests_of_a_run_even_when_the_encoder_is_gone) {
  train_alone(text_recipe("run"));
  fs::remove_all(encoder());
  backtest("run");
  EXPECT_TRUE(fs::exists(folder_ / "run/report/report.html"));
  // Texts that the cache does not hold need it.
  fs::remove_all(folder_ / "small.corpus.texts");
  EXPECT_THAT(message_of([&] { backtest("run"); }), HasSubstr("model.text"));
}

TEST_F(Texts, stand_among_the_requirements) {
  const Requirements needs = estimate_requirements(text_recipe("run"), 1);
  EXPECT_THAT(needs.shapes, ::testing::Contains(::testing::Pair("text", std::vector<std::int64_t>{12, 32})));
  EXPECT_FALSE(fs::exists(folder_ / "small.corpus.texts"));
}

TEST_F(Texts, are_in_the_bundle_whose_forecasts_are_those_of_the_run) {
  train_alone(text_recipe("run", {"train.steps=10"}));
  parallel::Launch launch(nullptr, nullptr);
  // Writing opens it as a reader would: the scorer reproduces LibTorch's forecasts of eight series.
  trainer::run(ExportCommand{(folder_ / "run").string(), (folder_ / "bundle").string()}, launch);
  const scorer::Bundle bundle(folder_ / "bundle");
  EXPECT_EQ(bundle.inputs().texts, 3);
  EXPECT_EQ(bundle.inputs().text_row.row(2)[0], -1);
  scorer::ModelInputs silent = bundle.inputs();
  const std::vector<std::int32_t> none(12, -1);
  silent.text_row = {none.data(), 1};
  const std::vector<std::int64_t> with_and_without = {4, 6};
  const auto before = scorer::forecast(bundle.model(), bundle.inputs(), with_and_without, 1),
             after = scorer::forecast(bundle.model(), silent, with_and_without, 1);
  EXPECT_NE(before.mean_bh[0], after.mean_bh[0]);
  EXPECT_EQ(before.mean_bh[7], after.mean_bh[7]);
}

// Series 1 was never observed: a new item with its facts, text and promotions is forecast alike.
TEST_F(Texts, of_new_items_are_encoded_by_the_bundle_itself) {
  train_alone(text_recipe("run", {"train.steps=10", "data.past=[]"}));
  parallel::Launch launch(nullptr, nullptr);
  trainer::run(ExportCommand{(folder_ / "run").string(), (folder_ / "bundle").string()}, launch);
  fs::remove_all(encoder());
  const scorer::Bundle bundle(folder_ / "bundle");
  write_file_atomically(folder_ / "new.csv", fmt::format("series,store,category,text,like\n"
                                                         "new,上海,food,\"{}\",series-1\n"
                                                         "other,上海,food,\"{}\",series-1\n",
                                                         kTexts[1], kTexts[3]));
  const scorer::NewItems items(folder_ / "new.csv", bundle, 1);
  EXPECT_EQ(items.unknown_facts(), 0);
  const scorer::Forecasts all = scorer::forecast(bundle, items, {1, 12, 13}, 1);
  const std::int64_t width = all.levels * all.horizon;
  bool another = false;
  for (std::int64_t i = 0; i < width; ++i) {
    EXPECT_NEAR(all.quantiles_bqh[width + i], all.quantiles_bqh[i], 1e-4);
    another = another || std::abs(all.quantiles_bqh[2 * width + i] - all.quantiles_bqh[i]) > 1e-3;
  }
  EXPECT_TRUE(another) << "another text makes no difference";
}

TEST_F(Texts, name_the_key_that_is_wrong_before_a_run_folder_is_made) {
  EXPECT_THAT(message_of([&] { recipe("run", {"data.text=true"}); }),
              HasSubstr("model.text names no encoder"));
  const auto message = [&](const std::string& override) {
    return message_of([&] { train_alone(text_recipe("run", {override})); });
  };
  EXPECT_THAT(message("model.text_pooling=max"), HasSubstr("model.text_pooling: unknown pooling \"max\""));
  EXPECT_THAT(message("model.text_length=161"), HasSubstr("model.text_length"));
  EXPECT_THAT(message("model.text_length=0"), HasSubstr("model.text_length is 0"));
  EXPECT_THAT(message("model.text=nowhere"), HasSubstr("model.text: "));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(Texts, go_on_only_with_the_encoder_they_began_with) {
  train_alone(text_recipe("run", {"train.steps=4"}), {.resume = Resume::never, .stop_after = 2});
  std::string bytes = read_file(encoder() / "model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomically(encoder() / "model.safetensors", bytes);
  EXPECT_THAT(message_of([&] {
                train_alone(text_recipe("run", {"train.steps=4"}),
                            {.resume = Resume::required, .stop_after = {}});
              }),
              HasSubstr("not the one"));
  fs::remove_all(folder_ / "small.corpus.texts");
  EXPECT_THAT(message_of([&] {
                forecast("run", sales(",promo", {{"series-1", ",1"}}));
              }),
              HasSubstr("not the one"));
}

TEST_F(Texts, a_run_stopped_while_they_were_encoded_goes_on) {
  train_alone(text_recipe("run", {"train.steps=4"}), {.resume = Resume::never, .stop_after = 2});
  for (const char* later : {"features.json", "environment.json", "checkpoints"})
    fs::remove_all(folder_ / "run" / later);
  fs::create_directories(folder_ / "run" / "checkpoints");
  train_alone(text_recipe("run", {"train.steps=4"}), {.resume = Resume::automatic, .stop_after = {}});
  EXPECT_EQ(open_run(folder_ / "run").features.text.width, 32);
}

TEST_F(Texts, say_so_when_their_cache_is_damaged) {
  train_alone(text_recipe("run", {"train.steps=2"}));
  const fs::path file = cache_files().at(0);
  const std::string whole = read_file(file);
  std::string flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const std::string& bytes :
       {flipped, whole.substr(0, whole.size() - 5), whole.substr(0, 3), std::string()}) {
    write_file_atomically(file, bytes);
    const std::string message = message_of([&] { train_alone(text_recipe("again", {"train.steps=2"})); });
    EXPECT_THAT(message, HasSubstr(file.string() + " is damaged"));
    EXPECT_THAT(message, HasSubstr("remove it"));
    fs::remove_all(folder_ / "again");
  }
}

class CorpusWithoutTexts : public Texts {
 protected:
  CorpusWithoutTexts() : Texts(SmallCorpusOptions{}) {}
};
TEST_F(CorpusWithoutTexts, is_refused_for_want_of_an_item_level) {
  EXPECT_THAT(message_of([&] { train_alone(text_recipe("run")); }), HasSubstr("no item level"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

class CorpusWithEmptyTexts : public Texts {
 protected:
  CorpusWithEmptyTexts() : Texts(SmallCorpusOptions{.change = {}, .texts = {"", ""}}) {}
};
TEST_F(CorpusWithEmptyTexts, is_refused_for_want_of_texts) {
  EXPECT_THAT(message_of([&] { estimate_requirements(text_recipe("run"), 1); }),
              HasSubstr("no product texts"));
}

// A day with a number that no arithmetic in float survives.
class BadStepsWithTexts : public Texts {
 protected:
  BadStepsWithTexts()
      : Texts({.series = 12,
               .steps = 160,
               .all_missing_series = true,
               .change = [](std::int64_t series, std::int64_t step,
                            float demand) { return series == 5 && step == 60 ? 3e38F : demand; },
               .texts = kTexts}) {}
};
TEST_F(BadStepsWithTexts, find_the_sample_to_blame) {
  train_on(2, text_recipe("run", {"train.guard.action=skip", "train.guard.most=30",
                                  "train.validate_windows=1", "train.early_stop=0"}));
  const std::vector<nlohmann::json> bad = read_lines(folder_ / "run/bad-steps.jsonl");
  ASSERT_FALSE(bad.empty());
  for (const nlohmann::json& sample : bad[0].at("samples")) EXPECT_EQ(sample.at("series"), "series-5");
}

}  // namespace
}  // namespace shelfcast::trainer
