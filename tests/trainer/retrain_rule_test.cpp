// The parts of a retrain that are arithmetic: its file, the rule, the drift of data.
#include <gmock/gmock.h>

#include "tests/trainer/sweep_fixture.h"
#include "trainer/retrain/drift.h"
#include "trainer/retrain/judge.h"
#include "trainer/retrain/retrain.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal_of(const std::string& yaml) {
  return message_of([&] { parse_retrain(yaml, "x/w.yaml"); });
}

TEST(RetrainFileTest, has_defaults_and_paths_beside_the_file) {
  const RetrainFile file =
      parse_retrain("recipe: r.yaml\nnew: {from: in, format: long, map: m.yaml}\n", "x/w.yaml");
  EXPECT_EQ(file.recipe, "x/r.yaml");
  EXPECT_EQ(file.new_days.map, "x/m.yaml");
  EXPECT_EQ(file.new_days.from, "in");
  EXPECT_EQ(file.dir, "retrain/w");
  EXPECT_EQ(file.start, StartFrom::champion);
  EXPECT_EQ(file.promote.significance, Significance::better);
  EXPECT_FALSE(file.promote.most_loss);
}

TEST(RetrainFileTest, mistakes_are_named_with_line_and_nearest_key) {
  EXPECT_THAT(refusal_of("recipe: r.yaml\npromte: {}\n"),
              AllOf(HasSubstr("x/w.yaml:2"), HasSubstr("unknown key \"promte\""),
                    HasSubstr("did you mean \"promote\"?")));
  EXPECT_THAT(refusal_of("recipe: r.yaml\npromote:\n  min_gian: 1\n"),
              AllOf(HasSubstr("x/w.yaml:3"), HasSubstr("did you mean \"min_gain\"?")));
  EXPECT_THAT(refusal_of("recipe: r.yaml\npromote: {metric: mape}\n"),
              HasSubstr("metric must be one of mae, mse"));
  EXPECT_THAT(refusal_of("recipe: r.yaml\nstart: best\n"),
              HasSubstr("start must be one of champion, scratch"));
  EXPECT_THAT(refusal_of("recipe: r.yaml\nkeep: 1\n"), HasSubstr("keep must be at least 2"));
  EXPECT_THAT(refusal_of("recipe: r.yaml\nset: {run.dir: x}\n"), HasSubstr("run.dir is not for `set`"));
  EXPECT_THAT(refusal_of("recipe: r.yaml\nnew: {format: long}\n"), HasSubstr("new.from is missing"));
  EXPECT_THAT(refusal_of("dir: x\n"), HasSubstr("recipe is missing"));
  EXPECT_THAT(refusal_of("recipe: [\n"), HasSubstr("this is not YAML"));
}

TEST(BlockOverridesTest, make_any_recipe_agree_in_that_block) {
  const Recipe asked = parse_recipe(
      "data: {corpus: c}\nbacktest: {origins: 7, by: [store, horizon], baselines: [ets], seasonal_gaps: "
      "last_value}\n"
      "train: {guard: {action: skip, spike: 4}}\n",
      "r.yaml", {});
  for (const char* block : {"backtest", "train"}) {
    const std::vector<std::string> overrides = block_overrides(asked, block);
    const Recipe other = parse_recipe("data: {corpus: c}\n", "r.yaml", overrides);
    EXPECT_EQ(block_overrides(other, block), overrides);
    EXPECT_NE(to_yaml(other), to_yaml(asked));
  }
  EXPECT_EQ(
      parse_recipe("data: {corpus: c}\n", "r.yaml", block_overrides(asked, "backtest")).backtest.origins, 7);
}

// Both were judged on `series` series whose errors are `factor` times 1, 2, 3, ...
Judged judged(std::int64_t series, double factor, double category = 0) {
  Judged made;
  made.corpus = "d";
  made.protocol = "p";
  made.bootstrap = 500;
  for (std::int64_t i = 1; i <= series; ++i) {
    made.series.push_back(fmt::format("s{}", i));
    made.absolute.push_back(factor * static_cast<double>(i));
    made.squared.push_back(factor * factor * static_cast<double>(i));
  }
  made.overall = {{"mae", factor}, {"mse", factor * factor}};
  made.categories["food"]["mae"] = category > 0 ? category : factor;
  return made;
}

TEST(PromotionTest, needs_the_asked_gain) {
  PromotionRule rule;
  EXPECT_TRUE(decide(rule, judged(20, 1), judged(20, 0.95), {}).promoted);
  EXPECT_FALSE(decide(rule, judged(20, 1), judged(20, 1), {}).promoted);
  rule.min_gain = 0.05;
  EXPECT_FALSE(decide(rule, judged(20, 1), judged(20, 0.96), {}).promoted);
  const Promotion decision = decide(rule, judged(20, 1), judged(20, 0.9), {});
  EXPECT_TRUE(decision.promoted);
  EXPECT_NEAR(*decision.gain, 0.1, 1e-12);
  // Every series is better by the same share: so is every resample.
  EXPECT_NEAR(*decision.low, -0.1, 1e-12);
  EXPECT_NEAR(*decision.high, -0.1, 1e-12);
  rule.metric = "mse";
  EXPECT_NEAR(*decide(rule, judged(20, 1), judged(20, 0.9), {}).gain, 0.19, 1e-12);
}

TEST(PromotionTest, needs_more_than_chance_unless_told_otherwise) {
  // One large series is better, nineteen are worse: which of them a resample holds decides.
  const Judged champion = judged(20, 1);
  Judged challenger = champion;
  for (std::size_t i = 0; i < 19; ++i) challenger.absolute[i] *= 1.02;
  challenger.absolute[19] *= 0.7;
  PromotionRule rule;
  const Promotion unclear = decide(rule, champion, challenger, {});
  EXPECT_FALSE(unclear.promoted);
  EXPECT_THAT(unclear.why, HasSubstr("may be chance"));
  rule.significance = Significance::not_worse;
  EXPECT_TRUE(decide(rule, champion, challenger, {}).promoted);
  rule.min_gain = -0.5;
  EXPECT_THAT(decide(rule, champion, judged(20, 1.1), {}).why, HasSubstr("it is worse"));
  rule.significance = Significance::none;
  EXPECT_TRUE(decide(rule, champion, judged(20, 1.1), {}).promoted);
}

TEST(PromotionTest, one_series_tells_nothing_of_chance) {
  EXPECT_THAT(decide({}, judged(1, 1), judged(1, 0.5), {}).why, HasSubstr("too few series"));
}

TEST(PromotionTest, no_category_the_champion_knew_may_lose_more_than_allowed) {
  PromotionRule rule;
  rule.most_loss = 0.02;
  const Judged champion = judged(20, 1);
  const Promotion lost = decide(rule, champion, judged(20, 0.9, 1.03), {"food"});
  EXPECT_FALSE(lost.promoted);
  EXPECT_THAT(lost.why, HasSubstr("category food would lose +3.00 %, more than +2.00 %"));
  EXPECT_TRUE(decide(rule, champion, judged(20, 0.9, 1.01), {"food"}).promoted);
  // It did not know the category when it was promoted.
  EXPECT_TRUE(decide(rule, champion, judged(20, 0.9, 1.03), {"toys"}).promoted);
  // Then nobody looked at categories: now all count. Without any the rule cannot be kept.
  EXPECT_FALSE(decide(rule, champion, judged(20, 0.9, 1.03), {}).promoted);
  EXPECT_TRUE(decide(rule, champion, judged(20, 0.9, 1.01), {}).promoted);
  Judged blind = judged(20, 0.9);
  blind.categories.clear();
  EXPECT_THAT(decide(rule, champion, blind, {"food"}).why, HasSubstr("not judged by category"));
}

TEST(PromotionTest, refuses_to_compare_what_was_not_judged_alike) {
  Judged other = judged(20, 1);
  other.protocol = "q";
  EXPECT_THAT(message_of([&] { decide({}, judged(20, 1), other, {}); }),
              HasSubstr("not judged on the same targets"));
  EXPECT_THAT(message_of([&] { decide({}, judged(20, 1), judged(19, 1), {}); }), HasSubstr("19 series"));
}

class DriftTest : public ::testing::Test {
 protected:
  // Two categories over 40 steps; demand of series i on step t is what `demand` says.
  std::filesystem::path corpus(const std::function<float(std::int64_t, std::int64_t)>& demand) const {
    data::CorpusInfo info;
    info.axis.start = *parse_date("2024-01-01");
    info.steps = 40;
    info.statics = {{"group", data::Kind::categorical, {"a", "b"}}};
    info.category_level = "group";
    info.covariates = {{"price", data::Role::known, data::Kind::numeric, "series", {}}};
    data::SeriesTable table;
    table.codes.resize(1);
    table.values.resize(1);
    std::vector<float> cells, price;
    for (std::int64_t i = 0; i < 6; ++i) {
      table.names.push_back(fmt::format("s{}", i));
      table.codes[0].push_back(static_cast<std::int32_t>(i % 2));
      for (std::int64_t t = 0; t < 40; ++t) {
        cells.push_back(demand(i, t));
        price.push_back(t < 30 ? static_cast<float>(t % 2) : 2.5F);
      }
    }
    const std::filesystem::path path = folder_ / "d.corpus";
    data::CorpusWriter writer(path, info, table);
    writer.append(6, cells, std::vector<std::vector<float>>{price});
    writer.finish();
    return path;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(DriftTest, counts_levels_zeros_and_what_is_missing_by_category) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Category a doubles on step 30; half of b's new steps are zero, a quarter is missing.
  const auto drift = measure_drift(corpus([&](std::int64_t i, std::int64_t t) {
                                     if (i % 2 == 0) return t < 30 ? 4.0F : 8.0F;
                                     if (t < 30) return 3.0F;
                                     return t % 2 == 0 ? 0.0F : t == 31 ? nan : 3.0F;
                                   }),
                                   30, 7);
  ASSERT_TRUE(drift);
  EXPECT_EQ(drift->new_steps, 10);
  EXPECT_EQ(drift->compared, 10);
  ASSERT_EQ(drift->demand.size(), 3U);
  const DemandDrift &all = drift->demand[0], &a = drift->demand[1], &b = drift->demand[2];
  EXPECT_EQ(all.series, 6);
  EXPECT_EQ(a.category, "a");
  EXPECT_EQ(a.series, 3);
  EXPECT_NEAR(a.change(), 1.0, 1e-12);
  EXPECT_NEAR(b.zeros_now, 5.0 / 9, 1e-12);
  EXPECT_NEAR(b.missing_now, 0.1, 1e-12);
  EXPECT_NEAR(b.mean_now, 12.0 / 9, 1e-12);
  EXPECT_EQ(b.zeros_before, 0);
  ASSERT_EQ(drift->covariates.size(), 1U);
  EXPECT_NEAR(drift->covariates[0].shift, (2.5 - 0.5) / 0.5, 1e-6);
  // 30 cells at 1 times the mean before, 30 at 2 times now, each bin half a cell more: two bins change
  // places.
  EXPECT_NEAR(a.stability, 2 * (30.0 / 35) * std::log(30.5 / 0.5), 1e-9);
}

TEST_F(DriftTest, is_nothing_where_nothing_changed_or_nothing_is_new) {
  const auto path = corpus([](std::int64_t i, std::int64_t t) { return static_cast<float>((i + t) % 5); });
  EXPECT_FALSE(measure_drift(path, 40, 7));
  EXPECT_FALSE(measure_drift(path, 0, 7));
  const auto drift = measure_drift(path, 30, 7);
  EXPECT_NEAR(drift->demand[0].stability, 0, 1e-12);
  EXPECT_NEAR(drift->demand[0].change(), 0, 1e-12);
  // Three new steps are compared with a season before them.
  EXPECT_EQ(measure_drift(path, 37, 7)->compared, 7);
}

}  // namespace
}  // namespace shelfcast::trainer
