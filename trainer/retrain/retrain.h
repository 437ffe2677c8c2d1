// `shelfcast retrain`: appends new days, trains a challenger, judges it beside the champion, and puts the
// better one into service. A state machine over a ledger: whatever was done is noted, and a second call goes
// on with what was not.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/dates.h"
#include "base/file_lock.h"
#include "trainer/recipe/recipe.h"
#include "trainer/retrain/history.h"
#include "trainer/retrain/retrain_file.h"

namespace shelfcast::trainer {

// What lies where in the folder of a retrain.
struct RetrainFolder {
  std::filesystem::path dir;

  std::filesystem::path ledger() const { return dir / "ledger.jsonl"; }
  std::filesystem::path lock() const { return dir / "retrain.lock"; }
  std::filesystem::path history() const { return dir / "history.md"; }
  std::filesystem::path current() const { return dir / "current"; }
  std::filesystem::path bundles() const { return dir / "bundles"; }
  std::filesystem::path runs() const { return dir / "runs"; }
  std::filesystem::path of(std::int64_t retrain) const { return dir / "retrains" / four_digits(retrain); }
  std::filesystem::path recipe(std::int64_t retrain) const { return of(retrain) / "recipe.yaml"; }
  std::filesystem::path report(std::int64_t retrain) const { return of(retrain) / "report.md"; }
};

// A block of the recipe as overrides, so that any run can be judged alike: "backtest.origins=3", ...
std::vector<std::string> block_overrides(const Recipe& recipe, const std::string& block);

// Where a folder's retrains stand. Without a lock: what others are doing may be seen half-way.
History read_history(const RetrainFolder& folder);

// One process' turn in the folder: holds its lock while it lives.
class Retrainer {
 public:
  enum class Ending { done, nothing_new, left };

  // `program`: the `shelfcast` that trains, judges and exports. Throws Error(input) when another process
  // retrains in the folder; Error(data) when the ledger is damaged.
  Retrainer(const RetrainFile& file, std::filesystem::path program);

  // Goes on with the retrain that is under way, or begins one if the corpus or the recipe is not what the
  // last one saw. `until`: new days after it are left out. Ending `left`: asked to leave (LeaveSignals),
  // which the next call makes up for. Throws Error: a step failed, the corpus changed meanwhile or knows days
  // after `until`, the champion is gone.
  Ending run(std::optional<Date> until);
  // Lets `current` point to the version before; a retrain under way is abandoned. Throws Error(input) when
  // there is none.
  void roll_back();
  // Gives the retrain under way up. Throws Error(input) when there is none.
  void abandon();

 private:
  bool append_new_days(std::optional<Date> until) const;
  bool begin(std::optional<Date> until);
  Recipe resolve(std::int64_t number, const std::string& champion) const;
  std::string recipe_digest() const;
  void check_next() const;
  void check_corpus() const;
  bool train();
  bool judge(const std::string& who, const std::string& run);
  void decide();
  bool export_winner();
  void switch_current();
  void finish();
  void prune() const;
  bool run_step(const std::string& step, const std::vector<std::string>& command);
  std::vector<std::string> launched(const std::vector<std::string>& arguments) const;
  std::vector<std::string> known_categories() const;
  void note(nlohmann::json event);
  const RetrainRecord& open() const { return *history_.open(); }

  RetrainFile file_;
  std::filesystem::path program_;
  RetrainFolder folder_;
  FileLock lock_;
  History history_;
};

}  // namespace shelfcast::trainer
