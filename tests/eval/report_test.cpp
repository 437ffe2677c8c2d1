// What the report page says, without a browser; report_browser_test.cpp looks at it in one.
#include "eval/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/backtest.h"
#include "eval/report/svg.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

BacktestResult judge(const SmallPanel& panel, Forecaster* model) {
  const testing::TemporaryFolder folder;
  write_panel(panel, folder / "small.corpus");
  BacktestConfig config;
  config.origins = 2;
  config.stride = config.horizon = 7;
  config.bootstrap = 100;
  std::vector<Forecaster*> models;
  if (model != nullptr) models.push_back(model);
  const auto single = parallel::make_single();
  const auto spec = data::make_features(small_config(28, 7), data::Corpus(folder / "small.corpus"), 30);
  return run_backtest(config, folder / "small.corpus", spec, models, 40, *single);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Report, needs_nothing_beside_itself) {
  SeasonalQuantiles model(7, 3);
  const std::string html = report_html(judge(make_small_panel(), &model), {"small", {{"build", "v1"}}});
  for (const char* foreign : {"http:", "https:", "<script", "src=", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(foreign)));
}

TEST(Report, shows_tables_and_plots_of_everything) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = judge(make_small_panel(), &model);
  const std::string html = report_html(result, {"A & B", {{"build", "v1"}}});
  for (const char* section : {"results", "significance", "by-horizon", "by-category", "by-store", "fans",
                              "calibration", "protocol", "notes"})
    EXPECT_THAT(html, HasSubstr(std::string("<section id=\"") + section));
  EXPECT_THAT(html, HasSubstr("A &amp; B"));
  EXPECT_EQ(count(html, "<svg"), count(html, "</svg>"));
  EXPECT_EQ(count(html, "<svg"), 5 + result.fans.size());
  EXPECT_GE(count(html, "band f0"), 4 * result.fans.size());  // four pairs of quantiles
  EXPECT_THAT(html, HasSubstr("n = 0"));                      // the category without series
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(Report, escapes_names_of_the_data) {
  SeasonalQuantiles model(7, 3);
  const std::string html = report_html(judge(make_small_panel(), &model), {"t", {}});
  EXPECT_THAT(html, Not(HasSubstr("<main>\"")));
  EXPECT_THAT(html, HasSubstr("Ōsaka &quot;3&quot;"));
}

TEST(Report, calls_a_win_only_what_the_interval_calls_one) {
  SeasonalQuantiles model(7, 3);
  BacktestResult result = judge(make_small_panel(), &model);
  for (Comparison& c : result.comparisons) c.verdict = Verdict::better;
  EXPECT_THAT(report_html(result, {"t", {}}), HasSubstr("beats every baseline"));
  result.comparisons.back().verdict = Verdict::unclear;
  EXPECT_THAT(report_html(result, {"t", {}}), HasSubstr("is not clearly better than Naive on MSE"));
  result.comparisons.front().verdict = Verdict::worse;
  EXPECT_THAT(report_html(result, {"t", {}}), HasSubstr("loses to Seasonal Naive on MAE"));
}

TEST(Report, stands_without_a_model_and_without_any_observed_target) {
  EXPECT_THAT(report_html(judge(make_small_panel(), nullptr), {"t", {}}), HasSubstr("Baselines only"));
  SmallPanel panel = make_small_panel();
  for (std::int64_t s = 0; s < panel.series; ++s)
    for (std::int64_t t = panel.demand_end - 14; t < panel.demand_end - (s == 0 ? 1 : 0); ++t)
      panel.demand[static_cast<std::size_t>(s * panel.steps + t)] = kNan;
  SeasonalQuantiles model(7, 3);
  BacktestResult result = judge(panel, &model);
  EXPECT_EQ(result.judgement.targets, 1);
  EXPECT_THAT(report_html(result, {"t", {}}), HasSubstr("no clear difference"));
}

TEST(Svg, ticks_are_round_numbers_inside_the_range) {
  EXPECT_THAT(round_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(round_ticks(-1, 1, 4), ElementsAre(-1, -0.5, 0, 0.5, 1));
  EXPECT_THAT(round_ticks(3, 3, 4), ElementsAre(3));
}

TEST(Svg, numbers_have_four_digits_and_marked_thousands) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(1234567.8), "1,234,568");
  EXPECT_EQ(format_number(-1234.5), "-1,234");
  EXPECT_EQ(format_number(3.14159), "3.142");
  EXPECT_EQ(format_number(0.00123456), "0.001235");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
}

}  // namespace
}  // namespace shelfcast::eval
