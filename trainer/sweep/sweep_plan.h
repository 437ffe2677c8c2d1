// A sweep, resolved: its runs by name, the rungs they climb, and all that a job needs to know. sweep.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/sweep/sweep_file.h"

namespace shelfcast::trainer {

struct PlannedRun {
  std::string id;                      // from the digest of its resolved recipe; the name of its folder
  std::vector<std::string> overrides;  // "train.batch=64"
  std::int64_t steps = 0;              // full budget
  std::int64_t early_stop = 0;         // validations without a new best that end it; 0 = none
};

struct SweepPlan {
  std::filesystem::path dir;          // absolute
  std::filesystem::path working_dir;  // where relative paths of the recipe start
  std::string base;                   // resolved recipe before the varied keys, YAML
  std::vector<PlannedRun> runs;
  std::vector<std::int64_t> rungs;  // steps; the last one stands for the full budget of each run
  std::string metric;
  Goal goal = Goal::minimise;
  HalvingConfig halving;
  std::int64_t retries = 1;
  std::string corpus, corpus_digest;  // of train.task text_labels: the table
  // Digests of all that runs are trained on, by path: more than that where `keys` vary it.
  std::map<std::string, std::string> sources;
  std::string identity;  // what makes it this sweep and no other: lines of "key: value"
  LocalConfig local;
  SlurmConfig slurm;

  std::int64_t last_rung() const { return static_cast<std::int64_t>(rungs.size()) - 1; }
  // The step a run trains to on a rung.
  std::int64_t target(std::size_t run, std::int64_t rung) const;
  std::filesystem::path run_folder(std::size_t run) const { return dir / runs[run].id; }
  std::filesystem::path recipe() const { return dir / "base.yaml"; }
  std::filesystem::path ledger() const { return dir / "ledger.jsonl"; }
  std::filesystem::path log_folder() const { return dir / "logs"; }
  std::filesystem::path script() const { return dir / "sweep.sbatch"; }
};

// Every point through the strict reader of recipes; points that resolve to the same recipe are one run.
// Throws Error(input): expand()'s errors, unknown keys and wrong values with the line of the sweep, rungs
// without a validation at their end, none but the last; what read_manifest() says about the corpus, or
// digest_file() about the table of texts.
SweepPlan make_plan(const SweepFile& sweep);

// Steps of the rungs: first, first * keep, ... and the full budget.
std::vector<std::int64_t> rung_steps(const HalvingConfig& halving, std::int64_t steps);

// Whether the folder holds a sweep.
bool is_sweep_folder(const std::filesystem::path& dir);
// Throws Error(input) when it does not, Error(data) when sweep.json is damaged.
SweepPlan load_plan(const std::filesystem::path& dir);
// Makes the folder, or takes over a plan for the sweep that lies there (how runs are started may have
// changed). Throws Error(input) when another sweep lies there, naming the first difference, or when the
// corpus is not the one it began with. The caller holds the sweep's lock.
void store_plan(const SweepPlan& plan);

// Throws Error(data) when a corpus is no longer the one the sweep began with.
void check_corpus(const SweepPlan& plan);

}  // namespace shelfcast::trainer
