// Run folders with a backtest of the small panel, for tests of reports.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "eval/backtest.h"
#include "eval/report/report.h"
#include "tests/eval/small_panel.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::eval {

inline BacktestResult judge_panel(const std::filesystem::path& folder, const SmallPanel& panel,
                                  Forecaster& model, const BacktestConfig& config) {
  if (!std::filesystem::exists(folder / "small.corpus")) write_panel(panel, folder / "small.corpus");
  const auto single = parallel::make_single();
  const auto spec = data::make_features(small_config(28, 7), data::Corpus(folder / "small.corpus"), 30);
  return run_backtest(config, folder / "small.corpus", spec, {&model}, 40, *single);
}

inline BacktestConfig report_config() {
  BacktestConfig config;
  config.origins = 2;
  config.stride = config.horizon = 7;
  config.bootstrap = 100;
  config.by = {"category", "store", "horizon", "price"};
  config.price = "price";
  config.hierarchy = {"all", "shop"};
  config.orders = {2, 1, 0.9};
  return config;
}

inline RunMetadata small_metadata(const std::string& title) {
  return {title, {{"build", "v1"}}, {{"cpu", "a <fast> one"}}, {"shelfcast backtest runs/x"}, 1.5,
          2,     123'000'000};
}

// A folder like those that training and backtests leave.
inline void write_run(const std::filesystem::path& run, const BacktestResult& result) {
  write_backtest(result, run, small_metadata("A & B"));
  std::ofstream log(run / "metrics.jsonl");
  for (int step = 10; step <= 100; step += 10) {
    log << R"({"step":)" << step << R"(,"loss":)" << 1.0 / step << R"(,"windows_per_second":)" << 100 + step
        << R"(,"peak_memory_bytes":5000000,"time":)" << 1000 + step << "}\n";
    if (step % 50 == 0) log << R"({"step":)" << step << R"(,"validation_loss":)" << 2.0 / step << "}\n";
  }
}

inline void write_run(const std::filesystem::path& folder, const std::string& name, std::int64_t seasons,
                      const BacktestConfig& config = report_config()) {
  SeasonalQuantiles model(7, seasons);
  write_run(folder / name, judge_panel(folder, make_small_panel(), model, config));
}

inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

class Report : public ::testing::Test {
 protected:
  ReportData gather(const std::vector<std::string>& names) const {
    std::vector<std::filesystem::path> runs;
    for (const std::string& name : names) runs.push_back(folder_ / name);
    return gather_report(runs, {});
  }
  std::string message(const std::function<void()>& act, ErrorKind kind) const {
    try {
      act();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "no error";
  }

  testing::TemporaryFolder folder_;
};

}  // namespace shelfcast::eval
