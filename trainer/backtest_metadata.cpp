#include "trainer/backtest_metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_file.h"
#include "base/shell.h"
#include "trainer/environment.h"

namespace shelfcast::trainer {
namespace {

void add_corpus(const data::Corpus& corpus, eval::RunMetadata& metadata) {
  metadata.facts.emplace_back("corpus", fmt::format("{} ({})", corpus.info().name, corpus.digest()));
}

// "mpirun -n 2 shelfcast ..." with words quoted where a shell needs it.
std::string command_line(std::int64_t ranks, const std::vector<std::string>& words) {
  std::string line = ranks > 1 ? fmt::format("mpirun -n {} shelfcast", ranks) : std::string("shelfcast");
  for (const std::string& word : words) line.append(1, ' ').append(shell_word(word));
  return line;
}

std::vector<std::string> with_overrides(std::vector<std::string> words, const BacktestCommand& options) {
  for (const std::string& override : options.overrides) words.insert(words.end(), {"--set", override});
  return words;
}

// Numbers and texts of a flat JSON object.
void add_environment(const nlohmann::json& environment, eval::RunMetadata& metadata) {
  for (const auto& [name, value] : environment.items())
    metadata.environment.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
}

// "a, b and c".
std::string listed(const std::vector<std::string>& names) {
  if (names.size() < 2) return fmt::format("{}", fmt::join(names, ""));
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

template <typename Say>
std::string of_each(const std::vector<TrainedRun>& runs, Say say) {
  std::vector<std::string> said;
  for (const TrainedRun& run : runs) said.push_back(say(run));
  return listed(said);
}

// Where a run is made a second time: "runs/a-again".
std::string again(const std::filesystem::path& folder) {
  const std::filesystem::path plain = folder.lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).string() + "-again";
}

std::string date_or_nothing(const std::optional<Date>& date) { return date ? format_date(*date) : ""; }

}  // namespace

std::optional<Date> validated_until(const std::vector<TrainedRun>& runs) {
  std::optional<Date> last;
  for (const TrainedRun& run : runs) last = std::max(last, run.recipe.data.validate_until);
  return last;
}

eval::RunMetadata metadata_of(const std::vector<TrainedRun>& runs, const data::Corpus& corpus,
                              const BacktestCommand& options, const parallel::World& world) {
  eval::RunMetadata metadata;
  const nlohmann::json environment = read_json(runs.front().folder.environment());
  add_environment(environment, metadata);
  // Beside what is there, from the recipes that it was made of.
  std::vector<std::string> members{again(options.model)};
  for (const std::string& member : options.ensemble) members.push_back(again(member));
  std::vector<std::string> words{"backtest", members.front()};
  if (!options.ensemble.empty()) {
    words.emplace_back("--ensemble");
    words.insert(words.end(), members.begin() + 1, members.end());
  }
  if (!options.out.empty()) words.insert(words.end(), {"--out", again(options.out)});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<std::string> train{"train", runs[i].folder.recipe().string(), "--set",
                                   "run.dir=" + members[i]};
    if (!runs[i].ended) train.insert(train.end(), {"--stop-after", std::to_string(runs[i].trained)});
    metadata.commands.push_back(command_line(environment.value("ranks", std::int64_t{1}), train));
  }
  metadata.commands.push_back(command_line(world.ranks->size(), with_overrides(std::move(words), options)));
  metadata.commands.push_back(
      command_line(1, {"report", options.out.empty() ? members.front() : again(options.out)}));
  metadata.title = name_of(options.ensemble.empty() ? options.model : options.out);
  metadata.facts = {{"model", of_each(runs, [](const TrainedRun& run) {
                       return fmt::format("{}, checkpoint of step {}", run.recipe.model.tower, run.step);
                     })}};
  add_corpus(corpus, metadata);
  const Recipe& recipe = runs.front().recipe;
  metadata.facts.insert(
      metadata.facts.end(),
      {{"trained until", date_or_nothing(recipe.data.train_until)},
       {"validated until", date_or_nothing(validated_until(runs))},
       {"seed", of_each(runs, [](const TrainedRun& run) { return std::to_string(run.recipe.run.seed); })},
       {"build", build_id()}});
  return metadata;
}

eval::RunMetadata metadata_of(const std::string& architecture, const data::Corpus& corpus,
                              const BacktestCommand& options, const std::string& out,
                              const parallel::World& world) {
  const std::string name = name_of(options.model);
  eval::RunMetadata metadata;
  add_environment(describe_environment(*world.ranks, world.device_name), metadata);
  metadata.title = name + ", zero-shot";
  metadata.facts = {{"model", fmt::format("{} in {}", architecture, options.model)}};
  add_corpus(corpus, metadata);
  metadata.facts.emplace_back("build", build_id());
  std::vector<std::string> words{"backtest", options.model, "--corpus",  options.corpus,
                                 "--out",    out,           "--threads", std::to_string(options.threads)};
  const auto add_columns = [&](const char* option, const std::vector<std::string>& columns) {
    if (columns.empty()) return;
    words.emplace_back(option);
    words.push_back(fmt::format("{}", fmt::join(columns, ",")));
  };
  add_columns("--known", options.known);
  add_columns("--past", options.past);
  metadata.commands = {command_line(world.ranks->size(), with_overrides(std::move(words), options)),
                       command_line(1, {"report", out})};
  return metadata;
}

}  // namespace shelfcast::trainer
