// Other columns than demand as what is forecast: as if the corpus had been made of them.
#include "eval/backtest.h"
#include "tests/trainer/training_fixture.h"
#include "trainer/model_forecaster.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

class Target : public Training {
 protected:
  Target() {
    SmallCorpusOptions options;
    options.of_visits = true;
    make_small_corpus(folder_ / "visits.corpus", options);
  }

  Recipe by_target(const std::string& run) const {
    return recipe(run, {"data.target=visits", "data.past=[demand]"});
  }
  Recipe by_corpus(const std::string& run) const {
    return recipe(run, {"data.corpus=" + (folder_ / "visits.corpus").string(), "data.past=[demand]"});
  }
  nlohmann::ordered_json judged(const std::string& run) const {
    const TrainedRun trained = open_run(folder_ / run);
    const data::Corpus corpus(trained.recipe.data.source());
    const auto single = parallel::make_single();
    ModelForecaster forecaster(
        "model", *trained.model, trained.features,
        read_series_texts(corpus, trained.features.text, trained.recipe.model, *single));
    eval::BacktestConfig config = trained.recipe.backtest;
    config.baselines = {"naive", "ridge"};
    const eval::BacktestResult result = eval::run_backtest(
        config, trained.recipe.data.source(), trained.features, {&forecaster},
        corpus.info().axis.step_at_or_before(*trained.recipe.data.validate_until), *single);
    return eval::result_json(result).at("forecasters");
  }
};

TEST_F(Target, is_trained_and_judged_as_on_a_corpus_that_was_made_of_it) {
  train_alone(by_target("target"));
  train_alone(by_corpus("corpus"));
  EXPECT_EQ(weights("target"), weights("corpus"));
  const auto result = judged("target");
  EXPECT_EQ(result, judged("corpus"));
  EXPECT_EQ(result.size(), 3U);  // the model and two baselines
}

TEST_F(Target, training_in_parts_is_the_whole_to_the_bit) {
  train_alone(by_target("whole"));
  for (const std::int64_t stop : {10, 30})
    train_alone(by_target("parts"), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
}

TEST_F(Target, is_no_covariate_beside_itself) {
  try {
    train_alone(recipe("run", {"data.target=visits", "data.past=[visits]"}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("data.past"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("visits"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace shelfcast::trainer
