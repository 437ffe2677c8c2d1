// Facts that are numbers: what a model makes of them, from training to forecasts and bundles.
#include <ATen/core/grad_mode.h>

#include "scorer/bundle.h"
#include "scorer/forecaster.h"
#include "scorer/new_items.h"
#include "tests/trainer/text_fixture.h"
#include "trainer/requirements.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

// Series sell as their size says, and it is all that tells them apart.
float by_size(std::int64_t series, std::int64_t step, float demand) {
  if (std::isnan(demand)) return demand;
  return static_cast<float>(series) * 2.0F + static_cast<float>((step + series) % 3);
}

class StaticNumbers : public Texts {
 protected:
  StaticNumbers()
      : Texts({.series = 12, .steps = 160, .all_missing_series = true, .change = by_size, .sizes = true}) {}
  Recipe sized(const std::string& run, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), "data.static=[store, category, size]");
    return recipe(run, more);
  }
};

TEST_F(StaticNumbers, training_in_parts_is_the_whole_to_the_bit_and_on_ranks_the_same_within_rounding) {
  train_alone(sized("whole"));
  for (const std::int64_t stop : {10, 30})
    train_alone(sized("parts"), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  const std::vector<std::string> descent = {"train.optimizer.name=sgd", "train.optimizer.lr=0.02",
                                            "train.optimizer.momentum=0"};
  train_alone(sized("one", descent));
  std::vector<std::string> cut = descent;
  cut.emplace_back("train.micro_batch=5");
  train_on(3, sized("ranks", cut));
  EXPECT_LT(relative_distance(weights("one"), weights("ranks")), 1e-5);
}

TEST_F(StaticNumbers, tell_how_much_a_series_without_a_history_sells) {
  train_alone(sized("run", {"data.static=[size]", "train.steps=150", "model.level=true",
                            "train.new_items=0.5", "train.early_stop=0"}));
  const TrainedRun run = open_run(folder_ / "run");
  ASSERT_EQ(run.features.static_numbers.size(), 1U);
  ASSERT_EQ(run.model->config().static_numbers, 1);
  const auto forecast_of = [&](float size) {
    const at::NoGradGuard no_grad;
    const auto numbers = run.features.static_numbers[0].model_numbers(size);
    models::ModelInputs inputs;
    const std::int64_t t = run.features.context, u = t + run.features.horizon;
    inputs.context_bt = at::full({1, t}, std::nan(""));
    inputs.past_bnt = at::zeros({1, std::ssize(run.features.past_numeric), t});
    inputs.known_bnu = at::zeros({1, std::ssize(run.features.known_numeric), u});
    inputs.known_codes_bcu = at::zeros({1, std::ssize(run.features.known_categorical), u}, at::kInt);
    inputs.static_numbers_bn = at::tensor({numbers[0], numbers[1]}).view({1, 2});
    return run.model->forward(inputs, nullptr).demand_mean_bh(0).mean().item<double>();
  };
  EXPECT_GT(forecast_of(31), 2 * forecast_of(4));
  EXPECT_GT(forecast_of(31), 1.3 * forecast_of(16));
}

TEST_F(StaticNumbers, are_in_forecasts_of_tables_and_in_bundles_with_new_items) {
  train_alone(sized("run", {"model.level=true", "train.new_items=0.5"}));
  const auto rows =
      forecast("run", sales(",promo,size", {{"a", ",0,4"}, {"b", ",0,31"}, {"c", ",0,4"}, {"d", ",0,"}}));
  EXPECT_EQ(rows.at("a"), rows.at("c"));
  EXPECT_NE(rows.at("a"), rows.at("b"));
  EXPECT_NE(rows.at("a"), rows.at("d"));
  // A series of the corpus needs no column to have its size: series-1 has 4, series-10 has 31.
  const auto known = forecast(
      "run", sales(",promo,store,category",
                   {{"series-1", ",0,Köln,food"}, {"series-10", ",0,Köln,food"}, {"new", ",0,Köln,food"}}));
  EXPECT_NE(known.at("series-1"), known.at("series-10"));
  EXPECT_NE(known.at("series-1"), known.at("new"));
  EXPECT_NE(message_of([&] {
              forecast("run", sales(",promo,size", {{"a", ",0,large"}}));
            }).find("words"),
            std::string::npos);
  parallel::Launch launch(nullptr, nullptr);
  trainer::run(ExportCommand{(folder_ / "run").string(), (folder_ / "bundle").string()}, launch);
  const scorer::Bundle bundle(folder_ / "bundle");  // reproduces LibTorch's forecasts when it is opened
  EXPECT_EQ(bundle.inputs().static_numbers.row(4)[0], 0.0F);
  EXPECT_EQ(bundle.inputs().static_numbers.row(4)[1], 1.0F);
  EXPECT_EQ(bundle.inputs().static_numbers.row(5)[1], 0.0F);
  write_file_atomically(folder_ / "new.csv", "series,size\nsmall,1\nlarge,40\nunknown,\n");
  const scorer::NewItems items(folder_ / "new.csv", bundle, 1);
  EXPECT_EQ(items.unknown_facts(), 3);  // nobody named store and category
  const scorer::Forecasts forecasts = scorer::forecast(bundle, items, {12, 13, 14}, 1);
  const auto mean = [&](std::int64_t row) { return forecasts.mean_bh[static_cast<std::size_t>(row * 7)]; };
  EXPECT_NE(mean(0), mean(1));
  EXPECT_NE(mean(0), mean(2));
}

TEST_F(StaticNumbers, stand_among_the_requirements) {
  const Requirements with = estimate_requirements(sized("run"), 1),
                     without = estimate_requirements(recipe("run"), 1);
  bool found = false;
  for (const auto& [name, shape] : with.shapes)
    if (name == "static numbers") found = shape == std::vector<std::int64_t>{12, 2};
  EXPECT_TRUE(found);
  // [2 * width, 2] numbers.
  EXPECT_EQ(with.trainable - without.trainable, 4 * models::tower_for(recipe("run").model, 28, 7).d_model);
}

}  // namespace
}  // namespace shelfcast::trainer
