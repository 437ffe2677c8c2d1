#include "parallel/mpi/mpi_engine.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <thread>

#include "base/activity.h"

namespace shelfcast::parallel {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// How to wait without taking a core from those who compute: look again at once for as long as a small message
// takes, then let others run, then sleep in growing steps.
class Backoff {
 public:
  void pause() {
    const auto waited = steady_clock::now() - began_;
    if (waited < microseconds(20)) return;
    if (waited < microseconds(500)) {
      std::this_thread::yield();
      return;
    }
    std::this_thread::sleep_for(nap_);
    nap_ = std::min(nap_ + nap_ / 4, microseconds(50));
  }

 private:
  steady_clock::time_point began_ = steady_clock::now();
  microseconds nap_{4};
};

}  // namespace

void MpiEngine::set_place(int rank, std::vector<std::string> hosts) {
  rank_ = rank;
  hosts_ = std::move(hosts);
}

void MpiEngine::check_usable(std::string_view label) {
  if (is_broken())
    throw Error(ErrorKind::communication, fmt::format("\"{}\" cannot start on {}", label, here()),
                broken_by_);
  try {
    throw_known_failure();
  } catch (const Error& error) {
    give_up_started(error.what());
    throw;
  }
}

void MpiEngine::throw_known_failure() const {
  if (!witness_) return;
  if (const std::optional<Error> failure = witness_->failure()) throw *failure;
}

void MpiEngine::start(const std::shared_ptr<MpiOperation>& operation) {
  check_usable(operation->label());
  started_.push_back(operation);
  try {
    drive_started();
  } catch (const Error& error) {
    give_up(*operation, error.what());
    throw;
  }
}

void MpiEngine::progress() {
  if (started_.empty()) return;
  try {
    drive_started();
  } catch (const Error& error) {
    give_up_started(error.what());
    throw;
  }
}

void MpiEngine::wait(MpiOperation& operation, const std::vector<int>& members,
                     std::chrono::milliseconds deadline) {
  check_usable(operation.label());
  const activity::Operation waiting(activity::Kind::ranks, operation.label());
  auto until = steady_clock::now() + deadline;
  Backoff backoff;
  try {
    while (!poll(operation)) {
      drive_started();
      throw_known_failure();
      if (steady_clock::now() >= until)
        until = steady_clock::now() + extend_or_throw(operation, members, deadline);
      backoff.pause();
    }
  } catch (const Error& error) {
    give_up(operation, error.what());
    throw;
  }
}

bool MpiEngine::poll(MpiOperation& operation) const {
  try {
    return operation.poll();
  } catch (const Error& error) {
    Error placed(error.kind(), fmt::format("\"{}\" failed on {}", operation.label(), here()), error.what());
    placed.rank = rank_;
    throw placed;
  }
}

void MpiEngine::drive_started() {
  std::vector<std::shared_ptr<MpiOperation>> unfinished;
  for (const auto& operation : started_)
    if (!poll(*operation)) unfinished.push_back(operation);
  started_ = std::move(unfinished);
}

void MpiEngine::give_up(MpiOperation& operation, const std::string& why) noexcept {
  operation.cancel();
  give_up_started(why);
}

void MpiEngine::give_up_started(const std::string& why) noexcept {
  for (const auto& started : started_) started->cancel();
  started_.clear();
  if (broken_by_.empty()) broken_by_ = why;
}

std::chrono::milliseconds MpiEngine::extend_or_throw(MpiOperation& operation, const std::vector<int>& members,
                                                     std::chrono::milliseconds deadline) {
  std::vector<int> awaited;
  for (const int rank : operation.awaited()) awaited.push_back(members[static_cast<std::size_t>(rank)]);
  std::string why = awaited.empty() ? std::string() : "no message came from " + names_of(awaited);
  if (witness_) {
    const RankWitness::Verdict verdict = witness_->judge(awaited, deadline);
    if (verdict.extension.count() > 0) return verdict.extension;
    throw_known_failure();
    if (!verdict.text.empty()) why = "it waits for " + verdict.text;
  }
  Error error(ErrorKind::timeout,
              fmt::format("\"{}\" did not end within {} s on {}", operation.label(),
                          static_cast<double>(deadline.count()) / 1000.0, here()),
              why, "look at the logs of those ranks");
  error.rank = rank_;
  if (static_cast<std::size_t>(rank_) < hosts_.size()) error.host = hosts_[static_cast<std::size_t>(rank_)];
  const std::int64_t step = activity::snapshot(rank_).step;
  if (step >= 0) error.step = step;
  throw error;
}

std::string MpiEngine::here() const {
  const auto place = static_cast<std::size_t>(rank_);
  return place < hosts_.size() ? fmt::format("rank {} on {}", rank_, hosts_[place])
                               : fmt::format("rank {}", rank_);
}

std::string MpiEngine::names_of(const std::vector<int>& ranks_of_run) const {
  std::vector<std::string> names;
  for (const int rank : ranks_of_run) {
    const auto place = static_cast<std::size_t>(rank);
    names.push_back(place < hosts_.size() ? fmt::format("rank {} on {}", rank, hosts_[place])
                                          : fmt::format("rank {}", rank));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace shelfcast::parallel
