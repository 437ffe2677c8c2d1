// A folder with a small corpus, recipes that train in a second, and what tests ask of the runs.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/safetensors.h"
#include "parallel/launch.h"
#include "tests/trainer/small_corpus.h"
#include "trainer/run/checkpoint.h"
#include "trainer/trainer.h"

namespace shelfcast::trainer {

namespace fs = std::filesystem;

class Training : public ::testing::Test {
 protected:
  explicit Training(const SmallCorpusOptions& corpus = {})
      : folder_(fs::temp_directory_path() / fmt::format("shelfcast-train-{}", getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    make_small_corpus(folder_ / "small.corpus", corpus);
  }
  ~Training() override { fs::remove_all(folder_); }

  // A recipe small enough for seconds; its run folder is named `run`.
  Recipe recipe(const std::string& run, const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all = {"data.corpus=" + (folder_ / "small.corpus").string(),
                                    "run.dir=" + (folder_ / run).string()};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return parse_recipe(
        "data: {context: 28, horizon: 7, known: [promo, event], past: [visits], calendar: [weekday],"
        " static: [store, category], chunk_series: 4, superblock: 2}\n"
        "model: {tower: bolt-nano, patch: 7, dropout: 0.1, scale_floor: 0.5, heads: {quantiles: [0.1, 0.5, "
        "0.9]}}\n"
        "train: {steps: 30, batch: 24, micro_batch: 12, validate_every: 10, checkpoint_every: 10, log_every: "
        "5,"
        " optimizer: {lr: 3.0e-3}, schedule: {warmup: 5}}\n"
        "backtest: {origins: 2, stride: 7, horizon: 7, batch: 16}\n",
        "test.yaml", all);
  }

  static TrainResult train_alone(const Recipe& recipe, TrainOptions options = {}) {
    const auto single = parallel::make_single();
    return train(recipe, options, *single);
  }

  static TrainResult train_on(int ranks, const Recipe& recipe, TrainOptions options = {}) {
    TrainResult result;
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      const TrainResult own = train(recipe, options, communicator);
      if (communicator.rank() == 0) result = own;
    });
    return result;
  }

  // All weights of a run's newest checkpoint as one vector.
  std::vector<float> weights(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    std::vector<float> all;
    const fs::path checkpoint = checkpoints.path_of(checkpoints.steps().back());
    for (const char* file : {"tower/model.safetensors", "fusion.safetensors", "text/model.safetensors"}) {
      if (!fs::exists(checkpoint / file)) continue;  // a frozen text encoder
      const SafetensorsFile stored(checkpoint / file);
      for (const auto& [name, tensor] : stored.tensors()) {
        const std::vector<float> values = tensor.to_float();
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return all;
  }

  fs::path folder_;
};

inline double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(a[i]), 2);
  }
  return std::sqrt(difference / norm);
}

inline std::vector<nlohmann::json> read_lines(const fs::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

inline std::string message_of(const std::function<void()>& call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace shelfcast::trainer
