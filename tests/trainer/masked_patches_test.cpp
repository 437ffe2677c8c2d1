// Patches hidden in training: which, that it hangs on the sample and the step alone, and what training makes
// of it.
#include "trainer/masked_patches.h"

#include <cmath>
#include <limits>
#include <set>

#include "tests/trainer/training_fixture.h"

namespace shelfcast::trainer {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kContext = 42, kRead = 38, kPatch = 4;  // nine whole patches and two steps are read

data::Batch windows_of(std::int64_t count, std::int64_t first_sample) {
  data::FeatureSpec spec;
  spec.context = kContext;
  spec.horizon = 3;
  data::Batch batch;
  batch.resize(spec, count);
  for (std::size_t i = 0; i < batch.context_bt.size(); ++i)
    batch.context_bt[i] = i % kContext == 30 ? kMissing : static_cast<float>(i);
  for (std::int64_t b = 0; b < count; ++b) batch.sample_b[static_cast<std::size_t>(b)] = first_sample + b;
  return batch;
}

bool same(const float* a, const float* b) {
  return std::equal(a, a + kContext, b, [](float x, float y) { return x == y || (x != x && y != y); });
}

TEST(MaskedPatches, are_whole_patches_from_the_end_of_what_is_read_moved_from_one_array_to_the_other) {
  const MaskedPatches masked(0.3, 5, kContext, kRead, kPatch);
  constexpr std::int64_t kWindows = 2000;
  data::Batch batch = windows_of(kWindows, 0);
  const data::Batch before = batch;
  std::vector<float> hidden;
  masked.hide(batch, 7, hidden);
  ASSERT_EQ(hidden.size(), batch.context_bt.size());
  double patches = 0;
  for (std::int64_t b = 0; b < kWindows; ++b) {
    std::set<std::int64_t> taken;
    for (std::int64_t t = 0; t < kContext; ++t) {
      const auto cell = static_cast<std::size_t>(b * kContext + t);
      if (t == 30) {
        ASSERT_TRUE(std::isnan(batch.context_bt[cell]) && std::isnan(hidden[cell]));
        continue;
      }
      ASSERT_NE(std::isnan(batch.context_bt[cell]), std::isnan(hidden[cell]));
      ASSERT_EQ(std::isnan(hidden[cell]) ? batch.context_bt[cell] : hidden[cell], before.context_bt[cell]);
      if (!std::isnan(hidden[cell])) taken.insert(t);
    }
    EXPECT_TRUE(taken.empty() || *taken.begin() >= kContext - kRead);
    for (const std::int64_t t : taken) {
      const std::int64_t end = kContext - (kContext - 1 - t) / kPatch * kPatch;
      for (std::int64_t i = std::max(end - kPatch, kContext - kRead); i < end; ++i) {
        ASSERT_TRUE(i == 30 || taken.contains(i)) << t << " without " << i;
      }
      if (t + 1 == end || (t + 2 == end && t + 1 == 30)) patches += 1;
    }
  }
  EXPECT_NEAR(patches / (10.0 * kWindows), 0.3, 0.01);
}

TEST(MaskedPatches, hang_on_the_sample_and_the_step_alone) {
  const MaskedPatches masked(0.5, 5, kContext, kRead, kPatch);
  data::Batch all = windows_of(6, 10), part = windows_of(2, 13), later = windows_of(2, 13);
  std::vector<float> hidden, hidden_part, hidden_later;
  masked.hide(all, 7, hidden);
  masked.hide(part, 7, hidden_part);
  masked.hide(later, 8, hidden_later);
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t t = 0; t < kContext; ++t)
      EXPECT_EQ(std::isnan(hidden[static_cast<std::size_t>((b + 3) * kContext + t)]),
                std::isnan(hidden_part[static_cast<std::size_t>(b * kContext + t)]));
  EXPECT_FALSE(same(hidden_part.data(), hidden_later.data()));
}

TEST(MaskedPatches, leave_a_window_alone_where_nothing_would_be_left_of_it) {
  const MaskedPatches masked(0.999, 5, kContext, kContext, kPatch);
  data::Batch batch = windows_of(3, 0);
  const data::Batch before = batch;
  std::vector<float> hidden;
  masked.hide(batch, 1, hidden);
  for (std::int64_t b = 0; b < 3; ++b)
    EXPECT_TRUE(same(batch.context_bt.data() + b * kContext, before.context_bt.data() + b * kContext));
  EXPECT_TRUE(std::ranges::all_of(hidden, [](float x) { return std::isnan(x); }));
}

class MaskedTraining : public Training {
 protected:
  Recipe masked(const std::string& run, std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"train.masked=0.3", "model.heads.masked=true", "model.loss.masked=0.5"});
    return recipe(run, more);
  }
};

TEST_F(MaskedTraining, in_parts_is_the_whole_to_the_bit_and_on_ranks_the_same_within_rounding) {
  train_alone(masked("whole"));
  for (const std::int64_t stop : {10, 30})
    train_alone(masked("parts"), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  const std::vector<std::string> plain = {"train.optimizer.name=sgd", "train.optimizer.lr=0.01",
                                          "train.steps=6", "train.validate_every=6"};
  train_alone(masked("one", plain));
  std::vector<std::string> cut = plain;
  cut.emplace_back("train.micro_batch=5");
  train_on(3, masked("ranks", cut));
  EXPECT_LT(relative_distance(weights("one"), weights("ranks")), 1e-5);
}

// The loss of hidden steps is that of the mean of what can be seen, at first, and falls below it.
TEST_F(MaskedTraining, learns_to_fill_in_what_is_hidden) {
  const auto mean_loss = [&](const std::string& run, std::size_t first, std::size_t count) {
    std::vector<double> losses;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("loss")) losses.push_back(line.at("loss").get<double>());
    double sum = 0;
    for (std::size_t i = first; i < first + count; ++i) sum += losses.at(i);
    return sum / static_cast<double>(count);
  };
  train_alone(recipe("filled", {"train.masked=0.3", "model.heads.masked=true", "model.loss.masked=1",
                                "model.loss.quantile=0.000001", "model.loss.mean=0", "train.steps=150",
                                "train.log_every=1", "train.optimizer.lr=0.01", "model.dropout=0"}));
  EXPECT_LT(mean_loss("filled", 130, 20), 0.8 * mean_loss("filled", 0, 5));
}

TEST_F(MaskedTraining, what_cannot_be_is_refused_by_name) {
  const auto refused = [&](const std::vector<std::string>& settings) {
    return message_of([&] { train_alone(recipe("x", settings)); });
  };
  EXPECT_NE(refused({"train.masked=0.3"}).find("nobody fills in"), std::string::npos);
  EXPECT_NE(refused({"model.heads.masked=true", "model.loss.masked=1"}).find("train.masked is 0"),
            std::string::npos);
  EXPECT_NE(
      refused({"train.task=masked_language", "model.text=somewhere", "tune.text=all", "train.masked=0.3"})
          .find("there are no histories"),
      std::string::npos);
  // Neither leaves a folder behind.
  EXPECT_NE(refused({"model.groups=true"}).find("the tower has no groups"), std::string::npos);
  EXPECT_NE(refused({"model.level=true", "data.static=[]"}).find("nothing to tell a level by"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  EXPECT_NE(refused({"train.masked=0.3", "model.heads.masked=true", "model.loss.masked=1", "data.context=7"})
                .find("a history is a single patch"),
            std::string::npos);
  EXPECT_NE(refused({"train.masked=1"}).find("train.masked must be"), std::string::npos);
  EXPECT_NE(refused({"data.inventory=visits"}).find("nobody forecasts it"), std::string::npos);
  EXPECT_NE(refused({"model.heads.inventory=true", "model.loss.inventory=1"}).find("data.inventory is empty"),
            std::string::npos);
}

}  // namespace
}  // namespace shelfcast::trainer
