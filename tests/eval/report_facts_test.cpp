// What a reader must know beside the numbers.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "eval/report/facts.h"
#include "eval/report/main_table.h"
#include "eval/report/resources.h"
#include "eval/report/verdict.h"
#include "tests/eval/report_fixture.h"

namespace shelfcast::eval {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Report, tells_in_every_form_whose_training_had_not_ended) {
  SeasonalQuantiles model(7, 3);
  BacktestResult result = judge_panel(folder_.path(), make_small_panel(), model, report_config());
  write_run(folder_ / "whole", result);
  result.unfinished = {{result.forecasters.front().name, 300, 1500}};
  write_run(folder_ / "half", result);
  result.unfinished = {{"seed-17", 20, 40}, {"seed-18", 30, 40}};  // of an ensemble
  write_run(folder_ / "mean", result);

  const ReportData half = gather({"half"}), all = gather({"whole", "half", "mean"});
  for (const std::string& text : {report_html(half), report_markdown(half)})
    EXPECT_THAT(text, AllOf(HasSubstr("Judged before training had ended: half trained 300 of 1,500 steps."),
                            HasSubstr("Training had not ended")));
  EXPECT_EQ(report_json(half).at("result").at("unfinished_trainings").at(0).at("step"), 300);
  for (const std::string& text : {report_html(all), report_markdown(all)})
    EXPECT_THAT(text, HasSubstr("half trained 300 of 1,500 steps; seed-17 of mean trained 20 of 40 steps; "
                                "seed-18 of mean trained 30 of 40 steps"));
  const ReportData whole = gather({"whole"});
  for (const std::string& text : {report_html(whole), report_markdown(whole)})
    EXPECT_THAT(text, Not(HasSubstr("had not ended")));
  // Results of before this was told.
  auto json = nlohmann::ordered_json::parse(read_file(folder_ / "whole/backtest/result.json"));
  json.erase("unfinished_trainings");
  write_file_atomically(folder_ / "whole/backtest/result.json", json.dump());
  EXPECT_NO_THROW(gather({"whole"}));
}

TEST_F(Report, says_why_no_orders_were_judged) {
  const auto written = [&](const std::string& name, const OrderConfig& orders, std::int64_t origins) {
    BacktestConfig config = report_config();
    config.orders = orders, config.origins = origins;
    write_run(folder_.path(), name, 3, config);
    const ReportData data = gather({name});
    return report_html(data);
  };
  EXPECT_THAT(written("one", {2, 1, 0.9}, 1),
              AllOf(HasSubstr("not judged: no window had ended"), Not(HasSubstr("fill rate"))));
  EXPECT_THAT(written("long", {7, 1, 0.9}, 2),
              AllOf(HasSubstr("not simulated: an order has to last 8 days"), Not(HasSubstr("fill rate"))));
  EXPECT_THAT(written("none", {0, 1, 0.9}, 2), HasSubstr("<dd>not simulated</dd>"));
  // A lost unit costs 1 * 0.6 / 0.4 and 1 * 0.9995 / 0.0005.
  EXPECT_THAT(written("cheap", {1, 1, 0.6}, 2),
              AllOf(HasSubstr("a lost unit as 1.5, which makes 60 %"), Not(HasSubstr("not judged"))));
  EXPECT_THAT(written("dear", {1, 1, 0.9995}, 2), HasSubstr("a lost unit as 1999, which makes 99.95 %"));
}

// The youngest series has 10 steps before the first origin and 17 before the second; Holt-Winters needs 13.
TEST_F(Report, counts_the_windows_where_a_simpler_method_bears_the_name_of_a_baseline) {
  BacktestConfig config = report_config();
  config.baselines = {"seasonal_naive", "holt_winters"};
  write_run(folder_.path(), "a", 3, config);
  const ReportData data = gather({"a"});
  for (const ForecasterResult& forecaster : data.result.forecasters)
    EXPECT_EQ(forecaster.simpler_windows, forecaster.name == "Holt-Winters" ? 1 : 0) << forecaster.name;
  for (const std::string& text : {report_html(data), report_markdown(data), report_latex(data)})
    EXPECT_THAT(text, HasSubstr("stood in under its name: Holt-Winters in 1 of 22 windows (4.5"));
  config.baselines = {"seasonal_naive"};
  write_run(folder_.path(), "b", 3, config);
  const ReportData plain = gather({"b"});
  for (const std::string& text : {report_html(plain), report_markdown(plain), report_latex(plain)})
    EXPECT_THAT(text, Not(HasSubstr("stood in under its name")));
}

TEST_F(Report, says_the_same_of_gaps_wherever_it_does) {
  for (const SeasonalGaps gaps : {SeasonalGaps::last_season, SeasonalGaps::last_value}) {
    BacktestConfig config = report_config();
    config.seasonal_gaps = gaps;
    write_run(folder_.path(), "a", 3, config);
    const ReportData data = gather({"a"});
    const std::string filler = gap_filler(gaps), html = report_html(data);
    EXPECT_THAT(html, AllOf(HasSubstr("observed</dt><dd>" + filler + " stands in</dd>"),
                            HasSubstr("For a step that was not observed " + filler + " stands in")));
    EXPECT_THAT(report_markdown(data), HasSubstr("Seasonal values not observed: " + filler + " stands in"));
  }
}

// A model that says less of the same forecasts.
class FewerLevels final : public Forecaster {
 public:
  const std::string& name() const override { return all_.name(); }
  void forecast(const data::Batch& batch, ForecastValues& values) override {
    all_.forecast(batch, values);
    const std::size_t rows = batch.window_b.size(), horizon = values.mean_bh.size() / rows;
    std::vector<float> kept;
    for (std::size_t b = 0; b < rows; ++b)
      for (const std::size_t q : {0U, 4U, 8U}) {
        const float* from = values.quantiles_bqh.data() + (b * values.levels.size() + q) * horizon;
        kept.insert(kept.end(), from, from + horizon);
      }
    values.levels = {0.1, 0.5, 0.9};
    values.quantiles_bqh = std::move(kept);
  }

 private:
  SeasonalQuantiles all_{7, 3};
};

TEST_F(Report, calls_no_loss_over_quantiles_the_best_where_levels_differ) {
  FewerLevels fewer;
  write_run(folder_ / "three", judge_panel(folder_.path(), make_small_panel(), fewer, report_config()));
  write_run(folder_.path(), "nine", 2);
  write_run(folder_.path(), "again", 3);
  const auto best_of = [](const ReportData& data, const std::string& metric) {
    const MainTable table = main_table(data, {metric});
    return std::ranges::count_if(table.rows, [](const MainTable::Row& row) { return row.cells[0].best; });
  };
  const ReportData differ = gather({"three", "nine"}), same = gather({"nine", "again"});
  for (const char* metric : {"pinball", "wql", "wql_window_mean", "sql_window_mean", "sql", "crps"}) {
    EXPECT_EQ(best_of(differ, metric), 0) << metric;
    EXPECT_GE(best_of(same, metric), 1) << metric;
  }
  EXPECT_GE(best_of(differ, "mae"), 1);
  for (const std::string& text : {report_html(differ), report_markdown(differ), report_latex(differ)})
    EXPECT_THAT(text, AllOf(HasSubstr("have no best: their levels differ"), HasSubstr("three: 0.1, 0.5, 0.9"),
                            HasSubstr("nine: 0.1, 0.2,")));
  EXPECT_THAT(report_markdown(differ), HasSubstr("- Quantile levels: "));
  for (const std::string& text : {report_html(same), report_markdown(same), report_latex(same)})
    EXPECT_THAT(text, Not(HasSubstr("have no best")));
}

TEST_F(Report, counts_the_hours_of_devices_and_not_of_clocks) {
  write_run(folder_.path(), "a", 3);  // its log has ten lines, ten seconds apart
  const auto took = [this] { return resource_table(gather({"a"})).rows.front().at(3); };
  EXPECT_EQ(took(), "0.025 rank hours");
  write_file_atomically(folder_ / "a/environment.json", R"({"ranks": 4, "device": "NVIDIA H100"})");
  EXPECT_EQ(took(), "0.1 GPU hours");
  // On two ranks after a resume.
  std::ofstream(folder_ / "a/metrics.jsonl", std::ios::app)
      << R"({"step":110,"loss":1,"ranks":2,"time":1460})" << '\n';
  EXPECT_EQ(took(), "0.3 GPU hours");
  for (const std::string& text : {report_html(gather({"a"})), report_markdown(gather({"a"}))})
    EXPECT_THAT(text, HasSubstr("0.3 GPU hours"));
  EXPECT_EQ(report_json(gather({"a"})).at("runs").at(0).at("trainings").at(0).at("device_seconds"), 1080);
}

TEST_F(Report, shows_the_trainings_of_the_members_of_an_ensemble) {
  write_run(folder_.path(), "first", 3);
  write_run(folder_.path(), "second", 3);
  SeasonalQuantiles model(7, 2);
  write_backtest(judge_panel(folder_.path(), make_small_panel(), model, report_config()), folder_ / "mean",
                 small_metadata("mean"));
  EXPECT_EQ(resource_table(gather({"mean"})).rows.size(), 1U);  // nothing is known
  std::vector<TrainingRecord> members;
  for (const char* name : {"first", "second"}) {
    members.push_back(*read_training(folder_ / name));
    members.back().name = name;
  }
  write_trainings(members, folder_ / "mean");
  const ReportData data = gather({"mean"});
  const ResourceTable table = resource_table(data);
  ASSERT_EQ(table.rows.size(), 3U);
  for (const std::vector<std::string>& row : table.rows) EXPECT_EQ(row.size(), table.header.size());
  EXPECT_EQ(table.rows[0].at(3), "0.05 rank hours");  // of both
  EXPECT_THAT(table.rows[1], ElementsAre("first in mean", "100", "90.0 s", "0.025 rank hours", "160", "5 MB",
                                         "–", "–", "–"));
  const std::string html = report_html(data);
  EXPECT_THAT(html, AllOf(HasSubstr("<section id=\"training\">"), HasSubstr("<td>second in mean</td>")));
  EXPECT_GE(count(html, "second in mean"), 3U);  // in the table and in both plots
  EXPECT_THAT(report_markdown(data), HasSubstr("| second in mean | 100 | 90.0 s | 0.025 rank hours |"));
  EXPECT_EQ(data.runs.front().trainings.back().loss.x, members.back().loss.x);
  EXPECT_EQ(data.runs.front().trainings.back().validation.y, members.back().validation.y);
  write_trainings({}, folder_ / "mean");  // another backtest in that place, of a published model
  EXPECT_TRUE(gather({"mean"}).runs.front().trainings.empty());
  write_file_atomically(folder_ / "mean/backtest/trainings.json", "[{}]");
  EXPECT_THAT(message([&] { gather({"mean"}); }, ErrorKind::data), HasSubstr("trainings.json"));
}

}  // namespace
}  // namespace shelfcast::eval
