// A retrain whose programs are pretended by a script (fake_shelfcast.sh).
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"
#include "tests/trainer/sweep_fixture.h"
#include "trainer/retrain/retrain.h"
#include "trainer/retrain/retrain_report.h"
#include "trainer/run/checkpoint.h"

namespace shelfcast::trainer {

namespace fs = std::filesystem;

class RetrainFixture : public ::testing::Test {
 protected:
  RetrainFixture() {
    SmallCorpusOptions options;
    options.series = 6;
    for (const int steps : {100, 120, 140}) {
      options.steps = steps;
      make_small_corpus(folder_ / fmt::format("c{}.corpus", steps), options);
    }
    fs::create_directory_symlink(folder_ / "c100.corpus", folder_ / "c.corpus");
    write("new.csv", "s\n");
    write("r.yaml", "data: {corpus: " + (folder_ / "c.corpus").string() +
                        ", context: 14, horizon: 7}\nmodel: {tower: bolt-nano, patch: 7}\n"
                        "train: {steps: 90, batch: 64, micro_batch: 8}\n"
                        "backtest: {origins: 2, stride: 7, horizon: 7}\n");
    write(
        "state.json",
        R"({"step": 90, "best_metric": 0.5, "best_step": 80, "validations_without_best": 0, "conditions": {}})");
    write("manifest.json",
          nlohmann::json{{"files", {{"state.json", describe_file(folder_ / "state.json")}}}}.dump());
    std::string series = "model,series,n,absolute_error,squared_error,absolute_target\n";
    for (int i = 0; i < 40; ++i)
      series += fmt::format("MODEL,\"s,{}\",10,{},{},100\n", i, 10 + i % 7, 20 + i % 5);
    write("series.csv", series);
    const auto score = [](const char* value) { return fmt::format(R"({{"value": {}, "n": 400}})", value); };
    const std::string both = fmt::format(R"("mae": {}, "mse": {})", score("QUALITY"), score("QUALITY"));
    write("result.json",
          fmt::format(R"({{"corpus": {{"digest": "d"}}, "protocol": {{"origins": ["2022-03-01"], "horizon": 7,
 "bootstrap_resamples": 200}}, "forecasters": [{{"name": "MODEL", "overall": {{{0}}}, "by": {{"category": {{"food": {{{0}}}}}}}}},
 {{"name": "seasonal_naive", "overall": {{"mae": {1}, "mse": {1}}}, "by": {{}}}}]}})",
                      both, score("2")));
    fs::copy_file(testing::source_dir() / "tests/trainer/fake_shelfcast.sh", folder_ / "shelfcast");
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  // What the next append brings.
  void new_days(int steps) const {
    fs::remove(folder_ / "next");
    fs::create_directory_symlink(folder_ / fmt::format("c{}.corpus", steps), folder_ / "next");
  }
  // The errors of a retrain's challenger, over the usual ones.
  void quality(int retrain, double value) const {
    write("quality-" + four_digits(retrain), fmt::format("{}", value));
  }

  RetrainFile file(const std::string& more = "") const {
    RetrainFile made = parse_retrain(
        "recipe: r.yaml\nnew: {from: " + (folder_ / "new.csv").string() + ", format: rossmann}\n" + more,
        folder_ / "w.yaml");
    made.dir = dir().string();
    return made;
  }
  fs::path dir() const { return folder_ / "w"; }
  Retrainer::Ending retrain(const std::string& more = "") const {
    return Retrainer(file(more), folder_ / "shelfcast").run({});
  }
  History history() const { return read_history({dir()}); }
  std::string current() const { return fs::read_symlink(dir() / "current").filename().string(); }
  std::int64_t calls(const std::string& command) const {
    std::ifstream lines(folder_ / "calls");
    std::int64_t count = 0;
    for (std::string line; std::getline(lines, line);) count += line.starts_with(command + " ");
    return count;
  }
  // Names of everything in the folder, and what the history says; free of times.
  std::string state() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(dir()))
      if (!entry.path().filename().string().ends_with(".log") && entry.path().filename() != "retrain.lock")
        names.push_back(fs::relative(entry.path(), dir()).string());
    std::sort(names.begin(), names.end());
    return fmt::format("{}\ncurrent {}\n{}", fmt::join(names, "\n"), current(), history_table(history()));
  }

  testing::TemporaryFolder folder_;
};

}  // namespace shelfcast::trainer
