// What happened so far: the events of ledger.jsonl, added up.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace shelfcast::trainer {

// Events (every one has time, Unix seconds, and host):
//   began       retrain recipe corpus until steps series new_steps new_series champion   what it is about
//   trained     retrain step best_step validation_loss
//   judged      retrain who ("champion", "challenger")
//   decided     retrain promoted why + what Promotion holds
//   exported    retrain version bundle run
//   switched    retrain version                `current` points to that bundle; its run is the champion
//   finished    retrain
//   failed      retrain step error             it goes on at the next call
//   left        retrain step                   asked to stop; it goes on at the next call
//   abandoned   retrain
//   rolled_back from to                        versions

// A bundle and the run it was exported from. Its number is that of the retrain that made it.
struct Version {
  std::int64_t number = 0;
  std::string bundle;  // name in bundles/
  std::string run;     // name in runs/
};

// The champion's and the challenger's errors on the same origins, and what followed.
struct Promotion {
  bool promoted = false;
  std::string why;
  std::string metric;
  std::optional<double> champion, challenger;  // errors
  std::optional<double> gain, low, high;       // (challenger - champion) / champion is -gain; its interval
  std::optional<double> worst_loss;            // of an old category
  std::string worst_category;
};
void to_json(nlohmann::json& json, const Promotion& decision);
void from_json(const nlohmann::json& json, Promotion& decision);

struct RetrainRecord {
  std::int64_t number = 0;
  double began = 0;            // Unix seconds
  std::string recipe, corpus;  // digests
  std::string until;           // last day of demand
  std::int64_t steps = 0;      // one after it
  std::int64_t series = 0;
  std::int64_t new_steps = 0, new_series = 0;
  std::string champion;  // run; empty = there was none
  bool trained = false, champion_judged = false, challenger_judged = false, finished = false,
       abandoned = false, switched = false;
  std::optional<Promotion> decision;
  std::optional<Version> version;
  std::string note;  // why it stands still, where it does

  // "training", "judging", ...: what comes next.
  std::string next_step() const;
};

class History {
 public:
  void apply(const nlohmann::json& event);

  const std::vector<RetrainRecord>& retrains() const { return retrains_; }
  const RetrainRecord& last() const { return retrains_.back(); }
  // The retrain that has begun and neither finished nor been abandoned; null when there is none.
  const RetrainRecord* open() const;
  // The last one that finished; null when there is none.
  const RetrainRecord* last_finished() const;
  // What `current` points to; null before the first export.
  const Version* current() const;
  // What `current` pointed to before, which a rollback goes back to; null when there is nothing.
  const Version* before_current() const;
  // Versions to keep: the last `keep` of those that `current` points to or may be rolled back to, and that of
  // the retrain under way.
  std::vector<Version> kept(std::int64_t keep) const;
  // From version to version.
  const std::vector<std::pair<std::int64_t, std::int64_t>>& rollbacks() const { return rollbacks_; }

 private:
  RetrainRecord& record(const nlohmann::json& event);
  const Version* version(std::int64_t number) const;

  std::vector<RetrainRecord> retrains_;
  std::vector<std::pair<std::int64_t, std::int64_t>> rollbacks_;
  // Numbers of the versions that `current` pointed to, the present one last; a rollback takes off the end.
  std::vector<std::int64_t> line_;
};

// "0003".
std::string four_digits(std::int64_t number);

}  // namespace shelfcast::trainer
