// What a heartbeat thread warns about: ranks that others wait for, and file systems that stall.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/activity.h"
#include "parallel/run_table.h"

namespace shelfcast::parallel {

// Says when a growing age is worth a word: at `first`, then each time it has doubled; anew when it has
// fallen.
class DoublingAlarm {
 public:
  explicit DoublingAlarm(double first_seconds);
  bool is_due(double seconds);

 private:
  double first_, next_;
};

// Watches all ranks of a run. Used from one thread.
class LateRanks {
 public:
  explicit LateRanks(std::chrono::milliseconds warn_after);
  // The warnings due now: ranks that have made no progress for long while others wait.
  std::vector<std::string> look(std::span<const RankStatus> run);

 private:
  double warn_after_;
  std::map<int, DoublingAlarm> alarms_;
};

// Watches the file operations of one rank. Used from one thread.
class StalledFiles {
 public:
  explicit StalledFiles(std::chrono::milliseconds warn_after);
  // The warning due now.
  std::optional<std::string> look(const activity::Snapshot& own);

 private:
  DoublingAlarm alarm_;
};

}  // namespace shelfcast::parallel
