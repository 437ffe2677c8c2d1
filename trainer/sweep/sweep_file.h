// The file that describes a sweep: which keys of a recipe to vary, how, and what for (docs/sweeps.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::trainer {

// One varied key: a list of values, or an interval to draw from.
struct SweepAxis {
  enum class Kind { list, uniform, log_uniform, whole };
  std::string key;  // "train.optimizer.lr"
  Kind kind = Kind::list;
  std::vector<std::string> values;  // of a list, as YAML
  double low = 0, high = 0;         // of an interval, both included
  std::string place;                // "sweep.yaml:7", for messages
};

enum class SweepMethod { grid, random, sobol };
enum class Goal { minimise, maximise };

// Successive halving (Jamieson and Talwalkar, 2016; asynchronous: Li et al., "A system for massively parallel
// hyperparameter tuning", 2020).
struct HalvingConfig {
  enum class Kind { none, sync, async } kind = Kind::none;
  std::int64_t first = 0;  // steps of the first rung
  std::int64_t keep = 3;   // one of so many goes on; rungs grow by the same factor
};

// How runs are started on this machine.
struct LocalConfig {
  std::string launcher;      // words before `shelfcast train`: "mpirun -n 2"; empty = one rank
  std::int64_t at_once = 1;  // runs
};

// How runs are started by Slurm.
struct SlurmConfig {
  std::string launcher;  // empty: none for one rank, else "srun --mpi=pmix"
  std::string partition, gpus_per_node, time;
  std::int64_t nodes = 1, tasks_per_node = 1, cpus_per_task = 1;
  std::int64_t at_once = 0;        // tasks of the job array that may run together; 0 = no limit
  std::int64_t most_tasks = 1000;  // of one job array (the cluster's MaxArraySize - 1): more runs share tasks
  std::int64_t warn_seconds = 120;   // signal before the time limit
  std::string stage;                 // node-local folder the corpus is copied to first; empty = none
  std::vector<std::string> options;  // further #SBATCH options: "--account=forecast"
  std::vector<std::string> setup;    // lines of shell before anything starts: "module load openmpi"
};

struct SweepFile {
  std::filesystem::path file;    // the description itself
  std::filesystem::path recipe;  // relative paths: from the folder of `file`
  std::string dir;               // the sweep's folder; default runs/<file name>
  SweepMethod method = SweepMethod::grid;
  std::int64_t runs = 0;  // of random and sobol
  std::int64_t seed = 17;
  std::vector<std::string> set;  // overrides of every run
  std::vector<SweepAxis> axes;
  std::string metric = "validation_loss";  // a key of metrics.jsonl
  Goal goal = Goal::minimise;
  HalvingConfig halving;
  std::int64_t retries = 1;       // of a run that failed, before it is given up
  std::int64_t most_runs = 5000;  // a sweep that expands to more is taken for a mistake
  LocalConfig local;
  SlurmConfig slurm;
};

// Throws Error(input) "file:line: ..." for unknown keys (with the nearest name), wrong types and what makes
// no sense; keys under `keys` and `set` are checked against the recipe later.
SweepFile parse_sweep(const std::string& yaml, const std::filesystem::path& file);
SweepFile read_sweep(const std::filesystem::path& file);

}  // namespace shelfcast::trainer
