#include "trainer/retrain/retrain.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "data/manifest.h"
#include "trainer/retrain/judge.h"
#include "trainer/retrain/retrain_report.h"
#include "trainer/run/agreement.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/run_lock.h"
#include "trainer/sweep/event_log.h"
#include "trainer/sweep/process.h"
#include "trainer/sweep/run_progress.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

FileLock lock_folder(const RetrainFolder& folder) {
  std::error_code failed;
  fs::create_directories(folder.dir, failed);
  if (failed) throw io_error(fmt::format("cannot make {}", folder.dir.string()), failed.value());
  try {
    return FileLock(folder.lock(), std::chrono::milliseconds(0));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;
    throw input_error(fmt::format("{} is being retrained by another process", folder.dir.string()),
                      read_file(folder.lock()), "wait for it or end it; --status looks without waiting");
  }
}

// Nothing to read is nothing new; a missing folder is a mistake that ingest explains.
bool is_empty_folder(const fs::path& path) { return fs::is_directory(path) && fs::is_empty(path); }

// Where the training of a run has ended; nullopt = it has not.
std::optional<TrainState> ended_training(const Recipe& recipe) {
  const std::optional<TrainState> saved = saved_state(recipe.run.dir);
  const bool ended = saved && !saved->validation_pending &&
                     (saved->step >= recipe.train.steps || saved->stopped_early(recipe.train.early_stop));
  return ended ? saved : std::nullopt;
}

std::vector<fs::path> children_of(const fs::path& folder) {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(folder)) all.push_back(entry.path());
  return all;
}

// Files that a process that was killed left half-written.
void remove_unfinished(const fs::path& folder) {
  for (const fs::path& path : children_of(folder)) {
    std::error_code ignored;
    if (path.filename().string().find(".partial") != std::string::npos) fs::remove(path, ignored);
  }
}

json number_or_null(double value, bool there) { return there ? json(value) : json(); }

}  // namespace

// The resolved recipe has a key a line, blocks inside of blocks indented by two.
std::vector<std::string> block_overrides(const Recipe& recipe, const std::string& block) {
  std::vector<std::string> overrides, path;
  std::istringstream lines(to_yaml(recipe));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t indent = line.find_first_not_of(' '), colon = line.find(':', indent);
    path.resize(indent / 2);
    path.push_back(line.substr(indent, colon - indent));
    if (path.front() == block && colon + 1 < line.size())
      overrides.push_back(fmt::format("{}={}", fmt::join(path, "."), line.substr(colon + 2)));
  }
  return overrides;
}

History read_history(const RetrainFolder& folder) {
  History history;
  read_events(folder.ledger(), [&history](const json& event) { history.apply(event); });
  return history;
}

Retrainer::Retrainer(const RetrainFile& file, fs::path program)
    : file_(file),
      program_(std::move(program)),
      folder_{fs::absolute(file.dir).lexically_normal()},
      lock_(lock_folder(folder_)),
      history_(read_history(folder_)) {
  // For whoever comes while we are at it.
  std::ofstream(folder_.lock()) << fmt::format("host {}, process {}", log::identity().host, ::getpid());
  mend_events(folder_.ledger());
  remove_unfinished(folder_.dir);
  if (history_.open() != nullptr) remove_unfinished(folder_.of(open().number));
}

void Retrainer::note(json event) {
  append_event(folder_.ledger(), event);
  history_.apply(event);
}

// ---- what a retrain is about

// False when we were asked to leave.
bool Retrainer::append_new_days(std::optional<Date> until) const {
  if (file_.new_days.from.empty() || is_empty_folder(file_.new_days.from)) return true;
  const Recipe recipe = read_recipe(file_.recipe, file_.set);
  std::vector<std::string> command = {program_.string(),     "ingest", "--append",          "--format",
                                      file_.new_days.format, "--from", file_.new_days.from, "--out",
                                      recipe.data.corpus};
  const auto option = [&command](const char* name, const std::string& value) {
    if (!value.empty()) command.insert(command.end(), {name, value});
  };
  option("--map", file_.new_days.map.string());
  option("--frequency", file_.new_days.frequency);
  if (file_.new_days.series_limit > 0)
    option("--series-limit", fmt::format("{}", file_.new_days.series_limit));
  if (until) option("--until", format_date(*until));
  const fs::path log = folder_.dir / "append.log";
  const std::uintmax_t said = size_of(log);
  const int exit_code = run_logged(command, log);
  if (LeaveSignals::any()) return false;
  if (exit_code != 0)
    throw data_error("the new days could not be appended", last_words(log, said),
                     fmt::format("look at {}; the corpus is as it was", log.string()));
  return true;
}

// The recipe of a challenger; `champion` is the run it begins with, if any.
Recipe Retrainer::resolve(std::int64_t number, const std::string& champion) const {
  std::vector<std::string> overrides = file_.set;
  overrides.push_back("run.dir=" + yaml_text((folder_.runs() / four_digits(number)).string()));
  if (file_.start == StartFrom::champion && !champion.empty()) {
    overrides.insert(overrides.end(), file_.warm_set.begin(), file_.warm_set.end());
    overrides.push_back("run.start=" + yaml_text((folder_.runs() / champion).string()));
  }
  Recipe recipe = read_recipe(file_.recipe, overrides);
  if (recipe.data.train_until || recipe.data.validate_until)
    throw input_error(fmt::format("{} fixes data.train_until or data.validate_until", file_.recipe.string()),
                      "every retrain would train on the same days",
                      "leave them out: they follow from the corpus' last day and the backtest block");
  const std::vector<std::string>& by = recipe.backtest.by;
  if (file_.promote.most_loss && std::find(by.begin(), by.end(), "category") == by.end())
    throw input_error(
        fmt::format("{}: promote.most_loss limits what a category may lose", file_.file.string()),
        fmt::format("{}'s backtest.by does not list category", file_.recipe.string()),
        "list it there, or leave most_loss out");
  require_exportable(recipe.model.architecture(), recipe.model.quantiles, file_.recipe.string() + "'s model");
  return recipe;
}

// What else would come to light when there is a champion: weeks later, and with nobody looking.
void Retrainer::check_next() const {
  (void)resolve(1, "");
  if (file_.start != StartFrom::champion) return;
  try {
    (void)resolve(1, four_digits(1));
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}: a retrain that begins with the champion (start: champion): {}",
                            file_.file.string(), error.problem()),
                error.why(),
                error.advice().empty() ? "correct warm_set, or set start: scratch"
                                       : error.advice() + "; or set start: scratch");
  }
}

// Of whatever else than the corpus makes a retrain another one.
std::string Retrainer::recipe_digest() const {
  const Recipe recipe = resolve(1, "");
  return digest_text(identity_yaml(recipe) + (file_.start == StartFrom::champion ? "champion" : "scratch") +
                     fmt::format("{}", fmt::join(file_.warm_set, "\n")));
}

// Whether there is something to do; notes what it is about.
bool Retrainer::begin(std::optional<Date> until) {
  const std::int64_t number = history_.retrains().empty() ? 1 : history_.last().number + 1;
  const Version* current = history_.current();
  const std::string champion = current == nullptr ? "" : current->run;
  const Recipe recipe = resolve(number, champion);
  const std::string recipe_digest = this->recipe_digest();
  std::string corpus;
  const data::CorpusInfo info = data::read_manifest(recipe.data.corpus, &corpus).info;
  const RetrainRecord* before = history_.last_finished();
  if (before != nullptr && before->corpus == corpus && before->recipe == recipe_digest) return false;
  const Date last = info.axis.date_of(info.demand_end - 1);
  if (until && last > *until)
    throw input_error(fmt::format("the corpus {} knows days until {}", recipe.data.corpus, format_date(last)),
                      fmt::format("--until {} asks for a model that does not", format_date(*until)),
                      "ingest a corpus with the same --until, and let `new` append to it");
  if (!champion.empty() && !fs::exists(folder_.runs() / champion / "recipe.yaml"))
    throw input_error(fmt::format("the champion {} is missing", (folder_.runs() / champion).string()),
                      "its run folder was removed",
                      "restore it, or go back to the version before with --rollback");
  std::error_code failed;
  fs::create_directories(folder_.of(number), failed);
  if (failed) throw io_error(fmt::format("cannot make {}", folder_.of(number).string()), failed.value());
  remove_unfinished(folder_.of(number));
  write_file_atomically(folder_.recipe(number), to_yaml(recipe));
  note({{"event", "began"},
        {"retrain", number},
        {"recipe", recipe_digest},
        {"corpus", corpus},
        {"until", format_date(last)},
        {"steps", info.demand_end},
        {"series", info.series},
        {"new_steps", before == nullptr ? 0 : info.demand_end - before->steps},
        {"new_series", before == nullptr ? 0 : info.series - before->series},
        {"champion", champion}});
  return true;
}

void Retrainer::check_corpus() const {
  const Recipe recipe = read_recipe(folder_.recipe(open().number), {});
  std::string digest;
  data::read_manifest(recipe.data.corpus, &digest);
  if (digest != open().corpus)
    throw data_error(
        fmt::format("the corpus {} changed under retrain {}", recipe.data.corpus, open().number),
        fmt::format("its digest is {}, the retrain began with {}", digest, open().corpus),
        "bring the old state back (docs/corpus-format.md), or give this retrain up with --abandon and call "
        "again");
}

// ---- the steps

std::vector<std::string> Retrainer::launched(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = words(file_.launcher);
  command.push_back(program_.string());
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

// Whether the program came to its end; false when we were asked to leave.
bool Retrainer::run_step(const std::string& step, const std::vector<std::string>& command) {
  check_corpus();
  const std::int64_t number = open().number;
  const fs::path log = folder_.of(number) / (step + ".log");
  const std::uintmax_t said = size_of(log);
  log::all("retrain {}: {}", number, step);
  const int exit_code = run_logged(command, log);
  if (LeaveSignals::any()) {
    note({{"event", "left"}, {"retrain", number}, {"step", step}});
    return false;
  }
  if (exit_code == 0) return true;
  const std::string why = fmt::format("exit code {}: {}", exit_code, last_words(log, said));
  note({{"event", "failed"}, {"retrain", number}, {"step", step}, {"error", why}});
  throw data_error(fmt::format("retrain {}: {} failed", number, step), why,
                   fmt::format("look at {}; call again to go on, or give up with --abandon", log.string()));
}

bool Retrainer::train() {
  const std::int64_t number = open().number;
  const Recipe recipe = read_recipe(folder_.recipe(number), {});
  // A driver that was killed leaves its training a moment to save.
  if (!RunLock::wait_until_free_here(recipe.run.dir, LeaveSignals::any)) return false;
  std::optional<TrainState> state = ended_training(recipe);
  if (!state) {
    if (!run_step("training", launched({"train", folder_.recipe(number).string(), "--resume", "auto"})))
      return false;
    state = ended_training(recipe);
  }
  if (!state) {  // `shelfcast stop`
    note({{"event", "left"}, {"retrain", number}, {"step", "training"}});
    return false;
  }
  note({{"event", "trained"},
        {"retrain", number},
        {"step", state->step},
        {"best_step", state->best_step},
        {"validation_loss", number_or_null(state->best_metric, state->best_step >= 0)}});
  return true;
}

bool Retrainer::judge(const std::string& who, const std::string& run) {
  const std::int64_t number = open().number;
  std::vector<std::string> arguments = {"backtest", (folder_.runs() / run).string(), "--out",
                                        (folder_.of(number) / who).string()};
  for (const std::string& text : block_overrides(read_recipe(folder_.recipe(number), {}), "backtest"))
    arguments.insert(arguments.end(), {"--set", text});
  if (!run_step("judging-" + who, launched(arguments))) return false;
  note({{"event", "judged"}, {"retrain", number}, {"who", who}});
  return true;
}

// What the champion was judged on when it was promoted.
std::vector<std::string> Retrainer::known_categories() const {
  std::vector<std::string> known;
  for (const RetrainRecord& retrain : history_.retrains()) {
    const fs::path then = folder_.of(retrain.number) / "challenger";
    if (four_digits(retrain.number) != open().champion || !fs::exists(then)) continue;
    for (const auto& [category, scores] : read_judged(then).categories) known.push_back(category);
  }
  return known;
}

void Retrainer::decide() {
  const std::int64_t number = open().number;
  const Judged challenger = read_judged(folder_.of(number) / "challenger");
  Promotion decision;
  if (open().champion.empty()) {
    decision.promoted = true;
    decision.why = "it is the first";
    decision.metric = file_.promote.metric;
    if (const auto found = challenger.overall.find(decision.metric); found != challenger.overall.end())
      decision.challenger = found->second;
  } else {
    decision = trainer::decide(file_.promote, read_judged(folder_.of(number) / "champion"), challenger,
                               known_categories());
  }
  json event = decision;
  event.update({{"event", "decided"}, {"retrain", number}});
  note(event);
  log::all("retrain {}: {} ({})", number, decision.promoted ? "promoted" : "rejected", decision.why);
}

bool Retrainer::export_winner() {
  const std::int64_t number = open().number;
  const std::string bundle = fmt::format("{}-{}", four_digits(number), open().until);
  const std::string run = open().decision->promoted ? four_digits(number) : open().champion;
  const fs::path out = folder_.bundles() / bundle;
  // Bundles appear whole or not at all: one that is there was exported before a crash.
  if (!fs::exists(out) && !run_step("exporting", {program_.string(), "export",
                                                  (folder_.runs() / run).string(), "--out", out.string()}))
    return false;
  note({{"event", "exported"}, {"retrain", number}, {"version", number}, {"bundle", bundle}, {"run", run}});
  return true;
}

void Retrainer::switch_current() {
  if (!fs::exists(folder_.bundles() / open().version->bundle))
    throw data_error(
        fmt::format("the bundle {} is missing", (folder_.bundles() / open().version->bundle).string()),
        "it was removed after it was exported", "give this retrain up with --abandon and call again");
  swap_link(fs::path("bundles") / open().version->bundle, folder_.current());
  note({{"event", "switched"}, {"retrain", open().number}, {"version", open().version->number}});
  log::all("retrain {}: {} -> {}", open().number, folder_.current().string(), open().version->bundle);
}

// Bundles and runs of versions that may still be rolled back to stay, and this retrain's challenger.
void Retrainer::prune() const {
  std::set<std::string> bundles, runs = {four_digits(open().number)};
  for (const Version& version : history_.kept(file_.keep)) {
    bundles.insert(version.bundle);
    runs.insert(version.run);
  }
  for (const auto& [folder, kept] : {std::pair(folder_.bundles(), bundles), std::pair(folder_.runs(), runs)})
    for (const fs::path& path : children_of(folder)) {
      if (kept.contains(path.filename().string())) continue;
      std::error_code failed;
      fs::remove_all(path, failed);
      if (failed) log::warn("cannot remove {} ({})", path.string(), failed.message());
    }
}

void Retrainer::finish() {
  const std::int64_t number = open().number;
  prune();
  write_file_atomically(folder_.report(number), retrain_report(folder_, history_, open()));
  write_file_atomically(folder_.history(), "# Retrains\n\n" + history_table(history_));
  note({{"event", "finished"}, {"retrain", number}});
  log::all("report: {}", folder_.report(number).string());
}

Retrainer::Ending Retrainer::run(std::optional<Date> until) {
  if (history_.open() == nullptr) {
    check_next();
    if (!append_new_days(until)) return Ending::left;
    if (!begin(until)) {
      log::all("nothing new since retrain {} (corpus until {}): nothing to do",
               history_.last_finished()->number, history_.last_finished()->until);
      return Ending::nothing_new;
    }
  }
  log::all("retrain {} of {}: {} new steps until {}, champion {}", open().number, folder_.dir.string(),
           open().new_steps, open().until, open().champion.empty() ? "none" : open().champion);
  if (!open().trained && !train()) return Ending::left;
  if (!open().champion_judged && !judge("champion", open().champion)) return Ending::left;
  if (!open().challenger_judged && !judge("challenger", four_digits(open().number))) return Ending::left;
  if (!open().decision) decide();
  if (!open().version && !export_winner()) return Ending::left;
  if (!open().switched) switch_current();
  finish();
  return Ending::done;
}

void Retrainer::abandon() {
  if (history_.open() == nullptr)
    throw input_error(fmt::format("no retrain is under way in {}", folder_.dir.string()), "",
                      "there is nothing to abandon");
  const std::int64_t number = open().number;
  note({{"event", "abandoned"}, {"retrain", number}});
  log::all("retrain {} is given up", number);
}

void Retrainer::roll_back() {
  const Version* to = history_.before_current();
  if (to == nullptr)
    throw input_error(fmt::format("{} has no version before the current one", folder_.dir.string()), "",
                      "there is nothing to go back to");
  if (!fs::exists(folder_.bundles() / to->bundle))
    throw input_error(fmt::format("the bundle {} is missing", (folder_.bundles() / to->bundle).string()),
                      "it was removed", "restore it");
  const Version from = *history_.current(), back = *to;
  if (history_.open() != nullptr) abandon();
  swap_link(fs::path("bundles") / back.bundle, folder_.current());
  note({{"event", "rolled_back"}, {"from", from.number}, {"to", back.number}});
  write_file_atomically(folder_.history(), "# Retrains\n\n" + history_table(history_));
  log::all("{} -> {}; the champion is {}", folder_.current().string(), back.bundle, back.run);
}

}  // namespace shelfcast::trainer
