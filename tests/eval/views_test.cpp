// Sums by calendar week and month against plain loops over days.
#include "eval/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/backtest.h"
#include "parallel/launch.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::HasSubstr;

// Knows which window it forecasts, and says something else of each; its medians are far off and must not
// matter.
class Formula final : public Forecaster {
 public:
  static float value(std::int64_t series, std::int64_t step) {
    return static_cast<float>(3 * series + (step * 7 + series * 5) % 13);
  }
  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    const auto horizon = static_cast<std::int64_t>(batch.target_bh.size()) / batch.windows;
    values = {};
    for (const data::Window& window : batch.window_b)
      for (std::int64_t h = 0; h < horizon; ++h) {
        values.mean_bh.push_back(value(window.series, window.origin + h));
        values.median_bh.push_back(1000.0F);
      }
  }

 private:
  std::string name_ = "formula";
};

class Views : public ::testing::Test {
 protected:
  Views() { write_panel(panel_, folder_ / "small.corpus"); }

  static BacktestConfig config() {
    BacktestConfig config;
    config.origins = 3;
    config.stride = 5;  // origins on different days of the week
    config.horizon = 17;
    config.batch = 4;
    config.bootstrap = 0;
    config.orders.review = 0;
    config.baselines = {"naive"};
    config.views = {"week"};
    return config;
  }
  BacktestResult run(const BacktestConfig& config, int ranks = 1) {
    BacktestResult result;
    const auto spec =
        data::make_features(small_config(21, config.horizon), data::Corpus(folder_ / "small.corpus"), 30);
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      Formula own;
      const BacktestResult one =
          run_backtest(config, folder_ / "small.corpus", spec, {&own}, 30, communicator);
      if (communicator.rank() == 0) result = one;
    });
    return result;
  }

  SmallPanel panel_ = make_small_panel();
  testing::TemporaryFolder folder_;
};

struct Sums {
  double n = 0, absolute = 0, squared = 0, error = 0, target = 0, symmetric = 0;
};

TEST_F(Views, weeks_agree_with_plain_loops_over_days_overall_and_in_every_group) {
  std::map<std::pair<std::string, std::string>, Sums> expected;
  expected[{"week/category", "never sold"}];
  for (std::int64_t origin = 64 - 17 - 10; origin <= 64 - 17; origin += 5) {
    for (std::int64_t s = 0; s < panel_.series; ++s) {
      std::int64_t number = 0;
      for (std::int64_t monday = 0; monday + 7 <= origin + 17; monday += 7) {  // the corpus begins on one
        if (monday < origin) continue;
        ++number;
        double truth = 0, forecast = 0;
        for (std::int64_t t = monday; t < monday + 7; ++t) {
          truth += panel_.at(s, t);
          forecast += Formula::value(s, t);
        }
        const auto code = panel_.category[static_cast<std::size_t>(s)];
        const auto store = static_cast<std::size_t>(panel_.store[static_cast<std::size_t>(s)]);
        const std::string category =
            code < 0 ? "(missing)" : panel_.categories[static_cast<std::size_t>(code)];
        for (const auto& key : {std::pair<std::string, std::string>{"week", "all"},
                                {"week/store", panel_.stores[store]},
                                {"week/category", category},
                                {"week/horizon", std::to_string(number)}}) {
          Sums& sums = expected[key];
          if (std::isnan(truth)) continue;
          const double error = forecast - truth;
          sums.n += 1, sums.absolute += std::abs(error), sums.squared += error * error, sums.error += error;
          sums.target += truth, sums.symmetric += 2 * std::abs(error) / (forecast + truth);
        }
      }
    }
  }
  ASSERT_GT((expected[{"week", "all"}].n), 20);
  const BacktestResult result = run(config());
  std::size_t found = 0;
  for (const GroupScores& group : result.forecasters.front().groups) {
    if (!group.group.starts_with("week")) continue;
    ++found;
    SCOPED_TRACE(group.group + " " + group.level);
    ASSERT_TRUE(expected.contains({group.group, group.level}));
    const Sums& sums = expected[{group.group, group.level}];
    EXPECT_EQ(group.score("mae").n, static_cast<std::int64_t>(sums.n));
    EXPECT_EQ(std::ranges::count(group.scores, "mase", &Score::metric), 0);
    if (sums.n == 0) {
      EXPECT_FALSE(group.score("mae").value);
      continue;
    }
    EXPECT_NEAR(*group.score("mae").value, sums.absolute / sums.n, 1e-9);
    EXPECT_NEAR(*group.score("mse").value, sums.squared / sums.n, 1e-7);
    EXPECT_NEAR(*group.score("rmse").value, std::sqrt(sums.squared / sums.n), 1e-9);
    EXPECT_NEAR(*group.score("bias").value, sums.error / sums.n, 1e-9);
    EXPECT_NEAR(*group.score("wape").value, sums.absolute / sums.target, 1e-9);
    EXPECT_NEAR(*group.score("smape").value, sums.symmetric / sums.n, 1e-9);
  }
  EXPECT_EQ(found, expected.size());
}

TEST_F(Views, are_the_same_on_1_2_3_and_5_ranks_and_leave_the_days_as_they_are) {
  const std::string one = result_json(run(config())).dump();
  for (const int ranks : {2, 3, 5}) EXPECT_EQ(result_json(run(config(), ranks)).dump(), one) << ranks;
  BacktestConfig without = config();
  without.views = {};
  const BacktestResult days = run(without), both = run(config());
  for (std::size_t i = 0; i < days.forecasters.size(); ++i) {
    ASSERT_LT(days.forecasters[i].groups.size(), both.forecasters[i].groups.size());
    for (std::size_t g = 0; g < days.forecasters[i].groups.size(); ++g)
      EXPECT_EQ(days.forecasters[i].groups[g].score("mae").value,
                both.forecasters[i].groups[g].score("mae").value);
  }
}

TEST_F(Views, periods_are_all_calendar_months_and_weeks_that_lie_in_a_horizon) {
  data::CorpusInfo info;
  info.axis.start = *parse_date("2023-11-13");
  BacktestConfig config;
  config.views = {"week", "month"};
  config.horizon = 90;
  std::vector<std::int64_t> origins;
  for (std::int64_t origin = 0; origin < 70; ++origin) origins.push_back(origin);
  const std::vector<View> views = make_views(config, info, origins);
  for (const std::int64_t origin : origins) {
    std::map<std::string, int> month_days, week_days;  // days of the horizon by the month they are in
    for (std::int64_t h = 0; h < config.horizon; ++h) {
      const Date date = info.axis.date_of(origin + h);
      ++month_days[format_date(date).substr(0, 7)];
      // The Monday on or before the date.
      const auto since = std::chrono::weekday(date) - std::chrono::Monday;
      ++week_days[format_date(date - since)];
    }
    const std::map<std::string, int> length = {{"2023-11", 30}, {"2023-12", 31}, {"2024-01", 31},
                                               {"2024-02", 29}, {"2024-03", 31}, {"2024-04", 30}};
    std::vector<std::string> months, weeks;
    for (const auto& [month, days] : month_days)
      if (days == length.at(month)) months.push_back(month);
    for (const auto& [week, days] : week_days)
      if (days == 7) weeks.push_back(week);
    std::vector<std::string> found_weeks, found_months;
    for (const Period& week : views[0].periods[static_cast<std::size_t>(origin)]) {
      EXPECT_EQ(week.end - week.first, 7);
      found_weeks.push_back(format_date(info.axis.date_of(origin + week.first)));
    }
    for (const Period& month : views[1].periods[static_cast<std::size_t>(origin)]) {
      found_months.push_back(format_date(info.axis.date_of(origin + month.first)).substr(0, 7));
      EXPECT_EQ(month.end - month.first, length.at(found_months.back()));
    }
    EXPECT_EQ(found_weeks, weeks) << origin;
    EXPECT_EQ(found_months, months) << origin;
  }
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
    return "nothing was thrown";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_F(Views, of_no_whole_period_of_weekly_data_or_of_another_name_are_refused) {
  BacktestConfig wanted = config();
  wanted.views = {"month"};
  EXPECT_THAT(refusal([&] { run(wanted); }), HasSubstr("no whole month lies in the 17 days"));
  wanted.views = {"weeks"};
  EXPECT_THAT(refusal([&] { wanted.validate(); }), HasSubstr("did you mean 'week'?"));
  wanted.views = {"week", "week"};
  EXPECT_THAT(refusal([&] { wanted.validate(); }), HasSubstr("twice"));
  data::CorpusInfo weekly;
  weekly.name = "shop";
  weekly.axis.frequency = Frequency::weekly;
  EXPECT_THAT(refusal([&] { make_views(config(), weekly, {0}); }), HasSubstr("those of shop are not"));
}

}  // namespace
}  // namespace shelfcast::eval
