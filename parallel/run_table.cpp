#include "parallel/run_table.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace shelfcast::parallel {
namespace {

using std::chrono::milliseconds;

// Heartbeats in a row that may fail to come before that is worth a word.
constexpr double kMissedBeats = 4.0;

std::string phase_of(const Beat& beat) {
  if (beat.phase.empty()) return "before its first phase";
  return beat.step < 0 ? fmt::format("phase {}", beat.phase)
                       : fmt::format("phase {}, step {}", beat.phase, beat.step);
}

Error placed(Error error, const RankStatus& status) {
  error.rank = status.last.rank;
  error.host = status.last.host;
  if (status.last.step >= 0) error.step = status.last.step;
  return error;
}

bool is_heard(const RankStatus& status) { return status.presence == Presence::connected && !status.silent; }

double seconds(milliseconds duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::string name_of(const RankStatus& status) {
  return status.last.host.empty() ? fmt::format("rank {}", status.last.rank)
                                  : fmt::format("rank {} on {}", status.last.rank, status.last.host);
}

std::string doing_of(const RankStatus& status) {
  const Beat& beat = status.last;
  if (beat.operation.empty()) return fmt::format("{}, computing (no operation)", phase_of(beat));
  return fmt::format("{}, in \"{}\" for {:.1f} s", phase_of(beat), beat.operation,
                     beat.operation_seconds + status.beat_age);
}

std::string describe(const RankStatus& status) {
  switch (status.presence) {
    case Presence::unknown:
      return fmt::format("{}: no heartbeat has ever come from it", name_of(status));
    case Presence::ended:
      return fmt::format("{}: it has said goodbye", name_of(status));
    case Presence::gone:
      return fmt::format("{}: its process has ended, last in {}", name_of(status), doing_of(status));
    case Presence::connected:
      break;
  }
  if (status.silent)
    return fmt::format(
        "{}: no heartbeat for {:.1f} s (process stopped, host lost or network cut), before that in {}",
        name_of(status), status.beat_age, doing_of(status));
  return fmt::format("{}: {}, no progress for {:.1f} s, last heartbeat {:.1f} s ago", name_of(status),
                     doing_of(status), status.progress_age(), status.beat_age);
}

Error gone_error(const RankStatus& status) {
  return placed(Error(ErrorKind::communication, fmt::format("{} is gone", name_of(status)),
                      fmt::format("its process ended without a goodbye; last seen {:.1f} s ago in {}",
                                  status.beat_age, doing_of(status)),
                      "look at its log and at the kernel's log for an out-of-memory kill"),
                status);
}

Error failed_error(const RankStatus& status, const std::string& message) {
  return placed(Error(ErrorKind::communication, fmt::format("{} failed: {}", name_of(status), message)),
                status);
}

namespace {

// Who may be missing where nobody says who is.
std::vector<int> suspects_of(std::span<const RankStatus> run) {
  std::vector<int> all, suspects;
  for (std::size_t rank = 0; rank < run.size(); ++rank) {
    all.push_back(static_cast<int>(rank));
    if (!is_heard(run[rank]) || !run[rank].waits_for_ranks()) suspects.push_back(static_cast<int>(rank));
  }
  return suspects.empty() ? all : suspects;
}

constexpr std::size_t kNamed = 8;  // ranks in a message

}  // namespace

RankWitness::Verdict judge_wait(std::span<const RankStatus> run, std::span<const int> awaited,
                                milliseconds deadline, milliseconds blur) {
  if (awaited.empty() && !run.empty()) return judge_wait(run, suspects_of(run), deadline, blur);
  const double limit = seconds(deadline + blur);
  double freshest = limit;  // the youngest progress of any rank that is heard
  for (const RankStatus& status : run)
    if (is_heard(status)) freshest = std::min(freshest, status.progress_age());

  double left = limit;  // until the first of the awaited ranks would be stuck
  std::vector<std::string> texts;
  for (const int rank : awaited) {
    const RankStatus& status = run[static_cast<std::size_t>(rank)];
    if (texts.size() < kNamed) texts.push_back(describe(status));
    const double age = status.waits_for_ranks() ? freshest : status.progress_age();
    left = is_heard(status) ? std::min(left, limit - age) : 0.0;
  }
  RankWitness::Verdict verdict;
  verdict.text = fmt::format("{}", fmt::join(texts, "; "));
  if (awaited.size() > kNamed) verdict.text += fmt::format("; and {} more", awaited.size() - kNamed);
  if (awaited.empty() || left <= 0.0) return verdict;
  verdict.extension = std::max(milliseconds(static_cast<std::int64_t>(left * 1000.0) + 1), blur);
  return verdict;
}

RunTable::RunTable(std::vector<std::string> hosts, BeatSource source, milliseconds interval)
    : hosts_(std::move(hosts)),
      source_(source),
      silent_after_(kMissedBeats * seconds(interval)),
      rows_(hosts_.size()) {
  for (std::size_t rank = 0; rank < rows_.size(); ++rank) {
    rows_[rank].beat.rank = static_cast<int>(rank);
    rows_[rank].beat.host = hosts_[rank];
    rows_[rank].at = Clock::now();
  }
}

void RunTable::record(const Beat& beat) {
  const std::lock_guard lock(mutex_);
  if (beat.rank < 0 || static_cast<std::size_t>(beat.rank) >= rows_.size()) return;
  Row& row = rows_[static_cast<std::size_t>(beat.rank)];
  row.beat = beat;
  row.at = Clock::now();
  if (row.presence == Presence::unknown) row.presence = Presence::connected;
}

void RunTable::record(const Table& table) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  for (const TableLine& line : table.lines) {
    if (line.beat.rank < 0 || static_cast<std::size_t>(line.beat.rank) >= rows_.size()) continue;
    rows_[static_cast<std::size_t>(line.beat.rank)] = {
        line.beat, line.presence,
        now - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(line.age_seconds))};
  }
  ++tables_;
  table_came_.notify_all();
}

void RunTable::set_presence(int rank, Presence presence) {
  const std::lock_guard lock(mutex_);
  rows_.at(static_cast<std::size_t>(rank)).presence = presence;
}

RankStatus RunTable::status_locked(std::size_t rank, Clock::time_point now) const {
  const Row& row = rows_[rank];
  if (source_ == BeatSource::this_process)
    return {.last = beat_of(row.beat.rank, row.beat.host), .presence = row.presence};
  RankStatus status{.last = row.beat, .presence = row.presence};
  status.beat_age = std::chrono::duration<double>(now - row.at).count();
  status.silent = status.beat_age > silent_after_.count();
  return status;
}

RankStatus RunTable::status(int rank) const {
  const std::lock_guard lock(mutex_);
  SHELFCAST_ASSERT(rank >= 0 && static_cast<std::size_t>(rank) < rows_.size());
  return status_locked(static_cast<std::size_t>(rank), Clock::now());
}

std::vector<RankStatus> RunTable::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<RankStatus> statuses;
  for (std::size_t rank = 0; rank < rows_.size(); ++rank)
    statuses.push_back(status_locked(rank, Clock::now()));
  return statuses;
}

Table RunTable::to_send() const {
  Table table;
  for (const RankStatus& status : all())
    table.lines.push_back({.beat = status.last, .presence = status.presence, .age_seconds = status.beat_age});
  return table;
}

std::uint64_t RunTable::tables() const {
  const std::lock_guard lock(mutex_);
  return tables_;
}

void RunTable::wait_for_table(std::uint64_t seen, milliseconds limit) const {
  std::unique_lock lock(mutex_);
  table_came_.wait_for(lock, limit, [&] { return tables_ > seen || failed_; });
}

bool RunTable::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (failure_) return false;
  failure_ = error;
  failed_at_ = Clock::now();
  failed_ = true;
  table_came_.notify_all();
  return true;
}

std::optional<Error> RunTable::failure() const {
  if (!failed_) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::chrono::steady_clock::duration RunTable::failed_for() const {
  const std::lock_guard lock(mutex_);
  return failure_ ? Clock::now() - failed_at_ : Clock::duration::zero();
}

}  // namespace shelfcast::parallel
