// Runs that begin with another run's weights.
#include "trainer/warm_start.h"

#include <gmock/gmock.h>

#include "tests/trainer/training_fixture.h"
#include "trainer/model_inputs.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

class WarmStart : public Training {
 protected:
  std::string start(const std::string& run) const { return "run.start=" + (folder_ / run).string(); }

  double validation_at(const std::string& run, std::int64_t step) const {
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("validation_loss") && line.at("step") == step)
        return line.at("validation_loss").get<double>();
    return -1;
  }
};

TEST_F(WarmStart, begins_where_the_other_run_was_best_and_never_ends_worse) {
  const TrainResult first = train_alone(recipe("first"));
  // A learning rate that only destroys.
  const TrainResult second =
      train_alone(recipe("second", {start("first"), "train.optimizer.lr=1.0", "train.clip=0"}));
  EXPECT_EQ(validation_at("second", 0), first.best_metric);
  EXPECT_EQ(second.best_step, 0);
  const Checkpoints a(folder_ / "first/checkpoints"), b(folder_ / "second/checkpoints");
  for (const char* file : {"tower/model.safetensors", "fusion.safetensors"})
    EXPECT_EQ(digest_file(a.path_of(a.best_valid()) / file), digest_file(b.path_of(b.best_valid()) / file));
}

TEST_F(WarmStart, resumed_it_is_to_the_bit_the_run_in_one_go) {
  train_alone(recipe("first"));
  train_on(2, recipe("whole", {start("first")}));
  for (const std::int64_t stop : {10, 30})
    train_on(2, recipe("parts", {start("first")}), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
}

TEST_F(WarmStart, embeddings_go_with_their_words) {
  train_alone(recipe("first", {"train.steps=10"}));
  const TrainedRun donor = open_run(folder_ / "first");
  // As if the corpus had got a store between the two it had, and lost none of its categories' order.
  data::FeatureSpec features = donor.features;
  ASSERT_EQ(features.statics[0].name, "store");
  features.statics[0].vocabulary = {"上海", "Neu", "Köln"};
  models::DemandModel model(make_model_config(donor.recipe.model, features), 5);
  const auto table_of = [](const models::DemandModel& of) {
    for (const models::Parameter& parameter : of.parameters())
      if (parameter.name == "fusion.static.0.weight") return parameter.tensor.detach().clone();
    return at::Tensor();
  };
  const at::Tensor drawn = table_of(model);
  start_from(folder_ / "first", model, features);
  const at::Tensor old_rows = table_of(*donor.model), rows = table_of(model);
  EXPECT_TRUE(rows[0].equal(old_rows[0]));  // unknown
  EXPECT_TRUE(rows[1].equal(old_rows[2]));  // 上海
  EXPECT_TRUE(rows[2].equal(drawn[2]));
  EXPECT_TRUE(rows[3].equal(old_rows[1]));  // Köln
}

TEST_F(WarmStart, says_what_is_built_differently) {
  train_alone(recipe("first", {"train.steps=2"}));
  int tried = 0;
  const auto refusal = [&](const std::string& change) {
    const std::string run = fmt::format("second-{}", ++tried);
    return message_of([&] { train_alone(recipe(run, {start("first"), change, "train.steps=2"})); });
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refusal("data.static=[category, store]"), HasSubstr("statics: it reads [store, category]"));
  EXPECT_THAT(refusal("data.past=[]"), HasSubstr("past covariates: it reads [visits], this recipe []"));
  EXPECT_FALSE(fs::exists(folder_ / "second-1"));  // found before the folder was made
  EXPECT_THAT(refusal("model.patch=14"), HasSubstr("fusion.patch.hidden.weight is [256, 70] there"));
  EXPECT_THAT(refusal("model.heads.mean=false"),
              HasSubstr("heads.known.output.weight is [4, 64] there and [3, 64] here"));
  EXPECT_THAT(refusal("model.heads.quantiles=[0.2, 0.5, 0.8]"),
              HasSubstr("model.heads.quantiles: [0.1, 0.5, 0.9] there and [0.2, 0.5, 0.8] here"));
  EXPECT_FALSE(fs::exists(folder_ / fmt::format("second-{}", tried)));
  EXPECT_THAT(refusal("run.start=" + (folder_ / "nowhere").string()), HasSubstr("there is no folder"));
}

}  // namespace
}  // namespace shelfcast::trainer
