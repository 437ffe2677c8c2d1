// A sweep over a small synthetic corpus, and runs that are only pretended.
#pragma once

#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/small_corpus.h"
#include "trainer/sweep/ledger.h"
#include "trainer/sweep/sweep_plan.h"

namespace shelfcast::trainer {

inline std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class SweepFolder {
 public:
  SweepFolder() {
    make_small_corpus(folder_ / "s.corpus");
    write("r.yaml", "data: {corpus: " + (folder_ / "s.corpus").string() +
                        ", context: 14, horizon: 7}\n"
                        "model: {tower: bolt-nano, patch: 7}\n"
                        "train: {steps: 90, batch: 64, micro_batch: 8, validate_every: 10}\n"
                        "backtest: {origins: 2, stride: 7, horizon: 7}\n");
  }

  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(folder_ / name, text);
  }
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  // The sweep that `yaml` describes, in the folder "sweep" unless it says otherwise.
  SweepFile file(const std::string& yaml) const {
    SweepFile sweep = parse_sweep("recipe: r.yaml\n" + yaml, folder_ / "sweep.yaml");
    if (yaml.find("dir:") == std::string::npos) sweep.dir = (folder_ / "sweep").string();
    return sweep;
  }
  SweepPlan plan(const std::string& yaml) const { return make_plan(file(yaml)); }
  // The same, with its folder made.
  SweepPlan stored(const std::string& yaml) const {
    SweepPlan made = plan(yaml);
    std::filesystem::create_directories(made.dir);
    store_plan(made);
    return made;
  }

 private:
  testing::TemporaryFolder folder_;
};

inline nlohmann::json started(const SweepPlan& plan, std::size_t run, std::int64_t rung, Worker worker = {}) {
  return {{"event", "started"},  {"run", plan.runs[run].id},
          {"rung", rung},        {"submission", worker.submission},
          {"task", worker.task}, {"job", "7_1"}};
}

inline nlohmann::json result(const SweepPlan& plan, std::size_t run, std::int64_t rung, double metric) {
  return {{"event", "result"}, {"run", plan.runs[run].id}, {"rung", rung}, {"step", plan.target(run, rung)},
          {"metric", metric},  {"submission", 0},          {"task", 0}};
}

inline nlohmann::json failed(const SweepPlan& plan, std::size_t run, std::int64_t rung) {
  return {
      {"event", "failed"}, {"run", plan.runs[run].id}, {"rung", rung}, {"error", "broke"}, {"final", true}};
}

}  // namespace shelfcast::trainer
