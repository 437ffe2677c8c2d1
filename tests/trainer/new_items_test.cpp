// Windows shown as those of new items: which ones, and what becomes of them.
#include "trainer/new_items.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/trainer/text_fixture.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kContext = 40, kHorizon = 3;

data::FeatureSpec small_spec() {
  data::FeatureSpec spec;
  spec.context = kContext;
  spec.horizon = kHorizon;
  spec.past_numeric.resize(2);
  spec.past_categorical.resize(1);
  spec.known_numeric.resize(1);
  spec.statics = {{"store", {"a"}}, {"item", {"x", "y"}}};
  return spec;
}

// Every number is its place in its array, and every category 2.
data::Batch numbered(const data::FeatureSpec& spec, std::int64_t windows, std::int64_t first_sample) {
  data::Batch batch;
  batch.resize(spec, windows);
  for (std::vector<float>* values : {&batch.context_bt, &batch.past_bnt, &batch.known_bnu, &batch.target_bh})
    for (std::size_t i = 0; i < values->size(); ++i) (*values)[i] = static_cast<float>(i + 1);
  for (std::vector<std::int32_t>* codes : {&batch.past_codes_bct, &batch.statics_bs})
    std::fill(codes->begin(), codes->end(), 2);
  for (std::int64_t b = 0; b < windows; ++b) batch.sample_b[static_cast<std::size_t>(b)] = first_sample + b;
  return batch;
}

// Steps of history that are left of a window.
std::int64_t kept_steps(const data::Batch& batch, std::int64_t row) {
  const auto begin = batch.context_bt.begin() + row * kContext;
  return std::count_if(begin, begin + kContext, [](float x) { return !std::isnan(x); });
}

TEST(NewItems, hide_the_history_and_the_item_of_their_share_and_nothing_else) {
  const data::FeatureSpec spec = small_spec();
  const data::Batch before = numbered(spec, 4000, 0);
  data::Batch batch = before;
  NewItems(0.25, 17, spec, "item").show(batch);
  std::int64_t hidden = 0, without = 0;
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    const std::int64_t kept = kept_steps(batch, row), gone = kContext - kept;
    hidden += gone > 0, without += kept == 0;
    ASSERT_TRUE(gone == 0 || kept <= 27);
    // The last steps are those that are left, and columns of the past go with the history.
    for (std::int64_t t = 0; t < kContext; ++t) {
      const auto cell = static_cast<std::size_t>(row * kContext + t);
      ASSERT_EQ(std::isnan(batch.context_bt[cell]), t < gone);
      ASSERT_EQ(batch.past_codes_bct[cell], t < gone ? 0 : 2);
      for (std::int64_t n = 0; n < 2; ++n) {
        const auto past = static_cast<std::size_t>((row * 2 + n) * kContext + t);
        ASSERT_EQ(std::isnan(batch.past_bnt[past]), t < gone);
        ASSERT_TRUE(t < gone || batch.past_bnt[past] == before.past_bnt[past]);
      }
    }
    ASSERT_EQ(batch.statics_bs[static_cast<std::size_t>(2 * row)], 2);
    ASSERT_EQ(batch.statics_bs[static_cast<std::size_t>(2 * row + 1)], gone > 0 ? 0 : 2);
  }
  EXPECT_NEAR(static_cast<double>(hidden), 1000.0, 100.0);
  EXPECT_NEAR(static_cast<double>(without), 500.0, 80.0);
  EXPECT_EQ(batch.known_bnu, before.known_bnu);
  EXPECT_EQ(batch.target_bh, before.target_bh);
}

TEST(NewItems, are_drawn_by_seed_and_sample_wherever_they_stand) {
  const data::FeatureSpec spec = small_spec();
  data::Batch whole = numbered(spec, 300, 0), part = numbered(spec, 100, 200), other = numbered(spec, 300, 0);
  NewItems(0.3, 17, spec, "item").show(whole);
  NewItems(0.3, 17, spec, "item").show(part);
  NewItems(0.3, 18, spec, "item").show(other);
  std::int64_t different = 0;
  for (std::int64_t row = 0; row < 100; ++row) {
    EXPECT_EQ(kept_steps(part, row), kept_steps(whole, 200 + row));
    different += kept_steps(other, row) != kept_steps(whole, row);
  }
  EXPECT_GT(different, 10);
}

TEST(NewItems, of_no_share_leave_a_batch_as_it_is) {
  const data::FeatureSpec spec = small_spec();
  data::Batch batch = numbered(spec, 50, 0);
  NewItems(0, 17, spec, "item").show(batch);
  for (std::int64_t row = 0; row < 50; ++row) EXPECT_EQ(kept_steps(batch, row), kContext);
}

class NewItemsInTraining : public Texts {};

TEST_F(NewItemsInTraining, resume_to_the_bit_and_do_not_depend_on_ranks_or_micro_batches) {
  const std::vector<std::string> some = {"train.new_items=0.4", "train.steps=12", "train.validate_every=6",
                                         "train.checkpoint_every=6"};
  const auto with = [&](const char* more) {
    std::vector<std::string> all = some;
    all.emplace_back(more);
    return all;
  };
  train_alone(text_recipe("whole", some));
  for (const std::int64_t stop : {5, 12})
    train_alone(text_recipe("parts", some), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  train_on(3, text_recipe("ranks", with("train.micro_batch=5")));
  EXPECT_LT(relative_distance(weights("ranks"), weights("whole")), 2e-4);
  train_alone(text_recipe("without", with("train.new_items=0")));
  EXPECT_GT(relative_distance(weights("without"), weights("whole")), 1e-2);
}

TEST_F(NewItemsInTraining, are_a_share_below_one) {
  EXPECT_THAT(message_of([&] { recipe("run", {"train.new_items=1"}); }), HasSubstr("train.new_items"));
  EXPECT_THAT(message_of([&] { recipe("run", {"train.new_items=-0.1"}); }), HasSubstr("train.new_items"));
}

}  // namespace
}  // namespace shelfcast::trainer
