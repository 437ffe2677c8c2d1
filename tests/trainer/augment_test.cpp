// Windows changed at random: what each change does, and that it hangs on the sample and the step alone.
#include "trainer/augment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/trainer/training_fixture.h"

namespace shelfcast::trainer {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t kContext = 40, kHorizon = 3;

data::FeatureSpec spec_of(bool censored = false) {
  data::FeatureSpec spec;
  spec.context = kContext;
  spec.horizon = kHorizon;
  spec.known_numeric.resize(1);
  spec.censored = censored ? "stockout" : "";
  return spec;
}

// Ramps, the same in every window; two steps are not observed.
data::Batch ramps(const data::FeatureSpec& spec, std::int64_t windows, std::int64_t first_sample) {
  data::Batch batch;
  batch.resize(spec, windows);
  for (std::int64_t b = 0; b < windows; ++b) {
    for (std::int64_t t = 0; t < kContext; ++t)
      batch.context_bt[static_cast<std::size_t>(b * kContext + t)] =
          t == 5 || t == 6 ? kMissing : static_cast<float>(t);
    for (std::int64_t h = 0; h < kHorizon; ++h)
      batch.target_bh[static_cast<std::size_t>(b * kHorizon + h)] = static_cast<float>(kContext + h);
    batch.sample_b[static_cast<std::size_t>(b)] = first_sample + b;
  }
  return batch;
}

std::vector<float> row(const std::vector<float>& values, std::int64_t b, std::int64_t width) {
  return {values.begin() + b * width, values.begin() + (b + 1) * width};
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

TEST(Augment, a_warp_of_a_ramp_is_the_piecewise_ramp_with_the_same_ends) {
  std::vector<float> values(21);
  std::iota(values.begin(), values.end(), 0.0F);
  // 5 of 20 steps become 10, and 25 become 20 again: time runs 25/20 as fast outside, half of that inside.
  warp_window(values, 10, 5, 2.0);
  for (std::size_t i = 0; i <= 20; ++i) {
    const double at = 1.25 * static_cast<double>(i);
    const double expected = at <= 10 ? at : at < 20 ? 10 + (at - 10) / 2 : at - 5;
    EXPECT_NEAR(values[i], expected, 1e-5) << i;
  }
  std::iota(values.begin(), values.end(), 0.0F);
  warp_window(values, 4, 8, 0.5);
  for (std::size_t i = 0; i <= 20; ++i) {
    const double at = 0.8 * static_cast<double>(i);
    const double expected = at <= 4 ? at : at < 8 ? 4 + (at - 4) * 2 : at + 4;
    EXPECT_NEAR(values[i], expected, 1e-5) << i;
  }
}

TEST(Augment, what_was_not_observed_spreads_to_its_neighbours_in_a_warp_and_stays_alone_in_jitter) {
  std::vector<float> values = {0, 1, 2, kMissing, 4, 5, 6, 7, 8};
  std::vector<float> jittered = values;
  warp_window(values, 5, 2, 2.0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at = static_cast<double>(i) * 10.0 / 8.0;
    EXPECT_EQ(std::isnan(values[i]), at > 2 && at < 4) << i;
  }
  jitter(jittered, 0.1, 7);
  for (std::size_t i = 0; i < jittered.size(); ++i) EXPECT_EQ(std::isnan(jittered[i]), i == 3) << i;
}

TEST(Augment, jitter_is_normal_in_units_of_the_windows_own_deviation) {
  std::vector<float> values(20000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 6.0F : 14.0F;  // deviation 4
  const std::vector<float> before = values;
  jitter(values, 0.25, 3);
  double sum = 0, squares = 0, beyond = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double change = values[i] - before[i];
    sum += change;
    squares += change * change;
    beyond += std::abs(change) > 1.96 ? 1 : 0;
  }
  const auto n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.03);
  EXPECT_NEAR(squares / n, 1.0, 0.04);
  EXPECT_NEAR(beyond / n, 0.05, 0.006);
  std::vector<float> flat(10, 3.0F);
  jitter(flat, 0.25, 3);
  EXPECT_EQ(flat, std::vector<float>(10, 3.0F));
}

TEST(Augment, scaling_multiplies_history_targets_and_bounds_of_its_share_by_one_lognormal_factor) {
  const data::FeatureSpec spec = spec_of(true);
  data::Batch batch = ramps(spec, 4000, 0);
  std::fill(batch.bound_bh.begin(), batch.bound_bh.end(), 2.0F);
  const data::Batch before = batch;
  Augment({.share = 0.25, .scale = 0.1}, 17, spec).change(batch, 3, {});
  std::int64_t changed = 0;
  double sum = 0, squares = 0;
  for (std::int64_t b = 0; b < batch.windows; ++b) {
    const auto at = [&](const std::vector<float>& values, std::int64_t i, std::int64_t width) {
      return values[static_cast<std::size_t>(b * width + i)];
    };
    const double factor = at(batch.context_bt, 20, kContext) / 20.0;
    for (std::int64_t t = 7; t < kContext; ++t)
      ASSERT_NEAR(at(batch.context_bt, t, kContext) / static_cast<double>(t), factor, 1e-5);
    ASSERT_NEAR(at(batch.target_bh, 1, kHorizon) / 41.0, factor, 1e-5);
    ASSERT_NEAR(at(batch.bound_bh, 1, kHorizon) / 2.0, factor, 1e-5);
    if (factor == 1.0) continue;
    ++changed;
    sum += std::log(factor);
    squares += std::log(factor) * std::log(factor);
  }
  EXPECT_NEAR(static_cast<double>(changed), 1000.0, 100.0);
  EXPECT_NEAR(sum / static_cast<double>(changed), 0.0, 0.012);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(changed)), 0.1, 0.01);
  EXPECT_TRUE(same(batch.known_bnu, before.known_bnu));
}

TEST(Augment, is_drawn_by_seed_step_and_sample_wherever_a_window_stands) {
  const data::FeatureSpec spec = spec_of();
  const AugmentConfig config{.share = 0.5, .jitter = 0.1, .scale = 0.2, .warp = 0.25};
  data::Batch whole = ramps(spec, 60, 0), part = ramps(spec, 20, 40), later = ramps(spec, 60, 0),
              other = ramps(spec, 60, 0);
  Augment(config, 17, spec).change(whole, 3, {});
  Augment(config, 17, spec).change(part, 3, {});
  Augment(config, 17, spec).change(later, 4, {});
  Augment(config, 18, spec).change(other, 3, {});
  std::int64_t changed = 0;
  for (std::int64_t b = 0; b < 20; ++b) {
    const std::vector<float> here = row(whole.context_bt, 40 + b, kContext);
    EXPECT_TRUE(same(here, row(part.context_bt, b, kContext)));
    EXPECT_EQ(row(whole.target_bh, 40 + b, kHorizon), row(part.target_bh, b, kHorizon));
    changed += same(here, row(ramps(spec, 1, 0).context_bt, 0, kContext)) ? 0 : 1;
  }
  EXPECT_GT(changed, 3);
  EXPECT_LT(changed, 17);
  EXPECT_FALSE(same(whole.context_bt, later.context_bt));
  EXPECT_FALSE(same(whole.context_bt, other.context_bt));
}

// Windows of one shape in three sizes, and partners of another.
struct Mixed {
  data::FeatureSpec spec = spec_of(true);
  data::Batch batch, partners;

  explicit Mixed(std::int64_t windows) {
    spec.past_numeric.resize(1);
    for (data::Batch* one : {&batch, &partners}) one->resize(spec, windows);
    for (std::int64_t b = 0; b < windows; ++b) {
      batch.sample_b[static_cast<std::size_t>(b)] = partners.sample_b[static_cast<std::size_t>(b)] = b;
      for (std::int64_t t = 0; t < kContext; ++t) {
        batch.context_bt[static_cast<std::size_t>(b * kContext + t)] =
            static_cast<float>((b % 3 + 1) * (1 + t % 2));  // mean 1.5 of its size
        partners.context_bt[static_cast<std::size_t>(b * kContext + t)] =
            t == 5 ? kMissing : 10.0F * static_cast<float>(t == 4 ? 1 + kContext - 1 : 1);  // mean 20
        batch.past_bnt[static_cast<std::size_t>(b * kContext + t)] = 1.0F;
        partners.past_bnt[static_cast<std::size_t>(b * kContext + t)] = -1.0F;
      }
      for (std::int64_t h = 0; h < kHorizon; ++h) {
        batch.target_bh[static_cast<std::size_t>(b * kHorizon + h)] = static_cast<float>(b % 3 + 1);
        partners.target_bh[static_cast<std::size_t>(b * kHorizon + h)] = 30.0F;
      }
    }
  }
};

TEST(Augment,
     a_mixed_window_is_mostly_its_own_history_and_targets_and_numbers_and_the_rest_anothers_in_its_size) {
  Mixed mixed(3000);
  const data::Batch before = mixed.batch;
  const double partner_mean = 10.0 * (38 + 40) / 39.0;
  Augment({.share = 0.5, .mix = 1.0}, 17, mixed.spec).change(mixed.batch, 3, mixed.partners);
  std::int64_t changed = 0;
  double sum = 0, least = 1;
  for (std::int64_t b = 0; b < mixed.batch.windows; ++b) {
    const auto at = [b](const std::vector<float>& values, std::int64_t i, std::int64_t width) {
      return static_cast<double>(values[static_cast<std::size_t>(b * width + i)]);
    };
    const double size = static_cast<double>(b % 3 + 1) * 1.5;
    if (!std::isnan(at(mixed.batch.context_bt, 5, kContext))) {
      ASSERT_EQ(at(mixed.batch.past_bnt, 0, kContext), 1.0);
      ASSERT_EQ(at(mixed.batch.target_bh, 0, kHorizon), at(before.target_bh, 0, kHorizon));
      continue;
    }
    ++changed;
    const double share = (at(mixed.batch.past_bnt, 7, kContext) + 1) / 2;  // 1 s - 1 (1 - s)
    ASSERT_GE(share, 0.5 - 1e-6);
    ASSERT_LE(share, 1.0);
    sum += share;
    least = std::min(least, share);
    for (const std::int64_t t : {0, 1, 4, 39})
      ASSERT_NEAR(at(mixed.batch.context_bt, t, kContext),
                  share * at(before.context_bt, t, kContext) +
                      (1 - share) * size / partner_mean * at(mixed.partners.context_bt, t, kContext),
                  1e-4);
    ASSERT_NEAR(at(mixed.batch.target_bh, 2, kHorizon),
                share * at(before.target_bh, 2, kHorizon) + (1 - share) * size / partner_mean * 30.0, 1e-4);
  }
  // The larger part of a uniform cut is uniform in [1/2, 1].
  EXPECT_NEAR(static_cast<double>(changed), 1500.0, 120.0);
  EXPECT_NEAR(sum / static_cast<double>(changed), 0.75, 0.015);
  EXPECT_LT(least, 0.51);
}

TEST(Augment, a_partner_of_the_same_shape_in_another_size_changes_nothing) {
  Mixed mixed(50);
  mixed.partners = mixed.batch;
  for (float& value : mixed.partners.context_bt) value *= 7.0F;
  for (float& value : mixed.partners.target_bh) value *= 7.0F;
  const data::Batch before = mixed.batch;
  Augment({.share = 1, .mix = 0.3}, 17, mixed.spec).change(mixed.batch, 3, mixed.partners);
  for (std::size_t i = 0; i < before.context_bt.size(); ++i)
    ASSERT_NEAR(mixed.batch.context_bt[i], before.context_bt[i], 1e-5);
  for (std::size_t i = 0; i < before.target_bh.size(); ++i)
    ASSERT_NEAR(mixed.batch.target_bh[i], before.target_bh[i], 1e-5);
}

TEST(Augment, nothing_is_mixed_in_by_a_partner_that_never_sold_or_into_a_window_that_never_did) {
  Mixed mixed(50);
  const data::Batch before = mixed.batch;
  std::fill(mixed.partners.context_bt.begin(), mixed.partners.context_bt.end(), 0.0F);
  Augment({.share = 1, .mix = 1}, 17, mixed.spec).change(mixed.batch, 3, mixed.partners);
  EXPECT_EQ(mixed.batch.context_bt, before.context_bt);
  EXPECT_EQ(mixed.batch.target_bh, before.target_bh);
  std::fill(mixed.partners.context_bt.begin(), mixed.partners.context_bt.end(), kMissing);
  Augment({.share = 1, .mix = 1}, 17, mixed.spec).change(mixed.batch, 3, mixed.partners);
  EXPECT_EQ(mixed.batch.context_bt, before.context_bt);
}

TEST(Augment, a_sum_of_sales_and_of_cut_sales_is_known_from_below) {
  // Observed and observed, cut and observed, observed and cut, both cut, missing and observed.
  std::vector<float> targets = {4, kMissing, 4, kMissing, kMissing},
                     bounds = {kMissing, 6, kMissing, 6, kMissing};
  const std::vector<float> others = {10, 10, kMissing, kMissing, 10},
                           other_bounds = {kMissing, kMissing, 20, 20, kMissing};
  mix_targets(targets, bounds, others, other_bounds, 0.75, 0.5);
  EXPECT_TRUE(same(targets, {8, kMissing, kMissing, kMissing, kMissing}));
  EXPECT_TRUE(same(bounds, {kMissing, 9.5, 13, 14.5, kMissing}));
}

TEST(Augment, is_off_unless_an_amount_is_given) {
  EXPECT_FALSE(AugmentConfig{}.active());
  EXPECT_FALSE((AugmentConfig{.share = 0, .jitter = 1}.active()));
  const data::FeatureSpec spec = spec_of();
  data::Batch batch = ramps(spec, 10, 0);
  Augment({}, 17, spec).change(batch, 3, {});
  EXPECT_TRUE(same(batch.context_bt, ramps(spec, 10, 0).context_bt));
}

class Augmented : public Training {
 protected:
  Recipe augmented(const std::string& run, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"train.augment.jitter=0.1", "train.augment.scale=0.2",
                               "train.augment.warp=0.3", "train.augment.mix=0.4"});
    return recipe(run, more);
  }
};

TEST_F(Augmented, training_in_parts_is_the_whole_to_the_bit_and_on_ranks_the_same_within_rounding) {
  train_alone(augmented("whole"));
  for (const std::int64_t stop : {10, 30})
    train_alone(augmented("parts"), {.resume = Resume::automatic, .stop_after = stop});
  EXPECT_EQ(weights("whole"), weights("parts"));
  train_alone(recipe("plain"));
  EXPECT_GT(relative_distance(weights("whole"), weights("plain")), 1e-3);
  // By plain descent: AdamW makes whole steps of gradients that are nothing but rounding.
  const std::vector<std::string> descent = {"train.optimizer.name=sgd", "train.optimizer.lr=0.02",
                                            "train.optimizer.momentum=0"};
  train_alone(augmented("one", descent));
  std::vector<std::string> cut = descent;
  cut.emplace_back("train.micro_batch=5");
  train_on(2, augmented("ranks", cut));
  EXPECT_LT(relative_distance(weights("one"), weights("ranks")), 1e-5);
}

TEST_F(Augmented, amounts_that_cannot_be_are_refused_by_name) {
  for (const char* setting : {"share=1.5", "jitter=-0.1", "scale=-1", "warp=1", "mix=-1", "tokens=1"})
    EXPECT_NE(
        message_of([&] { recipe("x", {std::string("train.augment.") + setting}); }).find("train.augment."),
        std::string::npos)
        << setting;
  EXPECT_NE(message_of([&] {
              recipe("x", {"train.augment.mix=1", "data.shots=3"});
            }).find("data.shots"),
            std::string::npos);
  EXPECT_NE(message_of([&] { recipe("x", {"train.augment.tokens=0.2"}); }).find("tune.text is frozen"),
            std::string::npos);
}

}  // namespace
}  // namespace shelfcast::trainer
