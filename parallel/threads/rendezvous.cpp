#include "parallel/threads/rendezvous.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/activity.h"
#include "base/log.h"

namespace shelfcast::parallel {

// A witness does not wake those who wait here: they look.
constexpr std::chrono::milliseconds kLookAtWitness{50};

enum class Stage { gathering, working, done };

struct Rendezvous::Table {
  std::string kind, label;
  int first_rank = 0;
  std::size_t size = 0;
  std::vector<Contribution> contributions;
  std::vector<bool> arrived;
  Stage stage = Stage::gathering;
};

void ThreadsRun::fail(int rank, const std::string& message) {
  const std::lock_guard lock(mutex_);
  fail_locked(rank, message);
}

void ThreadsRun::fail_locked(int rank, const std::string& message) {
  if (culprit_) return;
  culprit_ = rank;
  message_ = message;
  changed_.notify_all();
}

void ThreadsRun::leave(int rank) {
  const std::lock_guard lock(mutex_);
  has_left_[static_cast<std::size_t>(rank)] = true;
  changed_.notify_all();
}

std::optional<int> ThreadsRun::culprit() const {
  const std::lock_guard lock(mutex_);
  return culprit_;
}

std::string ThreadsRun::message() const {
  const std::lock_guard lock(mutex_);
  return message_;
}

Rendezvous::Rendezvous(std::shared_ptr<ThreadsRun> run, std::vector<int> members)
    : run_(std::move(run)), members_(std::move(members)) {}

std::shared_ptr<Rendezvous::Table> Rendezvous::arrive(int rank, std::uint64_t sequence,
                                                      const Meeting& meeting, Contribution contribution,
                                                      std::string_view label) {
  std::unique_lock lock(run_->mutex_);
  if (run_->culprit_) throw failure_locked(rank, label);
  std::shared_ptr<Table> table = table_locked(rank, sequence, meeting, label);
  table->contributions[static_cast<std::size_t>(rank)] = contribution;
  table->arrived[static_cast<std::size_t>(rank)] = true;
  if (std::all_of(table->arrived.begin(), table->arrived.end(), [](bool there) { return there; })) {
    open_.erase(sequence);
    work_for_all(table, meeting, lock);
  }
  return table;
}

std::shared_ptr<Rendezvous::Table> Rendezvous::table_locked(int rank, std::uint64_t sequence,
                                                            const Meeting& meeting, std::string_view label) {
  std::shared_ptr<Table>& table = open_[sequence];
  if (!table) {
    table = std::make_shared<Table>();
    table->kind = meeting.kind;
    table->label = label;
    table->first_rank = rank;
    table->size = meeting.size;
    table->contributions.resize(members_.size());
    table->arrived.resize(members_.size(), false);
  }
  if (table->kind == meeting.kind && table->size == meeting.size) return table;
  const std::string ours =
      fmt::format("rank {} calls {} \"{}\" of {}", rank, meeting.kind, label, meeting.size);
  const std::string theirs =
      fmt::format("rank {} calls {} \"{}\" of {}", table->first_rank, table->kind, table->label, table->size);
  run_->fail_locked(members_[static_cast<std::size_t>(rank)], ours + " where " + theirs);
  throw Error(ErrorKind::communication, "ranks disagree about an operation", ours + ", " + theirs);
}

void Rendezvous::work_for_all(const std::shared_ptr<Table>& table, const Meeting& meeting,
                              std::unique_lock<std::mutex>& lock) {
  // From here on nobody may take its memory away, whatever fails: the others wait for the end of this stage.
  table->stage = Stage::working;
  lock.unlock();
  std::exception_ptr failed;
  try {
    meeting.work(table->contributions);
  } catch (...) {
    failed = std::current_exception();
  }
  lock.lock();
  // Failed work leaves the table unfinished, so that its waiters learn of the failure from the run.
  table->stage = failed ? Stage::gathering : Stage::done;
  if (failed) run_->fail_locked(members_.back(), fmt::format("{} \"{}\" failed", table->kind, table->label));
  run_->changed_.notify_all();
  if (failed) std::rethrow_exception(failed);
}

void Rendezvous::wait(int rank, Table& table, std::chrono::milliseconds deadline, std::string_view label,
                      RankWitness* witness) {
  const activity::Operation waiting(activity::Kind::ranks, label);
  auto until = std::chrono::steady_clock::now() + deadline;
  std::unique_lock lock(run_->mutex_);
  while (table.stage != Stage::done) {
    if (table.stage == Stage::working) {
      run_->changed_.wait(lock);
      continue;
    }
    // Before the run's own echo of it: it says more.
    if (const auto failure = witness == nullptr ? std::nullopt : witness->failure()) throw *failure;
    if (run_->culprit_) throw failure_locked(rank, label);
    if (const std::optional<int> gone = departed_locked(table)) {
      run_->fail_locked(members_[static_cast<std::size_t>(rank)],
                        fmt::format("\"{}\" cannot end: rank {} has finished already", label, *gone));
      throw Error(ErrorKind::communication, fmt::format("\"{}\" cannot end on rank {}", label, rank),
                  fmt::format("rank {} has finished already", *gone));
    }
    const auto look_again =
        witness == nullptr ? until : std::min(until, std::chrono::steady_clock::now() + kLookAtWitness);
    run_->changed_.wait_until(lock, look_again);
    if (table.stage == Stage::gathering && !run_->culprit_ && std::chrono::steady_clock::now() >= until)
      until = std::chrono::steady_clock::now() + extend_or_throw(rank, table, deadline, label, witness, lock);
  }
}

bool Rendezvous::is_done(int rank, const Table& table, std::string_view label, RankWitness* witness) const {
  const std::lock_guard lock(run_->mutex_);
  if (table.stage != Stage::gathering) return table.stage == Stage::done;
  if (const auto failure = witness == nullptr ? std::nullopt : witness->failure()) throw *failure;
  if (run_->culprit_) throw failure_locked(rank, label);
  return false;
}

std::chrono::milliseconds Rendezvous::extend_or_throw(int rank, const Table& table,
                                                      std::chrono::milliseconds deadline,
                                                      std::string_view label, RankWitness* witness,
                                                      std::unique_lock<std::mutex>& lock) {
  const std::vector<int> missing = missing_locked(table);
  std::string why = fmt::format("ranks that did not arrive: {}", fmt::join(missing, ", "));
  const int ours = members_[static_cast<std::size_t>(rank)];
  if (witness != nullptr) {
    std::vector<int> awaited;
    for (const int member : missing) awaited.push_back(members_[static_cast<std::size_t>(member)]);
    lock.unlock();  // a judgement may take long
    const RankWitness::Verdict verdict = witness->judge(awaited, deadline);
    lock.lock();
    if (verdict.extension.count() > 0 || table.stage != Stage::gathering || run_->culprit_)
      return verdict.extension;
    if (!verdict.text.empty()) why = fmt::format("it waits for {}", verdict.text);
  }
  run_->fail_locked(ours, fmt::format("rank {} waited too long in \"{}\": {}", rank, label, why));
  Error error(ErrorKind::timeout,
              fmt::format("\"{}\" did not end within {} s on rank {}", label,
                          static_cast<double>(deadline.count()) / 1000.0, rank),
              why);
  error.host = log::identity().host;
  if (const std::int64_t step = activity::snapshot(ours).step; step >= 0) error.step = step;
  throw error;
}

void Rendezvous::abandon(int rank, Table& table, std::string_view label) noexcept {
  try {
    std::unique_lock lock(run_->mutex_);
    run_->changed_.wait(lock, [&] { return table.stage != Stage::working; });
    if (table.stage == Stage::done || run_->culprit_) return;
    const std::string message = fmt::format("rank {} started \"{}\" and did not wait for it", rank, label);
    run_->fail_locked(members_[static_cast<std::size_t>(rank)], message);
    lock.unlock();
    log::warn(message);
  } catch (const std::exception& error) {
    log::warn(error.what());
  }
}

Error Rendezvous::failure_locked(int rank, std::string_view label) const {
  Error error(ErrorKind::communication, fmt::format("\"{}\" was broken off on rank {}", label, rank),
              fmt::format("rank {} failed: {}", *run_->culprit_, run_->message_));
  return error;
}

// A member that is missing at the table and has left the run.
std::optional<int> Rendezvous::departed_locked(const Table& table) const {
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (!table.arrived[i] && run_->has_left_[static_cast<std::size_t>(members_[i])])
      return static_cast<int>(i);
  return std::nullopt;
}

std::vector<int> Rendezvous::missing_locked(const Table& table) const {
  std::vector<int> missing;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (!table.arrived[i]) missing.push_back(static_cast<int>(i));
  return missing;
}

}  // namespace shelfcast::parallel
