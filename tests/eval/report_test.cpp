// What reports say, without a browser; report_browser_test.cpp looks at them in one.
#include "eval/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/report/main_table.h"
#include "eval/report/plots.h"
#include "eval/report/text.h"
#include "eval/report/verdict.h"
#include "tests/eval/report_fixture.h"

namespace shelfcast::eval {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Report, asks_the_network_for_nothing) {
  write_run(folder_.path(), "a", 3);
  const std::string html = report_html(gather({"a"}));
  // Addresses of XML's name spaces are all that Vega has.
  for (const char* foreign : {"src=", "@import", "url(", "<link rel=\"stylesheet", "href=\"http"})
    EXPECT_THAT(html.substr(0, html.find("/*! Vega")), Not(HasSubstr(foreign)));
  EXPECT_EQ(count(html, "<script"), count(html, "</script>"));
  EXPECT_EQ(count(html, "<script src"), 0U);
}

TEST_F(Report, shows_tables_and_plots_of_everything) {
  write_run(folder_.path(), "a", 3);
  const ReportData data = gather({"a"});
  const std::string html = report_html(data);
  for (const char* section : {"results", "significance", "heat-map", "by-horizon", "hierarchy", "orders",
                              "by-category", "by-store", "by-price", "calibration", "fans", "worst",
                              "training", "resources", "protocol", "reproduction", "notes"})
    EXPECT_THAT(html, HasSubstr(std::string("<section id=\"") + section));
  EXPECT_THAT(html, HasSubstr("A &amp; B"));
  // Comparisons, heat map, horizon, three groups, calibration, two curves, and the fans.
  EXPECT_EQ(count(html, " data-plot="), 9 + data.result.fans.size());
  EXPECT_EQ(count(html, "class=\"plot\""), 9 + data.result.fans.size());
  EXPECT_THAT(html, HasSubstr("n = 0"));  // the category without series
  EXPECT_THAT(html.substr(0, html.find("/*! Vega")), Not(HasSubstr("nan")));
  EXPECT_THAT(html, HasSubstr("a &lt;fast&gt; one"));
  EXPECT_THAT(html, HasSubstr("shelfcast backtest runs/x"));
}

TEST_F(Report, shows_weeks_demand_levels_and_combinations_where_they_were_asked_for) {
  BacktestConfig config = report_config();
  config.stride = 1;  // one of the origins is a Monday
  config.origins = 3;
  write_run(folder_.path(), "plain", 3, config);
  const std::string plain = report_html(gather({"plain"}));
  for (const char* section : {"by-week", "classes", "combinations"})
    EXPECT_THAT(plain, Not(HasSubstr(std::string("<section id=\"") + section)));

  config.views = {"week"};
  config.classes = {0.25, 0.75};
  config.combine = {{"inverse_error", "stacking"}, {"naive", "model"}, CombineBy::overall};
  write_run(folder_.path(), "asked", 3, config);
  const ReportData data = gather({"asked"});
  const std::string html = report_html(data);
  for (const char* section : {"by-week", "by-week/category", "classes", "combinations"})
    EXPECT_THAT(html, HasSubstr(std::string("<section id=\"") + section + "\""));
  const GroupScores& overall = data.result.forecasters.front().overall;
  EXPECT_THAT(html, HasSubstr(fmt::format("<td>{}</td>", format_percent(*overall.score("accuracy").value))));
  const Score cell = overall.score("confusion@high>high");
  EXPECT_THAT(html, HasSubstr(fmt::format(
                        "<td>{} ({})</td>", format_count(*cell.value),
                        format_percent(*cell.value / static_cast<double>(overall.score("recall@high").n)))));
  EXPECT_THAT(html, HasSubstr("and each median forecast against"));
  ReportData headed = data;
  headed.result.forecasters.front().says_classes = true;
  EXPECT_THAT(report_html(headed), HasSubstr("the likeliest class of the model's own head"));
  // Of two members the first origin's weights are a half each; the mean over all origins is shown.
  double sum = 0, most = 0;
  for (const CombinationWeights& weights : data.result.combinations.weights)
    if (weights.combination.starts_with("Inverse error"))
      sum += weights.weights[1], most = std::max(most, weights.weights[1]);
  EXPECT_THAT(html, HasSubstr(fmt::format("<td>{:.2f} <span class=\"small\">(", sum / 3)));
  EXPECT_THAT(html, HasSubstr(fmt::format("to {:.2f})</span>", most)));
  EXPECT_THAT(html.substr(0, html.find("/*! Vega")), Not(HasSubstr("nan")));

  // What the model is in is no baseline of it.
  const auto stacking = std::ranges::find_if(data.result.forecasters, [](const ForecasterResult& forecaster) {
    return forecaster.name.starts_with("Stacking");
  });
  ASSERT_NE(stacking, data.result.forecasters.end());
  EXPECT_TRUE(combines_models(stacking->name));
  EXPECT_FALSE(combines_models("Seasonal Naive"));
  for (const char* metric : {"mae", "mse"}) {
    EXPECT_FALSE(combines_models(strongest_baseline(data.result, metric)->name));
    const Comparison* strongest =
        compared_with_strongest(data.result, data.result.forecasters.front().name, metric);
    EXPECT_FALSE(combines_models(strongest->baseline));
  }
  const Summary summary = summarise(data);
  EXPECT_THAT(summary.headline, Not(HasSubstr("Stacking")));
  const double alone = *overall.score("mae").value, together = *stacking->overall.score("mae").value;
  EXPECT_THAT(summary.sentences, Contains(fmt::format("{} has an MAE {} {} than its own.", stacking->name,
                                                      format_percent(std::abs(together / alone - 1)),
                                                      together <= alone ? "lower" : "higher")));

  // The same in Markdown, a row a forecaster; what was not asked for has no table there either.
  const std::string markdown = report_markdown(data), bare = report_markdown(gather({"plain"}));
  EXPECT_THAT(markdown, HasSubstr("## MAE by week/category\n"));
  EXPECT_THAT(markdown, HasSubstr("## Low, normal and high demand\n"));
  EXPECT_THAT(markdown, HasSubstr(fmt::format("| {} | {} | {} | {} |",
                                              format_count(static_cast<double>(overall.score("accuracy").n)),
                                              format_percent(*overall.score("accuracy").value),
                                              format_number(*overall.score("f1_macro").value),
                                              format_number(*overall.score("f1_weighted").value))));
  EXPECT_THAT(bare, Not(HasSubstr("## Low")));
  // Costs of orders need windows that do not overlap.
  EXPECT_THAT(markdown, Not(HasSubstr("fill rate")));
  write_run(folder_.path(), "apart", 3);
  const ReportData apart = gather({"apart"});
  const GroupScores& costs = apart.result.forecasters.front().overall;
  EXPECT_THAT(report_markdown(apart),
              HasSubstr(fmt::format("| {} | {} | {} |", format_number(*costs.score("order_cost").value),
                                    format_percent(*costs.score("fill_rate").value),
                                    format_number(*costs.score("stock_cover").value))));
  const GroupScores* all = find_group(data.result.forecasters.front(), "hierarchy", "all");
  EXPECT_THAT(markdown, HasSubstr(fmt::format("| all | {} | {} |",
                                              format_count(static_cast<double>(all->score("wrmsse").n)),
                                              format_number(*all->score("wrmsse").value))));

  config.classes = {0.1, 0.75};
  write_run(folder_.path(), "other", 3, config);
  EXPECT_THAT(message(
                  [&] {
                    gather({"asked", "other"});
                  },
                  ErrorKind::input),
              HasSubstr("thresholds of low and high demand: 0.25 and 0.75"));
}

TEST_F(Report, escapes_names_of_the_data) {
  write_run(folder_.path(), "a", 3);
  const ReportData data = gather({"a"});
  const std::string html = report_html(data);
  EXPECT_THAT(html, Not(HasSubstr("<main>\"")));
  EXPECT_THAT(html, HasSubstr("Ōsaka &quot;3&quot;"));
  EXPECT_THAT(report_latex(data), HasSubstr("\\toprule"));
  EXPECT_THAT(report_markdown(data), HasSubstr("Ōsaka \"3\", \\<main>"));
}

TEST_F(Report, reads_names_with_line_breaks_and_keeps_its_tables_whole) {
  SmallPanel panel = make_small_panel();
  panel.categories[1] = "bread,\n\"dark\"";
  SeasonalQuantiles model(7, 3);
  write_run(folder_ / "a", judge_panel(folder_.path(), panel, model, report_config()));
  const ReportData data = gather({"a"});
  EXPECT_THAT(data.worst, Contains(::testing::Field(&WorstSeries::category, panel.categories[1])));
  EXPECT_THAT(report_markdown(data), HasSubstr("| bread, \"dark\" |"));
}

TEST_F(Report, draws_names_that_begin_alike_apart) {
  SmallPanel panel = make_small_panel();
  panel.categories = {"Home and garden, in the kitchen, pans", "Home and garden, in the kitchen, pots",
                      "never sold"};
  const std::vector<std::string> runs = {"bolt-small-context-512-seed-17", "bolt-small-context-512-seed-18"};
  for (const std::string& name : runs) {
    SeasonalQuantiles model(7, name == runs[0] ? 3 : 1);
    write_run(folder_ / name, judge_panel(folder_.path(), panel, model, report_config()));
  }
  const ReportData data = gather(runs);
  const auto domain = [](const Spec& spec, const char* scale) {
    for (const Spec& one : spec.at("scales"))
      if (one.at("name") == scale) return one.at("domain").get<std::vector<std::string>>();
    return std::vector<std::string>();
  };
  const Spec cells = heat_map(data.result, "category", panel.categories, "mae");
  EXPECT_THAT(domain(cells, "x"), AllOf(Contains(runs[0]), Contains(runs[1])));
  EXPECT_EQ(domain(cells, "y"), panel.categories);
  EXPECT_EQ(domain(level_plot(data.result, "category", panel.categories, "wape"), "y"), panel.categories);
  std::vector<Comparison> comparisons(2, data.between.front());
  comparisons[0].baseline = runs[0], comparisons[1].baseline = runs[1];
  EXPECT_EQ(domain(comparison_plot(comparisons), "y").back(), "MAE against " + runs[1]);
}

TEST_F(Report, sets_only_baselines_as_the_mark_of_its_heat_map) {
  BacktestConfig config = report_config();
  config.combine.methods = {"mean"};
  write_run(folder_.path(), "a", 3, config);
  ReportData data = gather({"a"});
  const auto tip = [&] {
    return heat_map(data.result, "category", {"dairy"}, "mae")
        .at("data")[0]
        .at("values")[0]
        .at("tip")
        .get<std::string>();
  };
  const std::string before = tip();
  EXPECT_THAT(before, HasSubstr("against the best baseline"));
  for (ForecasterResult& forecaster : data.result.forecasters)
    if (combines_models(forecaster.name))
      for (GroupScores& group : forecaster.groups)
        for (Score& score : group.scores) score.value = 1e-3;
  EXPECT_EQ(tip(), before);
  data.result.forecasters.resize(1);
  EXPECT_THAT(tip(), Not(HasSubstr("baseline")));
}

TEST_F(Report, leaves_room_for_every_line_of_a_series) {
  write_run(folder_.path(), "a", 3);
  const ReportData data = gather({"a"});
  Fan fan = data.result.fans.front();
  ASSERT_EQ(fan.forecasts[1].name, "Seasonal Naive");
  fan.forecasts[1].median_h.front() = 1e4F;  // a peak of a season ago, before the history that is shown
  EXPECT_EQ(fan_plot(data.result, fan).at("scales").at(1).at("domain").at(1), 1e4);
}

// Vega knows no object with a key twice: one such plot, and none after it was drawn.
TEST_F(Report, names_each_date_below_a_series_once) {
  BacktestConfig config = report_config();
  config.horizon = 1;
  write_run(folder_.path(), "a", 3, config);
  const ReportData data = gather({"a"});
  const Fan& fan = data.result.fans.front();
  ASSERT_EQ(fan.target.size(), 1U);
  const Spec plot = fan_plot(data.result, fan), dates = plot.at("axes").at(0);
  EXPECT_EQ(count(plot.dump(), "\"symbol\""), 3U);  // median, truth and a baseline
  EXPECT_EQ(dates.at("values"), Spec::array({fan.origin - std::ssize(fan.history), fan.origin}));
  EXPECT_EQ(count(dates.dump(), fmt::format("'{}':", fan.origin)), 1U);
}

TEST_F(Report, tells_runs_of_one_name_and_what_combines_them_apart) {
  BacktestConfig config = report_config();
  config.combine.methods = {"mean"};
  write_run(folder_.path(), "spring/shop", 3, config);
  write_run(folder_.path(), "autumn/shop", 1, config);
  const ReportData data = gather({"spring/shop", "autumn/shop"});
  std::vector<std::string> names;
  for (const ForecasterResult& forecaster : data.result.forecasters) names.push_back(forecaster.name);
  for (const char* name : {"spring/shop", "autumn/shop"}) {
    const std::string run = (folder_ / name).string();
    EXPECT_THAT(names, AllOf(Contains(run), Contains("Mean of forecasts with " + run)));
  }
  for (const Comparison& c : data.result.comparisons)
    EXPECT_THAT(names, AllOf(Contains(c.model), Contains(c.baseline)));
  EXPECT_THAT(names, Contains(data.result.combinations.weights.front().combination));
}

TEST_F(Report, names_its_command_as_a_shell_reads_it) {
  write_run(folder_.path(), "a run", 3);
  write_run(folder_.path(), "it's", 1);
  const std::string command = report_command(gather({"a run", "it's"}));
  EXPECT_THAT(command, AllOf(HasSubstr("/a run'"), HasSubstr("/it'\\''s'")));
}

TEST_F(Report, refuses_a_run_that_is_called_as_a_baseline_is) {
  write_run(folder_.path(), "Seasonal Naive", 3);
  EXPECT_THAT(message([&] { gather({"Seasonal Naive"}); }, ErrorKind::input),
              HasSubstr("rename the run's folder"));
}

TEST_F(Report, csv_has_a_verdict_only_where_there_was_a_test) {
  write_run(folder_.path(), "a", 3);
  const std::string csv = report_csv(gather({"a"}));
  EXPECT_THAT(csv, ::testing::ContainsRegex("\na,model,mae,[^\n]*,(better|worse|unclear)\n"));
  EXPECT_THAT(csv, ::testing::ContainsRegex("\na,model,rmse,[^\n]*,\n"));
  EXPECT_THAT(csv, ::testing::ContainsRegex("\na,model,mase_window_mean,[^\n]*,\n"));
}

TEST_F(Report, calls_a_win_only_what_the_tests_call_one) {
  write_run(folder_.path(), "a", 3);
  ReportData data = gather({"a"});
  for (Comparison& c : data.result.comparisons) c.verdict = Verdict::better;
  EXPECT_THAT(summarise(data).headline, HasSubstr("beats every baseline"));
  EXPECT_EQ(summarise(data).verdict, Verdict::better);
  EXPECT_THAT(summarise(data).headline, HasSubstr("on MAE, MSE, WQL and WRMSSE."));
  data.result.comparisons.back().verdict = Verdict::unclear;
  EXPECT_THAT(summarise(data).headline, HasSubstr("a is not clearly better than Naive on WRMSSE"));
  data.result.comparisons.front().verdict = Verdict::worse;
  EXPECT_THAT(summarise(data).headline, HasSubstr("a loses to Seasonal Naive on MAE"));
  EXPECT_THAT(report_html(data), HasSubstr("class=\"verdict worse\""));
}

TEST_F(Report, names_each_baseline_once_and_no_more_than_four) {
  write_run(folder_.path(), "a", 3);
  ReportData data = gather({"a"});
  const Comparison any = data.result.comparisons.front();
  data.result.comparisons.clear();
  for (const char* baseline : {"A", "B", "C", "D", "E", "F"})
    for (const char* metric : {"mae", "mse"}) {
      Comparison& c = data.result.comparisons.emplace_back(any);
      c.baseline = baseline, c.metric = metric, c.verdict = Verdict::unclear;
    }
  EXPECT_EQ(
      summarise(data).headline,
      "a is not clearly better than A on MAE and MSE, B on MAE and MSE, C on MAE and MSE, D on MAE and MSE "
      "and 2 others.");
}

TEST_F(Report, calls_nothing_a_win_over_a_baseline_that_a_run_never_met) {
  BacktestConfig weak = report_config(), strong = report_config();
  weak.baselines = {"naive"};
  strong.baselines = {"naive", "moving_average"};
  write_run(folder_.path(), "weak", 3, weak);
  write_run(folder_.path(), "strong", 1, strong);
  ReportData data = gather({"weak", "strong"});
  // Of the table's baselines the second is the stronger one, and the first run has not met it.
  for (ForecasterResult& forecaster : data.result.forecasters)
    for (Score& score : forecaster.overall.scores)
      if (score.metric == "mae")
        score.value = forecaster.name == "Naive" ? 3.0 : forecaster.name == "weak" ? 2.0 : 1.5;
  for (Comparison& c : data.result.comparisons) c.verdict = Verdict::better;
  const MainTable table = main_table(data, {"mae"});
  for (const MainTable::Row& row : table.rows) {
    if (row.kind != MainTable::Row::Kind::model) continue;
    EXPECT_EQ(row.cells[0].verdict, row.name == "weak" ? std::nullopt : std::optional(Verdict::better));
  }
  if (data.result.forecasters.front().name == "strong")
    std::swap(data.result.forecasters[0], data.result.forecasters[1]);
  EXPECT_THAT(summarise(data).headline, HasSubstr("weak was not compared with Moving average"));
  EXPECT_THAT(summarise(data).sentences.front(),
              HasSubstr("Its MAE was not compared with that of Moving average (28): its own backtest lacks"));
}

TEST_F(Report, reads_back_what_a_backtest_wrote) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = judge_panel(folder_.path(), make_small_panel(), model, report_config());
  write_run(folder_ / "a", result);
  ReportData data = gather({"a"});
  data.result.forecasters.front().name = result.forecasters.front().name;
  for (auto* comparisons : {&data.result.comparisons, &data.result.category_comparisons})
    for (Comparison& c : *comparisons) c.model = result.forecasters.front().name;
  EXPECT_EQ(result_json(data.result).dump(), result_json(result).dump());
  data.result.fans.front().forecasts.front().name = result.forecasters.front().name;
  EXPECT_EQ(fans_json(data.result).at(0).dump(), fans_json(result).at(0).dump());
  EXPECT_EQ(run_json(data.runs.front().metadata).dump(), run_json(small_metadata("A & B")).dump());
  EXPECT_EQ(data.runs.front().trainings.front().windows_per_second, 160);
  EXPECT_EQ(data.runs.front().trainings.front().seconds, 90);
  double all = 0;
  for (const SeriesErrors& errors : result.forecasters.front().series) all += errors.absolute_error;
  EXPECT_NEAR(data.worst.front().share, data.worst.front().errors.absolute_error / all, 1e-12);
}

TEST_F(Report, puts_runs_side_by_side_the_best_first) {
  for (const auto& [name, seasons] : {std::pair("one", 1), std::pair("two", 2), std::pair("four", 4)})
    write_run(folder_.path(), name, seasons);
  const ReportData data = gather({"one", "two", "four"});
  const MainTable table = main_table(data, {"mae"});
  ASSERT_EQ(table.rows.size(), 3U + 3U);  // each baseline once
  for (std::size_t i = 1; i < 3; ++i)
    EXPECT_LE(*table.rows[i - 1].cells[0].value, *table.rows[i].cells[0].value);
  EXPECT_EQ(data.runs.front().name, table.rows.front().name);
  EXPECT_EQ(data.between.size(), 2U * 4U);
  for (const Comparison& c : data.between) EXPECT_EQ(c.model, data.runs.front().name);
  int best = 0;
  for (const MainTable::Row& row : table.rows) best += row.cells[0].best ? 1 : 0;
  EXPECT_EQ(best, 1);
  const std::string csv = report_csv(data);
  EXPECT_EQ(count(csv, "\none,model,"), count(csv, "\nfour,model,"));
}

TEST_F(Report, compares_runs_like_the_backtest_compares_forecasters) {
  // A model that repeats the last week is Seasonal Naive where everything was observed.
  write_run(folder_.path(), "one", 1);
  write_run(folder_.path(), "four", 4);
  const RunComparison comparison = compare_runs(folder_ / "four", folder_ / "one");
  EXPECT_EQ(comparison.first, "four");
  ASSERT_EQ(comparison.overall.size(), 4U);
  ASSERT_EQ(comparison.by_category.size(),
            3U * 3U);  // without WRMSSE; those that series are in; all of "never sold" is absent
  const ReportData data = gather({"four", "one"});
  const auto value = [&](const std::string& name, const std::string& metric) {
    for (const ForecasterResult& f : data.result.forecasters)
      if (f.name == name) return *f.overall.score(metric).value;
    return 0.0;
  };
  for (const Comparison& c : comparison.overall) {
    EXPECT_NEAR(*c.difference, value("four", c.metric) / value("one", c.metric) - 1,
                c.metric == "wrmsse" ? 1e-6 : 1e-12);
    EXPECT_EQ(c.dates->dates, 14) << c.metric;
  }
  const RunComparison back = compare_runs(folder_ / "one", folder_ / "four");
  EXPECT_NEAR(back.overall.front().dates->statistic, -comparison.overall.front().dates->statistic, 1e-9);
}

TEST_F(Report, refuses_runs_that_were_judged_otherwise) {
  write_run(folder_.path(), "a", 3);
  BacktestConfig shorter = report_config();
  shorter.horizon = 5;
  write_run(folder_.path(), "b", 3, shorter);
  for (const auto& act :
       std::vector<std::function<void()>>{[&] {
                                            gather({"a", "b"});
                                          },
                                          [&] { compare_runs(folder_ / "a", folder_ / "b"); }}) {
    const std::string text = message(act, ErrorKind::input);
    EXPECT_THAT(text, HasSubstr("different protocols"));
    EXPECT_THAT(text, HasSubstr("horizon: 7 against 5"));
    EXPECT_THAT(text, HasSubstr("origins: 2024-02-20, 2024-02-27 against"));
  }
}

TEST_F(Report, refuses_runs_that_forecast_another_column) {
  write_run(folder_.path(), "a", 3);
  write_run(folder_.path(), "b", 3);
  const std::filesystem::path path = folder_ / "b" / "backtest" / "result.json";
  auto json = nlohmann::ordered_json::parse(read_file(path));
  EXPECT_EQ(json["corpus"]["target"], "demand");
  json["corpus"]["target"] = "visits";
  write_file_atomically(path, json.dump());
  EXPECT_THAT(message(
                  [&] {
                    gather({"a", "b"});
                  },
                  ErrorKind::input),
              HasSubstr("column forecast: demand against visits"));
  EXPECT_THAT(report_markdown(gather({"b"})), HasSubstr("- Forecast: visits"));
}

TEST_F(Report, refuses_runs_whose_baselines_were_made_otherwise) {
  write_run(folder_.path(), "a", 3);
  BacktestConfig other = report_config();
  other.seasonal_gaps = SeasonalGaps::last_value;
  write_run(folder_.path(), "gaps", 3, other);
  EXPECT_THAT(message(
                  [&] {
                    gather({"a", "gaps"});
                  },
                  ErrorKind::input),
              HasSubstr("MAE of Seasonal Naive: "));
  other = report_config();
  other.hierarchy = {"all"};
  write_run(folder_.path(), "sums", 3, other);
  EXPECT_THAT(message([&] { gather({"a", "sums"}); }, ErrorKind::input), HasSubstr("sums of WRMSSE: "));
  other.hierarchy.clear();  // has none, so none that differs
  write_run(folder_.path(), "none", 3, other);
  EXPECT_NO_THROW(gather({"a", "none"}));
}

TEST_F(Report, names_what_is_wrong_with_a_run) {
  write_run(folder_.path(), "a", 3);
  EXPECT_THAT(message([&] { gather({}); }, ErrorKind::input), HasSubstr("no run"));
  EXPECT_THAT(message([&] { gather({"a", "a"}); }, ErrorKind::input), HasSubstr("named twice"));
  std::filesystem::create_directories(folder_ / "unfinished");
  EXPECT_THAT(message(
                  [&] {
                    gather({"a", "unfinished"});
                  },
                  ErrorKind::input),
              HasSubstr("run: shelfcast backtest"));
  const auto damage = [&](const char* file, const std::string& bytes) {
    const std::string whole = read_file(folder_ / "a" / file);
    write_file_atomically(folder_ / "a" / file, bytes.empty() ? whole.substr(0, whole.size() / 8) : bytes);
    const std::string text = message([&] { gather({"a"}); }, ErrorKind::data);
    write_file_atomically(folder_ / "a" / file, whole);
    return text;
  };
  for (const char* file : {"backtest/result.json", "backtest/fans.json", "backtest/run.json",
                           "backtest/series.csv", "backtest/dates.csv", "backtest/wrmsse.csv"})
    EXPECT_THAT(damage(file, ""), HasSubstr(file));
  const std::string all_series = read_file(folder_ / "a/backtest/series.csv");  // torn in a baseline's lines
  EXPECT_THAT(damage("backtest/series.csv", all_series.substr(0, all_series.size() - 3)), HasSubstr("torn"));
  EXPECT_THAT(damage("backtest/result.json", "{\"format\": 1}"), HasSubstr("format is 1"));
  EXPECT_THAT(damage("backtest/series.csv", "model\nSeasonal quantiles,x,1,2\n"),
              HasSubstr("row 2 has 4 cells"));
  const std::string series = read_file(folder_ / "a/backtest/series.csv");
  EXPECT_THAT(damage("backtest/series.csv", series.substr(0, series.find("Seasonal quantiles,series-9"))),
              HasSubstr("9 of 11"));
  EXPECT_THAT(damage("metrics.jsonl", "{\"step\": 1}\n{\"st"), HasSubstr("line 2 of"));
  // Whole lines, but too few: tests over dates would come out otherwise.
  for (const char* file : {"backtest/series.csv", "backtest/dates.csv", "backtest/wrmsse.csv"}) {
    const std::string whole = read_file(folder_ / "a" / file);
    const std::string shorter = whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1);
    EXPECT_THAT(damage(file, shorter), AllOf(HasSubstr(file), HasSubstr("not the file that result.json")));
  }
  EXPECT_NO_THROW(gather({"a"}));
}

TEST_F(Report, names_a_file_whose_lists_do_not_fit_each_other) {
  BacktestConfig config = report_config();
  config.combine.methods = {"mean"};
  config.classes = {0.25, 0.75};
  write_run(folder_.path(), "a", 3, config);
  const auto damage = [&](const char* name, const std::function<void(nlohmann::ordered_json&)>& change) {
    const std::filesystem::path file = folder_ / "a/backtest" / name;
    const std::string whole = read_file(file);
    auto json = nlohmann::ordered_json::parse(whole);
    change(json);
    write_file_atomically(file, json.dump());
    const std::string text = message([&] { gather({"a"}); }, ErrorKind::data);
    write_file_atomically(file, whole);
    return text;
  };
  EXPECT_THAT(
      damage("result.json", [](auto& json) { json["combinations"]["weights"][1]["weights"].erase(0); }),
      HasSubstr("weights of a combination"));
  EXPECT_THAT(damage("result.json", [](auto& json) { json["protocol"]["classes"] = {0.5}; }),
              HasSubstr("shares of low and high demand"));
  EXPECT_THAT(damage("fans.json", [](auto& json) { json[0]["forecasts"][0]["quantiles"].erase(0); }),
              HasSubstr("quantiles of a series"));
  EXPECT_THAT(damage("fans.json", [](auto& json) { json[0]["target"].erase(0); }),
              HasSubstr("steps of a median"));
  EXPECT_THAT(damage("fans.json", [](auto& json) { json[0]["forecasts"].clear(); }),
              HasSubstr("no forecast of"));
}

// A backtest anew that was killed before its last file.
TEST_F(Report, does_not_mix_two_backtests_of_a_run) {
  write_run(folder_.path(), "a", 3);
  const std::filesystem::path result = folder_ / "a" / "backtest" / "result.json";
  const std::string before = read_file(result);
  BacktestConfig fewer = report_config();
  fewer.origins = 1;
  write_run(folder_.path(), "a", 3, fewer);
  write_file_atomically(result, before);
  EXPECT_THAT(message([&] { gather({"a"}); }, ErrorKind::data),
              AllOf(HasSubstr("not the file that result.json"), HasSubstr("run the backtest again")));
}

TEST_F(Report, refuses_runs_whose_costs_and_groups_mean_something_else) {
  write_run(folder_.path(), "a", 3);
  const auto refusal = [&](const std::function<void(BacktestConfig&)>& change) {
    BacktestConfig other = report_config();
    change(other);
    write_run(folder_.path(), "b", 3, other);
    return message([&] { gather({"a", "b"}); }, ErrorKind::input);
  };
  EXPECT_THAT(refusal([](BacktestConfig& config) { config.orders.service = 0.5; }),
              HasSubstr("orders: every"));
  EXPECT_THAT(refusal([](BacktestConfig& config) { config.bootstrap += 10; }),
              HasSubstr("resamples of the bootstrap: "));
  BacktestConfig none = report_config();
  none.orders.review = 0;
  write_run(folder_.path(), "b", 3, none);
  EXPECT_NO_THROW(gather({"a", "b"}));
}

std::string published(double anchor, int horizon) {
  return fmt::format(
      R"({{"tasks": [{{"name": "small task", "source": "a paper", "protocol": {{"series": 11, "horizon": {}}},
          "anchor": {{"baseline": "Naive", "metric": "mase_window_mean", "value": {}}},
          "metrics": [["MASE", "mase_window_mean"]], "rows": [{{"model": "Oracle", "MASE": 0.001}}]}}]}})",
      horizon, anchor);
}

TEST_F(Report, shows_published_rows_only_beside_their_own_protocol) {
  write_run(folder_.path(), "a", 3);
  const ReportData plain = gather({"a"});
  EXPECT_TRUE(plain.published.empty());
  double naive = 0;
  for (const ForecasterResult& f : plain.result.forecasters)
    if (f.name == "Naive") naive = *f.overall.score("mase_window_mean").value;
  const std::filesystem::path rows = folder_ / "rows.json";
  write_file_atomically(rows, published(naive * 1.0001, 7));
  const ReportData data = gather_report({folder_ / "a"}, rows);
  EXPECT_THAT(report_html(data), HasSubstr("Oracle (published)"));
  EXPECT_THAT(report_markdown(data), HasSubstr("| Oracle (published) |"));
  EXPECT_EQ(main_table(data, window_metrics()).rows.back().name, "Oracle");
  EXPECT_TRUE(main_table(data, window_metrics()).rows.back().cells[0].best);
  EXPECT_NE(main_table(data, main_metrics()).rows.back().name, "Oracle");  // no such metric there

  const auto refused = [&](const std::string& text, ErrorKind kind) {
    write_file_atomically(rows, text);
    return message([&] { gather_report({folder_ / "a"}, rows); }, kind);
  };
  EXPECT_THAT(refused(published(naive, 8), ErrorKind::input), HasSubstr("horizon is 7, published 8"));
  EXPECT_THAT(refused(published(naive * 1.01, 7), ErrorKind::input),
              HasSubstr("mase_window_mean of Naive is"));
  EXPECT_THAT(refused("{}", ErrorKind::data), HasSubstr("holds no published rows"));
  const auto with = [&](const std::string& before, const std::string& after) {
    std::string text = published(naive, 7);
    return text.replace(text.find(before), before.size(), after);
  };
  EXPECT_THAT(refused(with("\"horizon\"", "\"horizn\""), ErrorKind::input),
              AllOf(HasSubstr("unknown key \"horizn\""), HasSubstr("did you mean horizon")));
  EXPECT_THAT(refused(with("\"mase_window_mean\"]", "\"mase_window_men\"]"), ErrorKind::input),
              AllOf(HasSubstr("column MASE of the published task small task has the unknown metric"),
                    HasSubstr("\"mase_window_men\""), HasSubstr("did you mean mase_window_mean?")));
  EXPECT_THAT(refused(with("\"metric\": \"mase_window_mean\"", "\"metric\": \"maes\""), ErrorKind::input),
              AllOf(HasSubstr("the anchor of small task"), HasSubstr("did you mean mae?")));
  EXPECT_THAT(
      refused(with("\"MASE\": 0.001", "\"MASES\": 0.001"), ErrorKind::input),
      AllOf(HasSubstr("a row of small task has the unknown key \"MASES\""), HasSubstr("did you mean MASE?")));
  EXPECT_THAT(refused(with("\"MASE\": 0.001", "\"MASE\": \"0.001\""), ErrorKind::input),
              HasSubstr("MASE of Oracle in small task is \"0.001\", which is no number"));
  EXPECT_THAT(refused(with("\"rows\"", "\"row\""), ErrorKind::input), HasSubstr("did you mean rows?"));
  EXPECT_THAT(refused(with("\"tasks\"", "\"task\""), ErrorKind::input), HasSubstr("did you mean tasks?"));
  // A mean over other levels is another measure.
  EXPECT_THAT(refused(with("\"horizon\"", "\"quantile_levels\": [0.5], \"horizon\""), ErrorKind::input),
              HasSubstr("quantile_levels is [0.1,"));
}

TEST_F(Report, tells_the_rules_in_every_form) {
  BacktestConfig config = report_config();
  config.history = 60;
  write_run(folder_.path(), "a", 3, config);
  const ReportData data = gather({"a"});
  const std::string markdown = report_markdown(data), html = report_html(data);
  for (const char* value :
       {"2024-02-20, 2024-02-27 (the first day of each horizon), 7 days apart", "60 days before an origin",
        "reviewed every 2 days, 1 until one arrives, service level 0.9",
        "never: what learns, learns before the first origin", "no origin lies before it"}) {
    EXPECT_THAT(markdown, HasSubstr(value));
    EXPECT_THAT(html, HasSubstr(value));
  }
  EXPECT_THAT(html, Not(HasSubstr("see the whole history")));
  EXPECT_THAT(markdown, AllOf(HasSubstr("- Resamples of the bootstrap: 100"), HasSubstr("- build: v1"),
                              HasSubstr("- Covariates: price (known ahead)")));
}

// n = 0 is said of groups where nothing was judged, and of nothing else.
TEST_F(Report, leaves_open_what_a_run_was_not_asked_for) {
  write_run(folder_.path(), "a", 3);
  BacktestConfig fewer = report_config();
  fewer.by = {"category", "horizon", "price"};
  fewer.baselines.clear();
  write_run(folder_.path(), "b", 2, fewer);
  const ReportData data = gather({"a", "b"});
  const std::string markdown = report_markdown(data);
  const std::size_t stores = markdown.find("| store | n | a | b |");
  ASSERT_NE(stores, std::string::npos);
  const std::string row = markdown.substr(markdown.find("|--:|\n", stores) + 6);
  EXPECT_THAT(row.substr(0, row.find('\n')), AllOf(HasSubstr("| – |"), Not(HasSubstr("n = 0"))));
  EXPECT_THAT(heat_map(data.result, "store", {"north"}, "mae").dump(),
              AllOf(HasSubstr("\"–\""), Not(HasSubstr("n = 0"))));
}

TEST_F(Report, tex_names_the_tests_that_were_made) {
  write_run(folder_.path(), "a", 3);
  EXPECT_THAT(report_latex(gather({"a"})), HasSubstr("dagger: worse (paired bootstrap and Diebold-Mariano)"));
  BacktestConfig once = report_config();
  once.origins = 1;
  once.horizon = 2;
  write_run(folder_.path(), "b", 3, once);
  EXPECT_THAT(report_latex(gather({"b"})), HasSubstr("too few dates to test other weeks"));
}

TEST_F(Report, says_first_which_other_run_is_better_and_counts_only_what_compares) {
  write_run(folder_.path(), "a", 3);
  write_run(folder_.path(), "b", 2);
  ReportData data = gather({"a", "b"});
  const std::string first = data.runs.front().name, second = data.runs.back().name;
  EXPECT_THAT(summarise(data).headline, Not(HasSubstr("Another run")));
  for (Comparison& c : data.between) {
    if (c.metric == "mae") c.verdict = Verdict::worse;
    if (c.metric == "wql") c.difference.reset();  // as of other levels
  }
  const Summary summary = summarise(data);
  EXPECT_THAT(summary.headline, HasSubstr("Another run beats it: " + second + " on MAE."));
  EXPECT_NE(summary.verdict, Verdict::better);
  EXPECT_THAT(summary.sentences,
              AllOf(Contains(HasSubstr("On MAE it beats 0 of 1 other runs; it loses to " + second)),
                    Contains(HasSubstr("On WQL no other run compares: other levels of quantiles."))));
}

TEST_F(Report, ships_published_rows_that_can_be_read_and_fit_other_data_nowhere) {
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = judge_panel(folder_.path(), make_small_panel(), model, report_config());
  const std::vector<PublishedTask> tasks = published_tasks(shipped_published_rows(), "shipped", result);
  ASSERT_EQ(tasks.size(), 3U);
  for (const PublishedTask& task : tasks) {
    EXPECT_GE(task.rows.size(), 20U);
    EXPECT_FALSE(task.mismatch.empty());
  }
}

TEST_F(Report, stands_where_hardly_anything_was_observed) {
  SmallPanel panel = make_small_panel();
  for (std::int64_t s = 0; s < panel.series; ++s)
    for (std::int64_t t = panel.demand_end - 14; t < panel.demand_end - (s == 0 ? 1 : 0); ++t)
      panel.demand[static_cast<std::size_t>(s * panel.steps + t)] = kNan;
  SeasonalQuantiles model(7, 3);
  const BacktestResult result = judge_panel(folder_.path(), panel, model, report_config());
  EXPECT_EQ(result.judgement.targets, 1);
  write_run(folder_ / "a", result);
  EXPECT_THAT(report_html(gather({"a"})), HasSubstr("no clear difference"));
}

TEST_F(Report, writes_all_its_forms) {
  write_run(folder_.path(), "a", 3);
  write_report({folder_ / "a"}, folder_ / "out");
  for (const char* file : {"report.html", "report.md", "report.tex", "report.csv"})
    EXPECT_GT(std::filesystem::file_size(folder_ / "out" / file), 200U) << file;
  const auto json = nlohmann::json::parse(read_file(folder_ / "out/report.json"));
  EXPECT_EQ(json.at("runs").at(0).at("name"), "a");
  EXPECT_EQ(json.at("table").at(0).at("n"), json.at("result").at("protocol").at("targets"));
}

TEST(ReportText, numbers_have_four_digits_and_marked_thousands) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(1234567.8), "1,234,568");
  EXPECT_EQ(format_number(-1234.5), "-1,234");
  EXPECT_EQ(format_number(3.14159), "3.142");
  EXPECT_EQ(format_number(0.00123456), "0.001235");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(shorten("Ōsaka", 3), "Ōsa…");
}

}  // namespace
}  // namespace shelfcast::eval
