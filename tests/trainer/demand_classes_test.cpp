// Low, normal and high demand as training sees them.
#include "trainer/demand_classes.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>

#include "tests/trainer/training_fixture.h"
#include "trainer/model_forecaster.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/requirements.h"
#include "trainer/trained_run.h"
#include "trainer/validation.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kHead = {"model.heads.classes=[0.2, 0.7]", "model.loss.class=1"};

std::vector<std::string> with_head(std::vector<std::string> changes) {
  changes.insert(changes.begin(), kHead.begin(), kHead.end());
  return changes;
}

// Type 7 of Hyndman and Fan, over values in order.
double quantile(std::vector<float> values, double share) {
  std::ranges::sort(values);
  const double position = share * static_cast<double>(values.size() - 1), below = std::floor(position);
  const double low = values[static_cast<std::size_t>(below)],
               high = values[static_cast<std::size_t>(std::ceil(position))];
  return low + (position - below) * (high - low);
}

class DemandClassesOf : public Training {
 protected:
  DataPlan plan(const Recipe& recipe) const { return make_plan(recipe, data::Corpus(recipe.data.corpus)); }
  // Demand of all series, [series][step].
  std::vector<std::vector<float>> demand() const {
    const data::Corpus corpus(folder_ / "small.corpus");
    data::PanelBlock block;
    corpus.read(0, corpus.info().series, 0, corpus.info().demand_end, {}, block);
    std::vector<std::vector<float>> all;
    for (std::int64_t s = 0; s < block.series; ++s)
      all.emplace_back(block.demand.begin() + s * block.steps, block.demand.begin() + (s + 1) * block.steps);
    return all;
  }
};

TEST_F(DemandClassesOf, a_series_are_parted_by_what_was_observed_before_training_ends) {
  const DataPlan plan = this->plan(recipe("r", with_head({})));
  std::int64_t series = 0;
  for (const std::vector<float>& all : demand()) {
    std::vector<float> past;
    std::copy_if(all.begin(), all.begin() + plan.train_end, std::back_inserter(past),
                 [](float x) { return !std::isnan(x); });
    const eval::LevelThresholds& fitted = plan.classes.thresholds(series++);
    EXPECT_EQ(fitted.known(), !past.empty());
    if (past.empty()) continue;
    EXPECT_DOUBLE_EQ(fitted.low, quantile(past, 0.2));
    EXPECT_DOUBLE_EQ(fitted.high, quantile(past, 0.7));
  }
}

TEST_F(DemandClassesOf, a_series_do_not_count_steps_that_a_stock_out_cut) {
  const DataPlan plan = this->plan(recipe("r", with_head({"data.known=[event]", "data.censored=promo"})));
  data::PanelBlock block;
  const std::size_t promo = 0;
  data::Corpus(folder_ / "small.corpus").read(5, 1, 0, plan.train_end, std::span(&promo, 1), block);
  std::vector<float> past;
  for (std::size_t t = 0; t < block.demand.size(); ++t)
    if (!std::isnan(block.demand[t]) && block.columns[0].values[t] != 1.0F) past.push_back(block.demand[t]);
  ASSERT_LT(past.size(), block.demand.size() - 10);
  EXPECT_DOUBLE_EQ(plan.classes.thresholds(5).low, quantile(past, 0.2));
  EXPECT_DOUBLE_EQ(plan.classes.thresholds(5).high, quantile(past, 0.7));
}

// Closed days count to the past that a backtest judges by, but nothing is learned of them.
TEST_F(DemandClassesOf, closed_steps_are_in_the_thresholds_but_not_in_the_weights) {
  const std::vector<std::string> balanced = with_head(
      {"data.known=[promo]", "data.past=[]", "data.calendar=[]", "model.loss.class_weights=balanced"});
  std::vector<std::string> open = balanced;
  open.emplace_back("data.open=promo");
  const DataPlan all = plan(recipe("a", balanced)), some = plan(recipe("b", open));
  const data::Corpus corpus(folder_ / "small.corpus");
  data::PanelBlock block;
  const std::size_t promo = 0;
  corpus.read(0, corpus.info().series, 0, all.train_end, std::span(&promo, 1), block);
  std::array<double, 3> met{};
  for (std::int64_t s = 0; s < block.series; ++s) {
    if (!some.classes.thresholds(s).known()) continue;  // never observed
    EXPECT_EQ(some.classes.thresholds(s).low, all.classes.thresholds(s).low);
    for (std::int64_t t = all.train_space.first_origin; t < all.train_end; ++t) {
      const auto cell = static_cast<std::size_t>(s * block.steps + t);
      if (!std::isnan(block.demand[cell]) && block.columns[0].values[cell] == 1.0F)
        ++met[some.classes.thresholds(s).level_of(block.demand[cell])];
    }
  }
  const double sum = met[0] + met[1] + met[2];
  for (std::size_t c = 0; c < met.size(); ++c) {
    EXPECT_NEAR(some.classes.weights()[c], sum / (3 * met[c]), 1e-9) << c;
  }
  EXPECT_NE(some.classes.weights(), all.classes.weights());
}

TEST_F(DemandClassesOf, a_batch_are_those_of_its_targets_and_none_where_nothing_is_known) {
  const Recipe wanted = recipe("r", with_head({}));
  const DataPlan plan = this->plan(wanted);
  // Series 1 has no demand at all; the third row is padding.
  data::EvaluationReader reader(wanted.data.corpus, plan.features, {{0, 60}, {1, 60}}, 3);
  data::Batch batch;
  reader.read(0, batch);
  const models::Targets targets = make_targets(batch, plan.features, plan.classes);
  const eval::LevelThresholds& fitted = plan.classes.thresholds(0);
  for (std::int64_t h = 0; h < plan.features.horizon; ++h) {
    const float demand = batch.target_bh[static_cast<std::size_t>(h)];
    const std::int64_t expected = std::isnan(demand)     ? -1
                                  : demand > fitted.high ? 2
                                  : demand > fitted.low  ? 1
                                                         : 0;
    EXPECT_EQ(targets.class_bh[0][h].item<std::int64_t>(), expected);
    EXPECT_EQ(targets.class_bh[1][h].item<std::int64_t>(), -1);
    EXPECT_EQ(targets.class_bh[2][h].item<std::int64_t>(), -1);
  }
  EXPECT_FALSE(make_targets(batch, plan.features).class_bh.defined());
}

TEST_F(DemandClassesOf, weights_are_the_recipes_or_the_inverse_of_how_often_training_meets_a_class) {
  EXPECT_EQ(plan(recipe("r", with_head({}))).classes.weights(), (std::vector{1.0, 1.0, 1.0}));
  EXPECT_EQ(plan(recipe("r", with_head({"model.loss.class_weights=[1, 2, 3]"}))).classes.weights(),
            (std::vector{1.0, 2.0, 3.0}));
  for (const bool recent : {false, true}) {
    std::vector<std::string> changes = {"model.loss.class_weights=balanced"};
    if (recent) changes.emplace_back("data.recent=30");
    const DataPlan plan = this->plan(recipe("r", with_head(changes)));
    const std::int64_t first = recent ? plan.train_end - 30 : 1;
    std::array<double, 3> met{};
    std::int64_t series = 0;
    for (const std::vector<float>& all : demand()) {
      const eval::LevelThresholds& fitted = plan.classes.thresholds(series++);
      for (std::int64_t t = first; t < plan.train_end; ++t) {
        const float x = all[static_cast<std::size_t>(t)];
        if (!std::isnan(x)) met[x > fitted.high ? 2 : x > fitted.low ? 1 : 0] += 1;
      }
    }
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_DOUBLE_EQ(plan.classes.weights()[c], (met[0] + met[1] + met[2]) / (3.0 * met[c])) << c;
  }
}

// Demand that is never more than one, mostly none: its two lower quantiles are 0, nothing lies between.
class SparseDemand : public Training {
 protected:
  SparseDemand()
      : Training(
            {.change = [](std::int64_t, std::int64_t step, float) { return step % 10 == 0 ? 1.0F : 0.0F; }}) {
  }
};

TEST_F(SparseDemand, leaves_a_class_empty_which_is_an_error_before_anything_is_trained) {
  const Recipe wanted = recipe("run", with_head({}));
  const std::string said = message_of([&] { train_alone(wanted); });
  EXPECT_THAT(said, HasSubstr("no demand that is trained on is normal by model.heads.classes [0.2, 0.7]"));
  EXPECT_THAT(said, HasSubstr("0 normal"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  EXPECT_NE(message_of([&] { estimate_requirements(wanted, 2); }), "");
}

// After training ends demand is a hundred times what it was.
class ChangedFuture : public Training {
 protected:
  ChangedFuture()
      : Training({.change = [](std::int64_t, std::int64_t step, float demand) {
          return step >= 139 ? demand * 100.0F : demand;
        }}) {}
};

TEST_F(ChangedFuture, moves_no_threshold) {
  const DataPlan plan = make_plan(recipe("r", with_head({})), data::Corpus(folder_ / "small.corpus"));
  ASSERT_EQ(plan.train_end, 139);
  EXPECT_LT(plan.classes.thresholds(11).high, 60.0);
}

TEST_F(Training, of_classes_learns_resumes_validates_and_forecasts_them) {
  const Recipe wanted = recipe("run", with_head({"train.steps=120", "model.loss.class_weights=balanced",
                                                 "backtest.classes=[0.2, 0.7]", "train.validate_every=60"}));
  const TrainResult result = train_alone(wanted);
  EXPECT_TRUE(std::isfinite(result.best_metric));
  const TrainedRun run = open_run(folder_ / "run");
  ModelForecaster forecaster("model", *run.model, run.features, {});
  EXPECT_TRUE(forecaster.says_classes());
  const DataPlan plan = make_plan(wanted, data::Corpus(wanted.data.corpus));
  data::EvaluationReader reader(wanted.data.corpus, plan.features, plan.validation, 4);
  data::Batch batch;
  eval::ForecastValues values;
  double right = 0, all = 0;
  std::array<double, 3> truths{};
  for (std::int64_t k = 0; k < reader.batches(); ++k) {
    reader.read(k, batch);
    forecaster.forecast(batch, values);
    const std::vector<std::int64_t> truth = plan.classes.of(batch);
    for (std::size_t cell = 0; cell < truth.size(); ++cell) {
      if (truth[cell] < 0) continue;
      const std::size_t row = cell / 7, h = cell % 7;
      std::size_t best = 0;
      double sum = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        sum += values.classes_bch[(row * 3 + c) * 7 + h];
        if (values.classes_bch[(row * 3 + c) * 7 + h] > values.classes_bch[(row * 3 + best) * 7 + h])
          best = c;
      }
      EXPECT_NEAR(sum, 1.0, 1e-5);
      right += static_cast<std::int64_t>(best) == truth[cell] ? 1 : 0;
      ++truths[static_cast<std::size_t>(truth[cell])], ++all;
    }
  }
  EXPECT_GT(right / all, *std::ranges::max_element(truths) / all + 0.1);
}

TEST_F(Training, of_classes_refuses_series_that_are_mixed) {
  EXPECT_THAT(message_of([&] { recipe("r", with_head({"train.augment.mix=0.4"})); }),
              HasSubstr("train.augment.mix is on, and model.heads.classes, too"));
}

TEST_F(Training, of_classes_refuses_to_judge_them_by_other_shares) {
  EXPECT_THAT(message_of([&] { recipe("r", with_head({"backtest.classes=[0.25, 0.75]"})); }),
              HasSubstr("backtest.classes is [0.25, 0.75], but the model's head tells apart [0.2, 0.7]"));
}

}  // namespace
}  // namespace shelfcast::trainer
