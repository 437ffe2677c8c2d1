#include "eval/hierarchy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "eval/backtest.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// M5 in small: two states, three stores, two categories of two departments with two items each; item i and
// store s have series 8 s + i. Missing before a launch, zeros, gaps, a series that never sold, one of no
// change.
struct SmallM5 {
  static constexpr std::int64_t kSeries = 24, kSteps = 80, kItems = 8;
  std::vector<float> demand, price;
  std::vector<std::vector<std::int32_t>> codes;  // item, dept, cat, store, state

  SmallM5() {
    codes.resize(5);
    for (std::int64_t s = 0; s < kSeries; ++s) {
      const auto item = static_cast<std::int32_t>(s % kItems), store = static_cast<std::int32_t>(s / kItems);
      const std::vector<std::int32_t> facts{item, item / 2, item / 4, store, store / 2};
      for (std::size_t f = 0; f < 5; ++f) codes[f].push_back(facts[f]);
      for (std::int64_t t = 0; t < kSteps; ++t) {
        const std::int64_t noise = (s * 37 + t * 101 + (t * t) % 13) % 7;
        float value = static_cast<float>(std::max<std::int64_t>(0, noise - 2 + (t % 7 == 5 ? 3 : 0)));
        if (s == 3) value = 0;
        if (s == 11) value = 2;
        const bool missing = (s == 5 && t < 30) || (s == 7 && t >= 60 && t < 64) || (s == 14 && t == 75);
        demand.push_back(missing ? kNan : value);
        price.push_back(s == 9 && t > 50 ? kNan : 1.0F + static_cast<float>((s * 5 + t / 7) % 4));
      }
    }
  }
  double at(std::int64_t s, std::int64_t t) const { return demand[static_cast<std::size_t>(s * kSteps + t)]; }
  double price_at(std::int64_t s, std::int64_t t) const {
    return price[static_cast<std::size_t>(s * kSteps + t)];
  }

  void write(const std::filesystem::path& folder, bool without_state = false) const {
    data::CorpusInfo info;
    info.name = "small m5";
    info.axis.start = *parse_date("2024-01-01");
    info.steps = info.demand_end = kSteps;
    info.series = kSeries;
    info.covariates = {{"price", data::Role::known, data::Kind::numeric, "series", {}}};
    const std::vector<std::string> names{"item", "dept", "cat", "store", "state"};
    data::SeriesTable table;
    for (std::size_t f = 0; f < 5; ++f) {
      std::vector<std::string> vocabulary;
      for (int v = 0; v < 8; ++v) vocabulary.push_back(names[f] + std::to_string(v));
      info.statics.push_back({names[f], data::Kind::categorical, vocabulary});
    }
    for (std::int64_t s = 0; s < kSeries; ++s) table.names.push_back("series-" + std::to_string(s));
    table.codes = codes;
    if (without_state) table.codes[4][13] = -1;
    table.values.resize(5);
    data::CorpusWriter writer(folder, info, table, {});
    const std::vector<std::vector<float>> covariates{price};
    writer.append(kSeries, demand, covariates);
    writer.finish();
  }
};

// Two levels of facts by which each of the twelve levels adds up, as in the competition's guide.
const std::vector<std::pair<std::string, std::vector<int>>> kTwelve{{"all", {}},
                                                                    {"state", {4}},
                                                                    {"store", {3}},
                                                                    {"cat", {2}},
                                                                    {"dept", {1}},
                                                                    {"state+cat", {4, 2}},
                                                                    {"state+dept", {4, 1}},
                                                                    {"store+cat", {3, 2}},
                                                                    {"store+dept", {3, 1}},
                                                                    {"item", {0}},
                                                                    {"item+state", {0, 4}},
                                                                    {"item+store", {0, 3}}};

// WRMSSE of one level at one origin for forecasts of 0.5 + the last value a week before, the plainest way.
double brute_force(const SmallM5& m5, const std::vector<int>& facts, std::int64_t origin,
                   std::int64_t horizon, const std::function<double(std::int64_t, std::int64_t)>& forecast) {
  std::map<std::vector<std::int32_t>, std::vector<std::int64_t>> nodes;
  for (std::int64_t s = 0; s < SmallM5::kSeries; ++s) {
    std::vector<std::int32_t> key;
    for (const int f : facts)
      key.push_back(m5.codes[static_cast<std::size_t>(f)][static_cast<std::size_t>(s)]);
    nodes[key].push_back(s);
  }
  double weights = 0, sum = 0;
  for (const auto& [key, members] : nodes) {
    std::vector<double> history;
    for (std::int64_t t = 0; t < origin; ++t) {
      double total = 0;
      for (const std::int64_t s : members) total += std::isnan(m5.at(s, t)) ? 0.0 : m5.at(s, t);
      history.push_back(total);
    }
    const auto first = std::find_if(history.begin(), history.end(), [](double v) { return v > 0; });
    double squares = 0, pairs = 0;
    for (auto t = first; t != history.end() && t + 1 != history.end(); ++t)
      squares += (t[1] - t[0]) * (t[1] - t[0]), pairs += 1;
    double weight = 0;
    for (const std::int64_t s : members)
      for (std::int64_t t = origin - 28; t < origin; ++t)
        if (!std::isnan(m5.at(s, t) * m5.price_at(s, t))) weight += m5.at(s, t) * m5.price_at(s, t);
    if (!(squares > 0) || !(weight > 0)) continue;
    double error = 0, steps = 0;
    for (std::int64_t t = origin; t < origin + horizon; ++t) {
      double difference = 0;
      bool any = false;
      for (const std::int64_t s : members)
        if (!std::isnan(m5.at(s, t))) difference += forecast(s, t) - m5.at(s, t), any = true;
      if (any) error += difference * difference, steps += 1;
    }
    if (steps == 0) continue;
    weights += weight;
    sum += weight * std::sqrt(error / steps / (squares / pairs));
  }
  return sum / weights;
}

class Hierarchy : public ::testing::Test {
 protected:
  BacktestConfig config() const {
    BacktestConfig config;
    config.origins = 3;
    config.stride = 6;
    config.horizon = 5;
    config.batch = 7;
    config.season = 7;
    config.bootstrap = 10;
    config.fans = 0;
    config.baselines = {"naive"};
    config.by = {"dept"};
    config.price = "price";
    config.hierarchy = {"m5"};
    return config;
  }
  BacktestResult run(const BacktestConfig& config) const {
    data::DataConfig inputs;
    inputs.context = 20;
    inputs.horizon = 5;
    const auto spec = data::make_features(inputs, data::Corpus(corpus()), 40);
    SeasonalQuantiles model(7, 1);  // the value a week before, where it was observed
    const auto single = parallel::make_single();
    return run_backtest(config, corpus(), spec, {&model}, 40, *single);
  }
  std::filesystem::path corpus() const { return folder_ / "m5.corpus"; }
  // All twelve levels and their mean, for the forecast a week before.
  void expect_plain_loops(const ForecasterResult& model) const {
    double mean = 0;
    std::size_t level = 0;
    for (const auto& [name, facts] : kTwelve) {
      double expected = 0;
      for (std::int64_t o = 0; o < 3; ++o) {
        const std::int64_t origin = 75 - (2 - o) * 6;
        const auto forecast = [&](std::int64_t s, std::int64_t t) {
          std::int64_t from = t - 7;
          while (from >= origin || std::isnan(m5_.at(s, from))) from -= 7;
          return m5_.at(s, from);
        };
        expected += brute_force(m5_, facts, origin, 5, forecast) / 3;
      }
      ASSERT_EQ(model.groups[level].group, "hierarchy");
      EXPECT_EQ(model.groups[level].level, name);
      EXPECT_NEAR(*model.groups[level].score("wrmsse").value, expected, 1e-12) << name;
      mean += expected / 12;
      ++level;
    }
    EXPECT_NEAR(*model.overall.score("wrmsse").value, mean, 1e-12);
    EXPECT_EQ(model.groups[level].group, "dept");
  }

  SmallM5 m5_;
  testing::TemporaryFolder folder_;
};

TEST_F(Hierarchy, wrmsse_agrees_with_plain_loops_on_all_twelve_levels) {
  m5_.write(corpus());
  const BacktestConfig config = this->config();
  for (const std::int64_t batch : {7, 1000}) {
    BacktestConfig batched = config;
    batched.batch = batch;
    const BacktestResult result = run(batched);
    const ForecasterResult& model = result.forecasters.front();
    expect_plain_loops(model);
    // 1 node of all; of 24 series one never sold and one never changed.
    EXPECT_EQ(model.groups.front().score("wrmsse").n, 3);
    EXPECT_EQ(model.groups[11].score("wrmsse").n, 22 * 3);
  }
}

TEST_F(Hierarchy, nodes_without_an_observed_step_or_with_net_returns_weigh_nothing) {
  const auto cell = [&](std::int64_t s, std::int64_t t) -> float& {
    return m5_.demand[static_cast<std::size_t>(s * SmallM5::kSteps + t)];
  };
  for (std::int64_t t = 74; t < SmallM5::kSteps; ++t)
    cell(2, t) = cell(10, t) = kNan;                       // gone by the last origin
  for (std::int64_t t = 30; t < 69; ++t) cell(6, t) = -5;  // returns
  m5_.write(corpus());
  const BacktestResult result = run(config());
  const ForecasterResult& model = result.forecasters.front();
  expect_plain_loops(model);
  EXPECT_EQ(model.groups[11].score("wrmsse").n, 22 * 3 - 2 - 3);
}

TEST_F(Hierarchy, a_single_level_stands_for_itself_and_weights_go_without_prices) {
  m5_.write(corpus());
  BacktestConfig config = this->config();
  config.hierarchy = {"store+cat"};
  const double priced = *run(config).forecasters.front().overall.score("wrmsse").value;
  config.price.clear();
  const double units = *run(config).forecasters.front().overall.score("wrmsse").value;
  EXPECT_GT(std::abs(priced - units), 1e-6);
  for (float& price : m5_.price) price = 2.5F;
  std::filesystem::remove_all(corpus());
  m5_.write(corpus());
  config.price = "price";
  EXPECT_NEAR(*run(config).forecasters.front().overall.score("wrmsse").value, units, 1e-12);
}

TEST_F(Hierarchy, refuses_facts_that_are_not_there) {
  m5_.write(corpus(), true);
  const auto message = [&](auto change) -> std::string {
    BacktestConfig config = this->config();
    config.hierarchy = {"all", "store"};
    change(config);
    try {
      run(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([](auto&) {}), "no error");
  EXPECT_THAT(message([](auto& c) { c.hierarchy = {"store+dpet"}; }), HasSubstr("dept"));
  EXPECT_THAT(message([](auto& c) { c.hierarchy = {"m5"}; }), HasSubstr("series-13 has no value"));
  EXPECT_THAT(message([](auto& c) { c.price = "prise"; }), HasSubstr("price"));
  EXPECT_THAT(message([](auto& c) { c.hierarchy = {"all", "all"}; }), HasSubstr("twice"));
}

TEST(NaiveScales, begin_with_the_first_sale_and_end_before_the_origin) {
  const std::vector<double> values{0, 0, 3, 3, 5, 100};
  const std::vector<std::int64_t> origins{2, 3, 4, 5};
  const std::vector<double> scales = naive_scales(values, origins);
  EXPECT_TRUE(std::isnan(scales[0]));
  EXPECT_TRUE(std::isnan(scales[1]));
  EXPECT_EQ(scales[2], 0.0);
  EXPECT_EQ(scales[3], 2.0);
}

}  // namespace
}  // namespace shelfcast::eval
