#include "trainer/recipe/recipe.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/paths.h"
#include "trainer/recipe/overrides.h"

namespace shelfcast::trainer {
namespace {

constexpr const char* kMinimal = "data: {corpus: x.corpus}\n";

// The message of the Error that parsing throws; "" when it does not throw.
std::string message_of(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_recipe(yaml, "r.yaml", overrides);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Recipe, needs_nothing_but_a_corpus) {
  const Recipe recipe = parse_recipe(kMinimal, "somewhere/m5.yaml", {});
  EXPECT_EQ(recipe.data.corpus, "x.corpus");
  EXPECT_EQ(recipe.run.dir, "runs/m5");
  expect_parts(message_of("run: {seed: 3}\n"), {"r.yaml", "data.corpus", "missing"});
  expect_parts(message_of(""), {"data.corpus"});
}

TEST(Recipe, names_file_line_and_nearest_key_for_an_unknown_key) {
  expect_parts(message_of("data:\n  corpus: x\n  horizonn: 28\n"),
               {"r.yaml:3", "data.horizonn", "data.horizon\""});
  expect_parts(message_of("data: {corpus: x}\ntrian: {steps: 3}\n"), {"r.yaml:2", "trian", "\"train\""});
  expect_parts(message_of("data: {corpus: x}\ntrain:\n  optimizer:\n    lrr: 1\n"),
               {"r.yaml:4", "train.optimizer.lr\""});
  expect_parts(message_of("data: {corpus: x, zzzzzzzz: 1}\n"), {"r.yaml:1", "zzzzzzzz", "context"});
}

TEST(Recipe, names_file_line_and_wanted_type_for_a_wrong_type) {
  expect_parts(message_of("data: {corpus: x}\ntrain:\n  steps: many\n"),
               {"r.yaml:3", "train.steps", "whole number", "many"});
  expect_parts(message_of("data: {corpus: x, known: price}\n"), {"data.known", "list"});
  expect_parts(message_of("data: {corpus: x, train_until: 2016-02-30}\n"), {"data.train_until", "date"});
  expect_parts(message_of("data: {corpus: x}\nparallel: {step_deadline: 5}\n"),
               {"parallel.step_deadline", "duration"});
  expect_parts(message_of("data: {corpus: x}\ntrain: 5\n"), {"r.yaml:2", "\"train\"", "block"});
  expect_parts(message_of("data: {corpus: x}\nmodel: {loss: {mean_loss: huberr}}\n"),
               {"model.loss.mean_loss", "mse, mae"});
}

TEST(Recipe, numbers_are_decimal_and_finite_and_durations_less_than_a_life) {
  for (const char* slip : {"010", "-010", "0x10", "1e3"})
    expect_parts(message_of(kMinimal, {std::string("train.steps=") + slip}), {"whole number", slip});
  for (const char* slip : {".inf", "-.inf", ".nan"})
    expect_parts(message_of(kMinimal, {std::string("train.clip=") + slip}), {"train.clip", "a number", slip});
  for (const char* slip : {"infh", "nans", "1e300h", "-5s", "0s"})
    expect_parts(message_of(kMinimal, {std::string("parallel.step_deadline=") + slip}), {"duration", slip});
  const Recipe recipe =
      parse_recipe(kMinimal, "r.yaml", {"run.seed=0", "train.steps=+70", "train.clip=010.5"});
  EXPECT_EQ(recipe.run.seed, 0);
  EXPECT_EQ(recipe.train.steps, 70);
  EXPECT_EQ(recipe.train.clip, 10.5);
}

TEST(Recipe, refuses_duplicates_and_broken_yaml_with_the_line) {
  expect_parts(message_of("data: {corpus: x}\ndata: {corpus: y}\n"), {"r.yaml:2", "twice"});
  expect_parts(message_of("data: {corpus: x\n"), {"r.yaml:", "not YAML"});
  expect_parts(message_of("data: {corpus: x}\n---\ntrain: {steps: 6}\n"), {"r.yaml", "2 YAML documents"});
  EXPECT_EQ(parse_recipe("---\ndata: {corpus: x}\n...\n", "r.yaml", {}).data.corpus, "x");
  expect_parts(message_of("data: {corpus: x}\ntrain: {steps: }\n"),
               {"r.yaml:2", "train.steps", "it is empty"});
}

TEST(Recipe, refuses_cuda_graphs_of_what_no_graph_can_repeat) {
  const auto message = [](std::vector<std::string> overrides) {
    overrides.emplace_back("train.cuda_graphs=true");
    return message_of(kMinimal, overrides);
  };
  expect_parts(message({"train.adversarial.method=fgm"}), {"train.cuda_graphs", "train.adversarial"});
  expect_parts(message({"data.text=true", "model.text=x", "tune.text=top"}),
               {"train.cuda_graphs", "tune.text"});
  expect_parts(message({"data.censored=sold_out"}), {"train.cuda_graphs", "data.censored", "mask"});
  EXPECT_TRUE(parse_recipe(kMinimal, "r.yaml",
                           {"train.cuda_graphs=true", "data.censored=sold_out", "model.loss.censored=mask"})
                  .train.cuda_graphs);
}

TEST(Recipe, overrides_win_and_name_themselves_in_errors) {
  const Recipe recipe =
      parse_recipe(kMinimal, "r.yaml", {"train.steps=7", "data.known=[price, promo]", "run.dir=runs/z"});
  EXPECT_EQ(recipe.train.steps, 7);
  EXPECT_EQ(recipe.data.known, (std::vector<std::string>{"price", "promo"}));
  EXPECT_EQ(recipe.run.dir, "runs/z");
  expect_parts(message_of(kMinimal, {"train.stepz=7"}), {"--set train.stepz=7", "train.steps\""});
  expect_parts(message_of(kMinimal, {"train.steps=x"}), {"--set train.steps=x", "whole number"});
  expect_parts(message_of(kMinimal, {"train.steps"}), {"--set train.steps", "no value"});
}

TEST(Recipe, survives_being_written_and_read_again) {
  Recipe recipe = parse_recipe(kMinimal, "r.yaml", {});
  recipe.data.corpus = "Bücher: 图书/#1.corpus";
  recipe.data.known = {"price", "促销"};
  recipe.data.train_until = parse_date("2016-01-03");
  recipe.train.optimizer.lr = 1.0 / 3.0;
  recipe.model.mean_head = false;
  recipe.model.loss.scale_power = 0.5;
  recipe.train.clip = 1e300;
  recipe.parallel.step_deadline = std::chrono::minutes(2);
  recipe.backtest.seasonal_gaps = eval::SeasonalGaps::last_value;
  recipe.backtest.fans = 3;
  const std::string text = to_yaml(recipe);
  const Recipe again = parse_recipe(text, "again.yaml", {});
  EXPECT_EQ(to_yaml(again), text);
  EXPECT_EQ(again.data.corpus, recipe.data.corpus);
  EXPECT_EQ(again.data.known, recipe.data.known);
  EXPECT_EQ(again.data.train_until, recipe.data.train_until);
  EXPECT_EQ(again.train.optimizer.lr, recipe.train.optimizer.lr);
  EXPECT_EQ(again.train.clip, recipe.train.clip);
  EXPECT_FALSE(again.model.mean_head);
  EXPECT_EQ(again.model.loss.scale_power, 0.5);
  EXPECT_EQ(again.parallel.step_deadline, recipe.parallel.step_deadline);
  EXPECT_EQ(again.backtest.seasonal_gaps, recipe.backtest.seasonal_gaps);
  EXPECT_EQ(again.backtest.fans, recipe.backtest.fans);
}

TEST(Recipe, says_what_the_seasonal_baseline_does_at_gaps_and_how_many_forecasts_are_plotted) {
  const Recipe recipe =
      parse_recipe("data: {corpus: x}\nbacktest: {seasonal_gaps: last_value, fans: 0}\n", "r.yaml", {});
  EXPECT_EQ(recipe.backtest.seasonal_gaps, eval::SeasonalGaps::last_value);
  EXPECT_EQ(recipe.backtest.fans, 0);
  const Recipe plain = parse_recipe(kMinimal, "r.yaml", {});
  EXPECT_EQ(plain.backtest.seasonal_gaps, eval::SeasonalGaps::last_season);
  EXPECT_EQ(plain.backtest.fans, eval::BacktestConfig{}.fans);
  expect_parts(message_of("data: {corpus: x}\nbacktest: {seasonal_gaps: first}\n"),
               {"r.yaml:2", "backtest.seasonal_gaps", "last_season, last_value"});
  expect_parts(message_of("data: {corpus: x}\nbacktest: {fans: -1}\n"), {"fans", "at least 0"});
}

TEST(Recipe, lists_the_baselines_of_a_backtest) {
  const Recipe recipe =
      parse_recipe("data: {corpus: x}\nbacktest: {baselines: [ets, tsb], threads: 3}\n", "r.yaml", {});
  EXPECT_EQ(recipe.backtest.baselines, (std::vector<std::string>{"ets", "tsb"}));
  EXPECT_EQ(recipe.backtest.threads, 3);
  EXPECT_EQ(parse_recipe(to_yaml(recipe), "again.yaml", {}).backtest.baselines, recipe.backtest.baselines);
  expect_parts(message_of("data: {corpus: x}\nbacktest: {baselines: [naive, crostn]}\n"),
               {"backtest.baselines", "'crostn'", "did you mean 'croston'?"});
}

TEST(Recipe, overrides_that_a_command_has_no_use_for_are_named) {
  const auto message = [](const std::string& override) -> std::string {
    try {
      require_settable({"backtest.origins=2", override}, {"backtest", "data.target"}, "a judgement");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  for (const char* settable : {"backtest.orders.lead=3", "data.target=visits", "backtest={origins: 1}"})
    EXPECT_EQ(message(settable), "") << settable;
  expect_parts(message("data.horizon=7"), {"--set data.horizon=7", "a judgement does not take data.horizon",
                                           "keys of backtest, data.target"});
  expect_parts(message("data={target: visits}"), {"does not take data"});
  expect_parts(message("backtests.origins=7"), {"did you mean backtest.origins?"});
}

TEST(Recipe, checks_what_only_holds_between_blocks) {
  expect_parts(message_of("data: {corpus: x, horizon: 7}\nbacktest: {horizon: 28}\n"),
               {"backtest.horizon", "data.horizon"});
  expect_parts(message_of("data: {corpus: x}\ntrain: {batch: 8, micro_batch: 64}\n"),
               {"train.micro_batch", "train.batch"});
  expect_parts(message_of("data: {corpus: x}\ntrain: {keep_last: 1}\n"), {"train.keep_last", "at least 2"});
}

TEST(Recipe, those_that_come_along_are_ones) {
  std::size_t read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(testing::source_dir() / "recipes")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || name.starts_with("sweep-") || name.starts_with("retrain-")) continue;
    EXPECT_NO_THROW(read_recipe(entry.path(), {})) << name;
    ++read;
  }
  EXPECT_GE(read, 7U);
}

TEST(Recipe, buckets_have_a_size_or_find_it_out) {
  const auto with = [](const std::string& size) {
    return parse_recipe("data: {corpus: x.corpus}", "test.yaml", {"parallel.bucket_mb=" + size});
  };
  EXPECT_EQ(with("7").parallel.bucket_mb, 7);
  EXPECT_EQ(with("auto").parallel.bucket_mb, ParallelConfig::kTuned);
  EXPECT_NE(to_yaml(with("auto")).find("bucket_mb: auto\n"), std::string::npos);
  EXPECT_EQ(parse_recipe(to_yaml(with("auto")), "again.yaml", {}).parallel.bucket_mb, ParallelConfig::kTuned);
  for (const char* wrong : {"0", "-3", "often", "[1]"}) EXPECT_THROW(with(wrong), Error) << wrong;
}

TEST(Recipe, tells_one_value_without_the_quotes_of_yaml) {
  const Recipe recipe = parse_recipe(
      "data: {corpus: x.corpus, known: [price]}\nrun: {dir: 'runs/it''s: a'}\n", "test.yaml", {});
  EXPECT_EQ(value_of(recipe, "run.dir"), "runs/it's: a");
  EXPECT_EQ(value_of(recipe, "data.corpus"), "x.corpus");
  EXPECT_EQ(value_of(recipe, "train.optimizer.lr"), "0.001");
  EXPECT_EQ(value_of(recipe, "data.known"), "[price]");
  EXPECT_THROW(value_of(recipe, "run.folder"), Error);
  EXPECT_THROW(value_of(recipe, "run.dir.more"), Error);
}

}  // namespace
}  // namespace shelfcast::trainer
