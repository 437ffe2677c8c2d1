#include "trainer/sweep/sweep_file.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "trainer/recipe/recipe_block.h"

namespace shelfcast::trainer {
namespace {

const Choices<SweepMethod> kMethods = {
    {"grid", SweepMethod::grid}, {"random", SweepMethod::random}, {"sobol", SweepMethod::sobol}};
const Choices<Goal> kGoals = {{"min", Goal::minimise}, {"max", Goal::maximise}};
const Choices<HalvingConfig::Kind> kKinds = {{"sync", HalvingConfig::Kind::sync},
                                             {"async", HalvingConfig::Kind::async}};

std::string yaml_of(const YAML::Node& node) {
  YAML::Emitter emitter;
  emitter << YAML::Flow << node;
  return emitter.c_str();
}

// Also one that a double tells from its neighbours.
bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 0x1p53; }

void read_interval(const Block& block, const std::string& name, const YAML::Node& node, SweepAxis& axis) {
  if (!node.IsSequence() || node.size() != 2 || !read_number(node[0], axis.low) ||
      !read_number(node[1], axis.high) || !(axis.low < axis.high))
    block.fail(node, fmt::format("{} of {} must be [low, high] with low < high", name, axis.key));
  if (axis.kind == SweepAxis::Kind::log_uniform && !(axis.low > 0))
    block.fail(node, fmt::format("log of {} must start above 0", axis.key));
  if (axis.kind == SweepAxis::Kind::whole && !(is_whole(axis.low) && is_whole(axis.high)))
    block.fail(node, fmt::format("whole of {} must be [low, high] of whole numbers", axis.key));
}

SweepAxis read_axis(const Block& keys, const std::string& key, const YAML::Node& node) {
  SweepAxis axis;
  axis.key = key;
  axis.place = keys.at(node);
  if (node.IsSequence()) {
    for (const YAML::Node& value : node) axis.values.push_back(yaml_of(value));
    return axis;
  }
  if (!node.IsMap())
    keys.fail(node, fmt::format("{} must be a list of values or an interval", key), "",
              "write [0.1, 0.2], or one of {range: [low, high]}, {log: [low, high]}, {whole: [low, high]}");
  Block block(keys.origin(), key, node);
  int intervals = 0;
  for (const auto& [name, kind] :
       {std::pair("range", SweepAxis::Kind::uniform), std::pair("log", SweepAxis::Kind::log_uniform),
        std::pair("whole", SweepAxis::Kind::whole)}) {
    const YAML::Node interval = block.take(name);
    if (!interval.IsDefined()) continue;
    axis.kind = kind;
    read_interval(block, name, interval, axis);
    ++intervals;
  }
  block.finish();
  block.require(intervals == 1, fmt::format("{} needs one of range, log, whole", key));
  return axis;
}

void read_texts(Block& block, const std::string& key, std::vector<std::string>& values) {
  const YAML::Node node = block.take(key);
  if (!node.IsDefined()) return;
  if (!node.IsSequence()) block.fail(node, fmt::format("{} must be a list", key));
  for (const YAML::Node& value : node) values.push_back(block.scalar(key, value));
}

void read_halving(Block& top, HalvingConfig& halving) {
  const YAML::Node node = top.take("halving");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "halving", node);
  halving.kind = HalvingConfig::Kind::sync;
  block.choice("kind", kKinds, halving.kind);
  block.number("first", halving.first);
  block.number("keep", halving.keep);
  block.finish();
  block.require(halving.first >= 1, "halving.first must be at least 1", "name the steps of the first rung");
  block.require(halving.keep >= 2, "halving.keep must be at least 2", "one of so many runs goes on");
}

void read_local(Block& top, LocalConfig& local) {
  const YAML::Node node = top.take("local");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "local", node);
  block.text("launcher", local.launcher);
  block.number("at_once", local.at_once);
  block.finish();
  block.require(local.at_once >= 1, "local.at_once must be at least 1");
}

void read_slurm(Block& top, SlurmConfig& slurm) {
  const YAML::Node node = top.take("slurm");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "slurm", node);
  block.text("launcher", slurm.launcher);
  block.text("partition", slurm.partition);
  block.text("gpus_per_node", slurm.gpus_per_node);
  block.text("time", slurm.time);
  block.number("nodes", slurm.nodes);
  block.number("tasks_per_node", slurm.tasks_per_node);
  block.number("cpus_per_task", slurm.cpus_per_task);
  block.number("at_once", slurm.at_once);
  block.number("most_tasks", slurm.most_tasks);
  block.number("warn_seconds", slurm.warn_seconds);
  block.text("stage", slurm.stage);
  read_texts(block, "options", slurm.options);
  read_texts(block, "setup", slurm.setup);
  block.finish();
  block.require(slurm.nodes >= 1 && slurm.tasks_per_node >= 1 && slurm.cpus_per_task >= 1,
                "slurm.nodes, tasks_per_node and cpus_per_task must be at least 1");
  block.require(slurm.at_once >= 0 && slurm.most_tasks >= 1 && slurm.warn_seconds >= 1,
                "slurm.most_tasks and warn_seconds must be at least 1, at_once at least 0");
  for (const std::string& option : slurm.options) {
    block.require(option.starts_with("-") && option.find('\n') == std::string::npos,
                  fmt::format("slurm.options: \"{}\" is not an option of sbatch", option),
                  "write --account=name");
    block.require(
        !option.starts_with("-M") && !option.starts_with("--clusters"),
        fmt::format("slurm.options: {} is for sbatch alone, and squeue would look elsewhere", option),
        "name the cluster in the environment, as SLURM_CLUSTERS: all of Slurm reads that");
  }
}

void read_keys(Block& top, SweepFile& sweep) {
  if (const YAML::Node set = top.take("set"); set.IsDefined()) {
    const Block block(top.origin(), "set", set);
    for (const auto& entry : set)
      sweep.set.push_back(fmt::format("{}={}", entry.first.Scalar(), yaml_of(entry.second)));
  }
  const YAML::Node keys = top.take("keys");
  if (!keys.IsDefined()) return;
  const Block block(top.origin(), "keys", keys);
  for (const auto& entry : keys) sweep.axes.push_back(read_axis(block, entry.first.Scalar(), entry.second));
}

void check(const Block& top, const SweepFile& sweep) {
  for (const SweepAxis& axis : sweep.axes) {
    if (axis.kind != SweepAxis::Kind::list && sweep.method == SweepMethod::grid)
      throw input_error(fmt::format("{}: {} is an interval", axis.place, axis.key), "a grid is made of lists",
                        "list its values, or set method: random or sobol");
    for (const char* fixed : {"run.dir", "parallel"})
      if (axis.key.starts_with(fixed))
        throw input_error(fmt::format("{}: {} cannot be varied", axis.place, axis.key),
                          "results do not depend on it", "remove it; put it under `set` if need be");
  }
  if (sweep.method == SweepMethod::grid)
    top.require(sweep.runs == 0, "runs is for random and sobol", "a grid has as many as it has");
  top.require(sweep.retries >= 0, "retries must not be negative");
  top.require(sweep.most_runs >= 1, "most_runs must be at least 1");
}

SweepFile read_top(Block& top, const std::filesystem::path& file) {
  SweepFile sweep;
  sweep.file = file;
  std::string recipe;
  top.text("recipe", recipe);
  top.require(!recipe.empty(), "recipe is missing", "name the recipe to vary, e.g. recipe: m5.yaml");
  sweep.recipe = file.parent_path() / recipe;
  sweep.dir = "runs/" + file.stem().string();
  top.text("dir", sweep.dir);
  top.choice("method", kMethods, sweep.method);
  top.number("runs", sweep.runs);
  top.number("seed", sweep.seed);
  read_keys(top, sweep);
  top.text("metric", sweep.metric);
  top.choice("goal", kGoals, sweep.goal);
  read_halving(top, sweep.halving);
  top.number("retries", sweep.retries);
  top.number("most_runs", sweep.most_runs);
  read_local(top, sweep.local);
  read_slurm(top, sweep.slurm);
  top.finish();
  check(top, sweep);
  return sweep;
}

}  // namespace

SweepFile parse_sweep(const std::string& yaml, const std::filesystem::path& file) {
  Block top(file.string(), "the sweep", load_yaml(yaml, file.string()));
  return read_top(top, file);
}

SweepFile read_sweep(const std::filesystem::path& file) { return parse_sweep(read_file(file), file); }

}  // namespace shelfcast::trainer
