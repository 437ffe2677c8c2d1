#include "trainer/ensemble_forecaster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shelfcast::trainer {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace shelfcast::trainer
