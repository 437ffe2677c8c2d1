// The folder of a run: what lies where, and the rule that a run is never overwritten.
#pragma once

#include <filesystem>
#include <string>

#include "trainer/recipe/recipe.h"
#include "trainer/run/resume.h"

namespace shelfcast::trainer {

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }
  std::filesystem::path environment() const { return path_ / "environment.json"; }
  std::filesystem::path features() const { return path_ / "features.json"; }
  std::filesystem::path anchor() const { return path_ / "ewc.safetensors"; }  // of train.ewc
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path bad_steps() const { return path_ / "bad-steps.jsonl"; }
  std::filesystem::path backtest() const { return path_ / "backtest"; }
  std::filesystem::path report() const { return path_ / "report"; }
  std::filesystem::path log(int rank) const;
  bool exists() const { return std::filesystem::exists(recipe()); }

  // Whether a run goes on here. Throws Error(input) for an existing one without resume, a resume of nothing,
  // or a recipe that differs in what results depend on (the first differing key is named).
  bool goes_on(const Recipe& wanted, Resume resume) const;
  // Makes the folder, which is no run yet, and its lock's place. Throws Error(io).
  void make() const;
  // Makes it the run of this recipe. Under the run's lock: another process may begin one in the same moment.
  void begin(const Recipe& wanted) const;

  // The stored recipe of a finished or interrupted run. Throws Error(input) when this is not a run folder.
  Recipe stored_recipe() const;

 private:
  std::filesystem::path path_;
};

}  // namespace shelfcast::trainer
