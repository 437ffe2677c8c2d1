#include "parallel/mpi/mpi_engine.h"

#include <fmt/format.h>

#include "base/activity.h"

namespace shelfcast::parallel {
void MpiEngine::set_place(int rank, std::vector<std::string> hosts) { place_ = {rank, std::move(hosts)}; }

void MpiEngine::check_usable(std::string_view label) {
  if (is_broken())
    throw Error(ErrorKind::communication,
                fmt::format("\"{}\" cannot start on {}", label, name_rank(place_, place_.rank)), broken_by_);
  try {
    throw_known_failure(witness_.get());
  } catch (const Error& error) {
    give_up_started(error.what());
    throw;
  }
}

std::shared_ptr<SharedMemory> MpiEngine::shared_at(std::span<const std::byte> values) {
  std::erase_if(shared_, [](const auto& memory) { return memory.expired(); });
  for (const auto& entry : shared_)
    if (auto memory = entry.lock(); memory && memory->offset_of(values)) return memory;
  return nullptr;
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
  Patience patience(operation.label(), deadline, place_, witness_.get());
  const auto awaited = [&] {
    std::vector<int> ranks;
    for (const int rank : operation.awaited()) ranks.push_back(members[static_cast<std::size_t>(rank)]);
    return ranks;
  };
  try {
    while (!poll(operation)) {
      drive_started();
      patience.pause(awaited);
    }
  } catch (const Error& error) {
    give_up(operation, error.what());
    throw;
  }
}

bool MpiEngine::is_done(MpiOperation& operation) {
  check_usable(operation.label());
  try {
    return poll(operation);
  } catch (const Error& error) {
    give_up(operation, error.what());
    throw;
  }
}

bool MpiEngine::poll(MpiOperation& operation) const {
  try {
    return operation.poll();
  } catch (const Error& error) {
    Error placed(error.kind(),
                 fmt::format("\"{}\" failed on {}", operation.label(), name_rank(place_, place_.rank)),
                 error.what());
    placed.rank = place_.rank;
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

}  // namespace shelfcast::parallel
