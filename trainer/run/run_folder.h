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

  // Makes the folder for a new run or checks that the stored recipe is this one. Returns whether the run goes
  // on. Throws Error(input) for an existing folder without resume, a resume of nothing, or a recipe that
  // differs in what results depend on (the first differing key is named). On one rank; the others wait for
  // it.
  bool prepare(const Recipe& wanted, Resume resume) const;

  // The stored recipe of a finished or interrupted run. Throws Error(input) when this is not a run folder.
  Recipe stored_recipe() const;

 private:
  std::filesystem::path path_;
};

}  // namespace shelfcast::trainer
