// Training with a moving average of weights, and with Adafactor's factored state.
#include "tests/trainer/training_fixture.h"

namespace shelfcast::trainer {
namespace {

class AveragedTraining : public Training {
 protected:
  static std::vector<double> validations(const fs::path& run) {
    std::vector<double> losses;
    for (const auto& line : read_lines(run / "metrics.jsonl"))
      if (line.contains("validation_loss")) losses.push_back(line.at("validation_loss").get<double>());
    return losses;
  }
};

TEST_F(AveragedTraining, ten_and_twenty_steps_are_thirty_to_the_bit_on_two_ranks_with_either_optimizer) {
  for (const std::string name : {"adamw", "adafactor"}) {
    const std::vector<std::string> more = {"train.ema=0.9", "train.optimizer.name=" + name};
    train_on(2, recipe("whole-" + name, more));
    for (const std::int64_t stop : {10, 30})
      train_on(2, recipe("parts-" + name, more), {.resume = Resume::automatic, .stop_after = stop});
    EXPECT_EQ(weights("whole-" + name), weights("parts-" + name));
    EXPECT_EQ(validations(folder_ / ("whole-" + name)), validations(folder_ / ("parts-" + name)));
  }
}

TEST_F(AveragedTraining, what_is_validated_and_stored_is_the_average_while_the_weights_go_on) {
  train_alone(recipe("still", {"train.ema=0.9999999"}));
  train_alone(recipe("moving", {}));
  const std::vector<double> still = validations(folder_ / "still"), moving = validations(folder_ / "moving");
  ASSERT_EQ(still.size(), 3U);
  EXPECT_NEAR(still[0], still[2], 1e-4 * still[0]);
  EXPECT_LT(moving[2], 0.95 * moving[0]);
  // Training itself saw the same weights in both.
  const auto last_loss = [&](const std::string& run) {
    double loss = 0;
    for (const auto& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("loss")) loss = line.at("loss").get<double>();
    return loss;
  };
  EXPECT_EQ(last_loss("still"), last_loss("moving"));
  const Checkpoints checkpoints(folder_ / "still/checkpoints");
  const fs::path newest = checkpoints.path_of(30);
  const std::vector<float> stored =
      SafetensorsFile(newest / "tower/model.safetensors").at("shared.weight").to_float();
  const std::vector<float> trained =
      SafetensorsFile(newest / optimizer_file(0, 1)).at("tower.shared.weight.weights").to_float();
  EXPECT_GT(relative_distance(stored, trained), 1e-3);
  EXPECT_EQ(trained, SafetensorsFile(Checkpoints(folder_ / "moving/checkpoints").path_of(30) /
                                     "tower/model.safetensors")
                         .at("shared.weight")
                         .to_float());
}

TEST_F(AveragedTraining, what_cannot_be_is_an_error_that_names_the_key) {
  EXPECT_NE(message_of([&] { recipe("x", {"train.ema=1"}); }).find("train.ema"), std::string::npos);
  EXPECT_NE(message_of([&] { recipe("x", {"train.optimizer.clip_threshold=0"}); }).find("clip_threshold"),
            std::string::npos);
  EXPECT_NE(message_of([&] { recipe("x", {"train.optimizer.moment_decay=-1"}); }).find("moment_decay"),
            std::string::npos);
  EXPECT_NE(message_of([&] { recipe("x", {"train.optimizer.name=adam"}); }).find("adamw, sgd or adafactor"),
            std::string::npos);
}

}  // namespace
}  // namespace shelfcast::trainer
