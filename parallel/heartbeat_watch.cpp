#include "parallel/heartbeat_watch.h"

namespace shelfcast::parallel {
namespace {

double seconds(std::chrono::milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

// The rank that has been waiting for ranks longest; null: none waits.
const RankStatus* longest_waiting(std::span<const RankStatus> run) {
  const RankStatus* found = nullptr;
  for (const RankStatus& status : run) {
    if (status.presence != Presence::connected || !status.waits_for_ranks()) continue;
    if (found == nullptr || status.last.operation_seconds > found->last.operation_seconds) found = &status;
  }
  return found;
}

}  // namespace

DoublingAlarm::DoublingAlarm(double first) : first_(std::max(first, 0.001)), next_(first_) {}

bool DoublingAlarm::is_due(double seconds) {
  if (seconds < first_) next_ = first_;
  if (seconds < next_) return false;
  while (next_ <= seconds) next_ *= 2.0;
  return true;
}

LateRanks::LateRanks(std::chrono::milliseconds warn_after) : warn_after_(seconds(warn_after)) {}

std::vector<std::string> LateRanks::look(std::span<const RankStatus> run) {
  const RankStatus* const waiting = longest_waiting(run);
  if (waiting == nullptr) return {};
  std::vector<std::string> warnings;
  for (const RankStatus& status : run) {
    // A silent rank may have been waiting when it fell silent.
    if (status.presence != Presence::connected || (status.waits_for_ranks() && !status.silent)) continue;
    if (&status == waiting) continue;
    auto& alarm = alarms_.try_emplace(status.last.rank, warn_after_).first->second;
    if (!alarm.is_due(status.progress_age())) continue;
    const std::string doing = status.silent
                                  ? describe(status)
                                  : fmt::format("{} is late: {:.0f} s without progress in {}",
                                                name_of(status), status.progress_age(), doing_of(status));
    warnings.push_back(fmt::format("{}; others wait in \"{}\"", doing, waiting->last.operation));
  }
  return warnings;
}

StalledFiles::StalledFiles(std::chrono::milliseconds warn_after) : alarm_(seconds(warn_after)) {}

std::optional<std::string> StalledFiles::look(const activity::Snapshot& own) {
  const double age = own.longest_file ? own.longest_file->seconds : 0.0;
  if (!alarm_.is_due(age)) return std::nullopt;
  return fmt::format("waiting for the file system for {:.0f} s: {} (it stalls)", age, own.longest_file->what);
}

}  // namespace shelfcast::parallel
