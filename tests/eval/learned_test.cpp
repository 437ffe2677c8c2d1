// Learned baselines: features by direct loops, ridge against its normal equations, and what they learn.
#include "eval/baselines/learned/learned.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "eval/backtest.h"
#include "eval/baselines/learned/features.h"
#include "eval/baselines/learned/ridge.h"
#include "eval/baselines/learned/trees.h"
#include "parallel/communicator.h"
#include "parallel/launch.h"
#include "tests/data/small_corpus.h"
#include "tests/eval/market.h"

namespace shelfcast::eval {
namespace {

class Learned : public ::testing::Test {
 protected:
  data::testing::TemporaryFolder folder_;
  Market market_;
};

std::map<std::string, float> row_of(const FeatureMaker& maker, std::int64_t series, std::int64_t origin,
                                    std::int64_t ahead, double* base = nullptr) {
  std::vector<float> row(maker.names().size());
  const double level = maker.make(series, origin, ahead, row.data());
  if (base != nullptr) *base = level;
  std::map<std::string, float> named;
  for (std::size_t i = 0; i < row.size(); ++i) named[maker.names()[i]] = row[i];
  return named;
}

TEST_F(Learned, features_are_what_direct_loops_over_the_past_say) {
  const auto corpus = market_.write(folder_.path());
  FeatureMaker maker(corpus, Market::features(corpus), 7);
  maker.load(2, 6);
  for (const auto& [s, asked, offset] : std::vector<std::array<std::int64_t, 3>>{{2, 150, 0},
                                                                                 {5, 151, 9},
                                                                                 {7, 60, 13},
                                                                                 {7, 61, 2},
                                                                                 {7, 62, 2},
                                                                                 {7, 63, 2},
                                                                                 {7, 64, 2},
                                                                                 {7, 65, 2},
                                                                                 {7, 66, 2},
                                                                                 {7, 67, 2},
                                                                                 {7, 68, 2}}) {
    double base = 0.0;
    const auto row = row_of(maker, s, asked, offset, &base);
    const std::int64_t step = asked + offset;
    std::int64_t origin = asked;
    while (std::isnan(market_.demand(s, origin - 1))) --origin;  // seen from after the last observed step
    const std::int64_t ahead = step - origin;
    const auto mean = [&](const auto& of) {
      double sum = 0.0, count = 0.0;
      for (std::int64_t t = 0; t < origin; ++t)
        if (const float y = market_.demand(s, t); !std::isnan(y) && of(t)) sum += y, count += 1.0;
      return sum / count;
    };
    const double alike = mean([&](std::int64_t t) {
      return t % 7 == step % 7 && market_.promo(s, t) == market_.promo(s, step) && t >= origin - 182;
    });
    EXPECT_NEAR(base, alike, 1e-9 * alike);
    const auto relative = [&](double x) { return static_cast<float>(std::log1p(x) - std::log1p(base)); };
    EXPECT_FLOAT_EQ(row.at("ahead"), static_cast<float>(ahead));
    EXPECT_FLOAT_EQ(row.at("promo"), market_.promo(s, step));
    EXPECT_FLOAT_EQ(row.at("promo after"), market_.promo(s, step + 1));
    EXPECT_FLOAT_EQ(row.at("store"), static_cast<float>(s % 2));
    EXPECT_FLOAT_EQ(row.at("size"), market_.size(s));
    EXPECT_FLOAT_EQ(row.at("last mood"), market_.mood(s, origin - 1));
    EXPECT_FLOAT_EQ(row.at("mean of 4 seasons"),
                    relative(mean([&](std::int64_t t) { return t >= origin - 28; })));
    EXPECT_FLOAT_EQ(row.at("same step in 4 seasons"),
                    relative(mean([&](std::int64_t t) { return t >= origin - 28 && t % 7 == step % 7; })));
    std::int64_t lag = step - 7;
    while (lag >= origin) lag -= 7;
    const float last = market_.demand(s, lag);
    if (std::isnan(last))
      EXPECT_TRUE(std::isnan(row.at("same step, 1 seasons back")));
    else
      EXPECT_FLOAT_EQ(row.at("same step, 1 seasons back"), relative(last));
  }
}

TEST_F(Learned, features_do_not_see_the_future) {
  const auto corpus = market_.write(folder_.path());
  const data::FeatureSpec spec = Market::features(corpus);
  const auto rows = [&] {
    FeatureMaker maker(corpus, spec, 7);
    maker.load(0, 12);
    std::vector<float> all;
    for (std::int64_t s = 0; s < 12; ++s)
      for (std::int64_t h = 0; h < 14; ++h) {
        std::vector<float> row(maker.names().size());
        all.push_back(static_cast<float>(maker.make(s, 160, h, row.data())));
        all.insert(all.end(), row.begin(), row.end());
      }
    for (float& x : all) x = std::isnan(x) ? -99.0F : x;
    return all;
  };
  const std::vector<float> before = rows();
  std::filesystem::remove_all(corpus);
  market_.write(folder_.path(), [](std::int64_t t) { return t >= 160; });
  EXPECT_EQ(rows(), before);
}

TEST(Ridge, weights_solve_the_penalised_normal_equations) {
  // Independent columns with known moments: the fitted line is worked out by hand from sums.
  LearningTable table;
  table.columns = 2;
  RandomStream random(5);
  std::vector<double> x, y;
  for (int i = 0; i < 400; ++i) {
    x.push_back(random.normal());
    const bool b = i % 2 == 0;
    y.push_back(3.0 * x.back() + (b ? 2.0 : -1.0) + 0.1 * random.normal());
    table.features.push_back(static_cast<float>(x.back()));
    table.features.push_back(b ? 7.0F : 9.0F);
    table.targets.push_back(static_cast<float>(y.back()));
  }
  const auto model = load_ridge(fit_ridge(table, {false, true}, 1e-9));
  const auto at = [&](float number, float value) {
    const std::array<float, 2> row{number, value};
    float out = 0.0F;
    model->predict(row.data(), 1, 1, &out);
    return out;
  };
  EXPECT_NEAR(at(1.0F, 7.0F), 5.0F, 0.03F);
  EXPECT_NEAR(at(1.0F, 9.0F), 2.0F, 0.03F);
  EXPECT_NEAR(at(-0.5F, 7.0F), 0.5F, 0.03F);
  EXPECT_NEAR(at(kNever, 11.0F), 0.5F, 0.2F) << "an unknown number and a value never seen: the middle";
  EXPECT_LT(at(1000.0F, 7.0F), 14.0F) << "cut at three deviations";
  // A heavy penalty leaves the constant alone.
  const auto flat = load_ridge(fit_ridge(table, {false, true}, 1e9));
  const std::array<float, 2> row{5.0F, 7.0F};
  float out = 0.0F;
  flat->predict(row.data(), 1, 1, &out);
  double mean = 0.0;
  for (const double value : y) mean += value / 400.0;
  EXPECT_NEAR(out, mean, 1e-3);
}

TEST(Trees, survive_the_way_through_bytes_and_predict_rows_one_by_one) {
  LearningTable table;
  table.columns = 2;
  RandomStream random(6);
  for (int i = 0; i < 500; ++i) {
    const auto a = static_cast<float>(random.uniform()), b = static_cast<float>(random.uniform());
    table.features.insert(table.features.end(), {a, i % 5 == 0 ? kNever : b});
    table.targets.push_back(a > 0.5F ? 10.0F : -10.0F);
  }
  int rounds = 0;
  const auto bytes =
      fit_trees(table, {{{"objective", "reg:squarederror"}, {"max_depth", "2"}, {"eta", "0.5"}}, 20}, 2,
                [&] { ++rounds; });
  EXPECT_EQ(rounds, 20);
  const auto model = load_trees(bytes, 2);
  std::vector<float> all(500), alone(1);
  model->predict(table.features.data(), 500, 2, all.data());
  for (int i = 0; i < 500; ++i) {
    EXPECT_NEAR(all[i], table.targets[i], 0.5F);
    model->predict(table.features.data() + 2 * i, 1, 1, alone.data());
    EXPECT_EQ(alone[0], all[i]);
  }
  EXPECT_THROW(fit_trees(table, {{{"objective", "no such"}}, 1}, 1), Error);
}

class LearnedBacktest : public Learned {
 protected:
  BacktestResult judge(parallel::Communicator& communicator) const {
    BacktestConfig config;
    config.origins = 2;
    config.stride = 14;
    config.horizon = 14;
    config.batch = 5;
    config.baselines = {"seasonal_naive", "ridge", "random_forest", "boosting"};
    config.threads = 1;
    config.learned_rows = 4000;
    config.learned_rounds = 60;
    config.by = {};
    config.bootstrap = 0;
    config.fans = 0;
    return run_backtest(config, corpus_, Market::features(corpus_), {}, 150, communicator);
  }
  std::filesystem::path corpus_ = market_.write(folder_.path());
};

TEST_F(LearnedBacktest, they_learn_what_a_promotion_does_and_every_rank_says_the_same) {
  const auto alone = parallel::make_single();
  ::testing::internal::CaptureStdout();
  const BacktestResult one = judge(*alone);
  // Of 4,000 for all series each has its share, and what was not observed is left out.
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              ::testing::ContainsRegex("learned baselines: [0-9]+ rows drawn from before "));
  ASSERT_EQ(one.forecasters.size(), 4U);
  const auto mae = [&](std::size_t i) { return *one.forecasters[i].overall.score("mae").value; };
  EXPECT_EQ(one.forecasters[3].name, "Gradient boosting");
  for (std::size_t i = 1; i < 4; ++i) EXPECT_LT(mae(i), 0.3 * mae(0)) << one.forecasters[i].name;
  for (const int ranks : {2, 3}) {
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      const BacktestResult result = judge(communicator);
      for (std::size_t i = 0; i < 4; ++i)
        EXPECT_EQ(*result.forecasters[i].overall.score("mse").value,
                  *one.forecasters[i].overall.score("mse").value)
            << result.forecasters[i].name << " on " << ranks;
    });
  }
}

TEST_F(LearnedBacktest, too_little_to_learn_from_is_said) {
  BacktestConfig config;
  config.origins = 1;
  config.horizon = 14;
  config.baselines = {"ridge"};
  config.learned_rows = 12;
  config.by = {};
  const auto alone = parallel::make_single();
  data::testing::expect_error(ErrorKind::input, {"rows to learn from", "backtest.baselines"}, [&] {
    run_backtest(config, corpus_, Market::features(corpus_), {}, 150, *alone);
  });
}

}  // namespace
}  // namespace shelfcast::eval
