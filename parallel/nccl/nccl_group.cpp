#include "parallel/nccl/nccl_group.h"

#include <exception>

#include "base/activity.h"
#include "base/error.h"

namespace shelfcast::parallel {

NcclGroup::~NcclGroup() {
  // Leaving well is collective: not with ranks lost or lost on the way.
  if (handle_ != nullptr)
    run_->gpu->nccl_leave(handle_, !run_->broken_by.empty() || std::uncaught_exceptions() > 0 ? 1 : 0);
}

void NcclGroup::give_up(const std::string& why) noexcept {
  if (run_->broken_by.empty()) run_->broken_by = why;
  if (handle_ != nullptr) run_->gpu->nccl_leave(handle_, 1);
  handle_ = nullptr;
}

void NcclGroup::check_usable(std::string_view label) {
  if (!run_->broken_by.empty())
    throw Error(ErrorKind::communication,
                fmt::format("\"{}\" cannot start on {}", label, name_rank(run_->place, run_->place.rank)),
                run_->broken_by);
  try {
    throw_known_failure(run_->witness.get());
  } catch (const Error& error) {
    give_up(error.what());
    throw;
  }
}

Error NcclGroup::failed(std::string_view label, const ShelfcastGpuProblem& problem) const {
  Error error(ErrorKind::communication,
              fmt::format("\"{}\" failed on {}", label, name_rank(run_->place, run_->place.rank)),
              problem.text, "look at the logs of the other ranks; NCCL_DEBUG=INFO tells more");
  error.rank = run_->place.rank;
  return error;
}

void NcclGroup::wait_for(const std::function<std::int32_t(ShelfcastGpuProblem*)>& state,
                         std::string_view label, std::chrono::milliseconds deadline) {
  const activity::Operation waiting(activity::Kind::ranks, label);
  Patience patience(label, deadline, run_->place, run_->witness.get());
  ShelfcastGpuProblem problem{};
  try {
    for (;;) {
      const std::int32_t now = state(&problem);
      if (now == kGpuDone) return;
      if (now == kGpuFailed) throw failed(label, problem);
      // NCCL does not say who is missing: the witness looks at every rank.
      patience.pause([] { return std::vector<int>(); });
    }
  } catch (const Error& error) {
    give_up(error.what());
    throw;
  }
}

void NcclGroup::settle(std::string_view label, std::chrono::milliseconds deadline) {
  wait_for([this](ShelfcastGpuProblem* problem) { return run_->gpu->nccl_state(handle_, problem); }, label,
           deadline);
}

std::int64_t NcclGroup::start(const ShelfcastNcclCall& call, std::string_view label,
                              std::chrono::milliseconds deadline) {
  check_usable(label);
  ShelfcastGpuProblem problem{};
  std::int64_t mark = kGpuFailed;
  if (run_->gpu->nccl_start(handle_, &call, &problem) == kGpuDone) {
    // The first collective connects the ranks; the mark must lie behind what it then starts.
    settle(label, deadline);
    mark = run_->gpu->nccl_mark(handle_, &problem);
  }
  if (mark >= 0) return mark;
  const Error error = failed(label, problem);
  give_up(error.what());
  throw error;
}

void NcclGroup::wait(std::int64_t mark, std::string_view label, std::chrono::milliseconds deadline) {
  check_usable(label);
  wait_for([&](ShelfcastGpuProblem* problem) { return run_->gpu->nccl_passed(handle_, mark, problem); },
           label, deadline);
}

bool NcclGroup::has_passed(std::int64_t mark, std::string_view label) {
  check_usable(label);
  ShelfcastGpuProblem problem{};
  const std::int32_t now = run_->gpu->nccl_passed(handle_, mark, &problem);
  if (now != kGpuFailed) return now == kGpuDone;
  const Error error = failed(label, problem);
  give_up(error.what());
  throw error;
}

void* NcclGroup::start_split(int color, int key) {
  check_usable("split");
  ShelfcastGpuProblem problem{};
  void* handle = run_->gpu->nccl_split(handle_, color, key, &problem);
  // The group is not made of the text that would say why there is none.
  // cppcheck-suppress returnDanglingLifetime
  if (handle != nullptr) return handle;
  const Error error = failed("split", problem);
  give_up(error.what());
  throw error;
}

}  // namespace shelfcast::parallel
