#include "trainer/ensemble_forecaster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shelfcast::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

// Says the same of every window, and remembers where it was refitted.
class Constant : public eval::Forecaster {
 public:
  Constant(float level, std::vector<std::int64_t>& refits) : level_(level), refits_(refits) {}
  const std::string& name() const override { return name_; }
  void refit(std::int64_t origin) override { refits_.push_back(origin); }
  void forecast(const data::Batch& /*batch*/, eval::ForecastValues& values) override {
    values = {.levels = {0.1, 0.9},
              .quantiles_bqh = {level_ - 1, level_ + 1},
              .mean_bh = {2 * level_},
              .median_bh = {level_}};
  }

 private:
  float level_;
  std::string name_ = "constant";
  std::vector<std::int64_t>& refits_;
};

TEST(Ensemble, forecasts_the_mean_of_its_members_and_refits_them_all) {
  std::vector<std::int64_t> refits;
  std::vector<std::unique_ptr<eval::Forecaster>> members;
  for (const float level : {1.0F, 2.0F, 6.0F}) members.push_back(std::make_unique<Constant>(level, refits));
  EnsembleForecaster ensemble("three", std::move(members));
  EXPECT_EQ(ensemble.name(), "three");
  ensemble.refit(7);
  EXPECT_THAT(refits, ElementsAre(7, 7, 7));
  eval::ForecastValues values;
  for (int again = 0; again < 2; ++again) {  // what was there before does not count
    ensemble.forecast({}, values);
    EXPECT_THAT(values.levels, ElementsAre(0.1, 0.9));
    EXPECT_THAT(values.quantiles_bqh, ElementsAre(2.0F, 4.0F));
    EXPECT_THAT(values.median_bh, ElementsAre(3.0F));
    EXPECT_THAT(values.mean_bh, ElementsAre(6.0F));
  }
}

// Speaks of sums, classes and stock on hand, too, or not.
class Wordy : public eval::Forecaster {
 public:
  Wordy(float level, bool says) : level_(level), says_(says) {}
  const std::string& name() const override { return name_; }
  bool says_sums() const override { return says_; }
  bool says_classes() const override { return says_; }
  bool says_inventory() const override { return says_; }
  void forecast(const data::Batch& /*batch*/, eval::ForecastValues& values) override {
    values = {.levels = {0.5}, .quantiles_bqh = {level_}, .mean_bh = {level_}, .median_bh = {level_}};
    if (!says_) return;
    values.cumulated_bqh = {3 * level_};
    values.classes_bch = {level_ / 10, 0, 1 - level_ / 10};
    values.inventory_bh = {10 * level_};
  }

 private:
  float level_;
  bool says_;
  std::string name_ = "wordy";
};

TEST(Ensemble, speaks_of_sums_classes_and_stock_where_all_its_members_do) {
  for (const bool says : {true, false}) {
    std::vector<std::unique_ptr<eval::Forecaster>> members;
    members.push_back(std::make_unique<Wordy>(2.0F, true));
    members.push_back(std::make_unique<Wordy>(4.0F, says));
    EnsembleForecaster ensemble("two", std::move(members));
    EXPECT_EQ(ensemble.says_sums(), says);
    EXPECT_EQ(ensemble.says_classes(), says);
    EXPECT_EQ(ensemble.says_inventory(), says);
    eval::ForecastValues values;
    ensemble.forecast({}, values);
    EXPECT_THAT(values.mean_bh, ElementsAre(3.0F));
    if (!says) {
      EXPECT_TRUE(values.cumulated_bqh.empty() && values.classes_bch.empty() && values.inventory_bh.empty());
      continue;
    }
    EXPECT_THAT(values.cumulated_bqh, ElementsAre(9.0F));
    EXPECT_THAT(values.classes_bch, ElementsAre(FloatEq(0.3F), 0.0F, FloatEq(0.7F)));
    EXPECT_THAT(values.inventory_bh, ElementsAre(30.0F));
  }
}

}  // namespace
}  // namespace shelfcast::trainer
