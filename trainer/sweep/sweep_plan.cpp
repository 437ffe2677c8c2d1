#include "trainer/sweep/sweep_plan.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/manifest.h"
#include "trainer/recipe/recipe.h"
#include "trainer/run/agreement.h"
#include "trainer/sweep/space.h"

namespace shelfcast::trainer {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HalvingConfig, kind, first, keep)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LocalConfig, launcher, at_once)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SlurmConfig, launcher, partition, gpus_per_node, time, nodes,
                                   tasks_per_node, cpus_per_task, at_once, most_tasks, warn_seconds, stage,
                                   options, setup)

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kVersion = 1;

fs::path plan_path(const fs::path& dir) { return dir / "sweep.json"; }

// Absolute, without links and a slash at its end: the jobs of a sweep are called after it, whoever submits
// them.
fs::path folder_of(const fs::path& dir) {
  const fs::path folder = fs::weakly_canonical(fs::absolute(dir));
  return folder.has_filename() ? folder : folder.parent_path();
}

enum class Source { corpus, table };

std::string digest_of(const fs::path& path, Source source) {
  if (source == Source::table) return digest_file(path);
  std::string digest;
  data::read_manifest(path, &digest);
  return digest;
}

// Notes what a run of this recipe is trained on, and returns its path.
std::string watch(SweepPlan& plan, const Recipe& recipe) {
  const bool texts = recipe.train.task == TrainConfig::Task::text_labels;
  const std::string& path = texts ? recipe.data.labels.table : recipe.data.corpus;
  if (!plan.sources.contains(path))
    plan.sources[path] = digest_of(plan.working_dir / path, texts ? Source::table : Source::corpus);
  return path;
}

// A recipe's complaint about an override, in terms of the sweep's file and line.
[[noreturn]] void rethrow(const Error& error, const SweepFile& sweep,
                          const std::vector<std::string>& overrides) {
  const std::string& problem = error.problem();
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    if (const std::string origin = fmt::format("--set {}", overrides[i]); problem.starts_with(origin))
      throw input_error(fmt::format("{}{}", sweep.axes[i].place, problem.substr(origin.size())), error.why(),
                        error.advice());
    // An unknown block that only this key asked for.
    const std::string& key = sweep.axes[i].key;
    for (std::size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1))
      if (const std::string unknown = fmt::format("unknown key \"{}\"", key.substr(0, dot));
          problem.ends_with(unknown))
        throw input_error(fmt::format("{}: {}", sweep.axes[i].place, unknown), error.why(), error.advice());
  }
  throw input_error(fmt::format("{}: with {}: {}", sweep.file.string(), fmt::join(overrides, ", "), problem),
                    error.why(), error.advice());
}

Recipe resolve(const SweepPlan& plan, const SweepFile& sweep, const std::vector<std::string>& overrides) {
  try {
    return parse_recipe(plan.base, sweep.recipe.string(), overrides);
  } catch (const Error& error) {
    rethrow(error, sweep, overrides);
  }
}

// Halving compares runs at the end of a rung: each must have been validated there.
void check_rungs(const SweepPlan& plan, const SweepFile& sweep, const Recipe& recipe) {
  if (sweep.halving.kind == HalvingConfig::Kind::none) return;
  const std::vector<std::int64_t> own = rung_steps(sweep.halving, recipe.train.steps);
  if (own != plan.rungs)
    throw input_error(fmt::format("{}: runs of {} and of {} steps cannot be halved together",
                                  sweep.file.string(), plan.rungs.back(), recipe.train.steps),
                      "rungs would end at other steps", "do not vary train.steps");
  if (own.size() == 1)
    throw input_error(fmt::format("{}: halving.first is {}, train.steps {}", sweep.file.string(),
                                  sweep.halving.first, recipe.train.steps),
                      "no rung ends before the last step, and no run would be cut",
                      "lower halving.first, or leave halving out");
  for (const std::int64_t step : own)
    if (step != recipe.train.steps && step % recipe.train.validate_every != 0)
      throw input_error(
          fmt::format("{}: no validation at step {}, where a rung ends", sweep.file.string(), step),
          fmt::format("train.validate_every is {}; rungs end at {}", recipe.train.validate_every,
                      fmt::join(own, ", ")),
          "make halving.first a multiple of train.validate_every");
  // What is not a validation's stands in the lines of training.
  if (!sweep.metric.starts_with("validation_") && sweep.halving.first % recipe.train.log_every != 0)
    throw input_error(fmt::format("{}: no {} at step {}, where a rung ends", sweep.file.string(),
                                  sweep.metric, sweep.halving.first),
                      fmt::format("train.log_every is {}", recipe.train.log_every),
                      "make halving.first a multiple of train.log_every");
}

const char* name_of(SweepMethod method) {
  return method == SweepMethod::grid ? "grid" : method == SweepMethod::random ? "random" : "sobol";
}
const char* name_of(HalvingConfig::Kind kind) {
  return kind == HalvingConfig::Kind::none ? "none" : kind == HalvingConfig::Kind::sync ? "sync" : "async";
}

std::string describe_identity(const SweepFile& sweep, const SweepPlan& plan, const Recipe& base) {
  std::string text = fmt::format("method: {}\nseed: {}\nruns: {}\nmetric: {}\ngoal: {}\nhalving: {} {} {}\n",
                                 name_of(sweep.method), sweep.seed, plan.runs.size(), sweep.metric,
                                 sweep.goal == Goal::minimise ? "min" : "max", name_of(sweep.halving.kind),
                                 sweep.halving.first, sweep.halving.keep);
  for (const SweepAxis& axis : sweep.axes)
    text +=
        axis.kind == SweepAxis::Kind::list
            ? fmt::format("{}: [{}]\n", axis.key, fmt::join(axis.values, ", "))
            : fmt::format("{}: {} {} to {}\n", axis.key, static_cast<int>(axis.kind), axis.low, axis.high);
  return text + identity_yaml(base);
}

json to_json(const SweepPlan& plan) {
  json runs = json::array();
  for (const PlannedRun& run : plan.runs)
    runs.push_back(
        {{"id", run.id}, {"set", run.overrides}, {"steps", run.steps}, {"early_stop", run.early_stop}});
  return {{"format_version", kVersion},
          {"working_dir", plan.working_dir.string()},
          {"rungs", plan.rungs},
          {"metric", plan.metric},
          {"goal", plan.goal == Goal::minimise ? "min" : "max"},
          {"halving", plan.halving},
          {"retries", plan.retries},
          {"corpus", plan.corpus},
          {"corpus_digest", plan.corpus_digest},
          {"sources", plan.sources},
          {"identity", plan.identity},
          {"local", plan.local},
          {"slurm", plan.slurm},
          {"runs", runs}};
}

SweepPlan from_json(const json& j) {
  SweepPlan plan;
  plan.working_dir = j.at("working_dir").get<std::string>();
  j.at("rungs").get_to(plan.rungs);
  j.at("metric").get_to(plan.metric);
  plan.goal = j.at("goal") == "min" ? Goal::minimise : Goal::maximise;
  j.at("halving").get_to(plan.halving);
  j.at("retries").get_to(plan.retries);
  j.at("corpus").get_to(plan.corpus);
  j.at("corpus_digest").get_to(plan.corpus_digest);
  plan.sources = j.value("sources", std::map<std::string, std::string>{{plan.corpus, plan.corpus_digest}});
  j.at("identity").get_to(plan.identity);
  j.at("local").get_to(plan.local);
  j.at("slurm").get_to(plan.slurm);
  for (const json& run : j.at("runs"))
    plan.runs.push_back({run.at("id"), run.at("set"), run.at("steps"), run.at("early_stop")});
  return plan;
}

}  // namespace

std::int64_t SweepPlan::target(std::size_t run, std::int64_t rung) const {
  return rung == last_rung() ? runs[run].steps : rungs[static_cast<std::size_t>(rung)];
}

std::vector<std::int64_t> rung_steps(const HalvingConfig& halving, std::int64_t steps) {
  std::vector<std::int64_t> rungs;
  if (halving.kind != HalvingConfig::Kind::none)
    for (std::int64_t step = halving.first; step < steps; step *= halving.keep) rungs.push_back(step);
  rungs.push_back(steps);
  return rungs;
}

SweepPlan make_plan(const SweepFile& sweep) {
  const auto points = expand(sweep);
  SweepPlan plan;
  plan.dir = folder_of(sweep.dir);
  plan.working_dir = fs::current_path();
  const Recipe base = read_recipe(sweep.recipe, sweep.set);
  plan.base = to_yaml(base);
  plan.metric = sweep.metric;
  plan.goal = sweep.goal;
  plan.halving = sweep.halving;
  plan.retries = sweep.retries;
  plan.local = sweep.local;
  plan.slurm = sweep.slurm;
  plan.corpus = watch(plan, base);
  plan.corpus_digest = plan.sources.at(plan.corpus);
  std::map<std::string, std::size_t> known;
  for (const auto& overrides : points) {
    const Recipe recipe = resolve(plan, sweep, overrides);
    if (known.empty()) plan.rungs = rung_steps(sweep.halving, recipe.train.steps);
    check_rungs(plan, sweep, recipe);
    watch(plan, recipe);
    // "xxh3:" and 32 digits; twelve name a run of any sensible sweep.
    const std::string id = digest_text(identity_yaml(recipe)).substr(5, 12);
    if (known.emplace(id, plan.runs.size()).second)
      plan.runs.push_back({id, overrides, recipe.train.steps, recipe.train.early_stop});
  }
  if (plan.runs.size() < points.size())
    log::warn("{} of {} points resolve to the recipe of another - each recipe is one run",
              points.size() - plan.runs.size(), points.size());
  plan.identity = describe_identity(sweep, plan, base);
  return plan;
}

bool is_sweep_folder(const fs::path& dir) { return fs::exists(plan_path(dir)); }

SweepPlan load_plan(const fs::path& dir) {
  if (!is_sweep_folder(dir))
    throw input_error(fmt::format("{} holds no sweep", dir.string()), "it has no sweep.json",
                      "name a sweep file, or the folder of a sweep that was started");
  try {
    SweepPlan plan = from_json(json::parse(read_file(plan_path(dir))));
    plan.dir = folder_of(dir);
    plan.base = read_file(plan.recipe());
    return plan;
  } catch (const json::exception& damage) {
    throw data_error(fmt::format("{} is damaged", plan_path(dir).string()), damage.what(),
                     "remove it and give the sweep file again: finished runs are found by their names");
  }
}

void store_plan(const SweepPlan& plan) {
  if (is_sweep_folder(plan.dir)) {
    const SweepPlan there = load_plan(plan.dir);
    const std::string difference = first_difference(there.identity, plan.identity, "there", "now");
    if (!difference.empty())
      throw input_error(fmt::format("{} holds another sweep", plan.dir.string()), difference,
                        "choose another folder with `dir`, or undo the change");
    if (there.sources != plan.sources) check_corpus(there);
  }
  std::error_code failed;
  fs::create_directories(plan.log_folder(), failed);
  if (failed) throw io_error(fmt::format("cannot make {}", plan.log_folder().string()), failed.value());
  write_file_atomically(plan.recipe(), plan.base);
  write_file_atomically(plan_path(plan.dir), to_json(plan).dump(1) + "\n");
}

void check_corpus(const SweepPlan& plan) {
  for (const auto& [source, then] : plan.sources) {
    const fs::path path = plan.working_dir / source;
    const std::string now = digest_of(path, fs::is_regular_file(path) ? Source::table : Source::corpus);
    if (now != then)
      throw data_error(fmt::format("{} changed under the sweep {}", source, plan.dir.string()),
                       fmt::format("its digest is {}, the sweep began with {}", now, then),
                       "bring the old data back, or start a new sweep in another folder");
  }
}

}  // namespace shelfcast::trainer
