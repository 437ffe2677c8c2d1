// A group of NCCL ranks as an object: waits with deadlines over the calls of the GPU module.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "parallel/communicator.h"
#include "parallel/gpu/gpu_module.h"
#include "parallel/patience.h"

namespace shelfcast::parallel {

// What a group shares with those split from it.
struct NcclRun {
  const ShelfcastGpuOperations* gpu = nullptr;
  RankPlace place;
  std::shared_ptr<RankWitness> witness;  // null: none
  std::string broken_by;                 // after a failure nothing is started any more
};

// Used from one thread at a time. After a timeout, a lost peer or the witness's failure everything is given
// up and calls throw at once.
class NcclGroup {
 public:
  // Takes over `handle`, a group that is being joined.
  NcclGroup(std::shared_ptr<NcclRun> run, void* handle) : run_(std::move(run)), handle_(handle) {}
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  const std::shared_ptr<NcclRun>& run() const { return run_; }
  // Waits until all have joined and the last call got through.
  void settle(std::string_view label, std::chrono::milliseconds deadline);
  // Starts a collective: the number of the mark behind it.
  std::int64_t start(const ShelfcastNcclCall& call, std::string_view label,
                     std::chrono::milliseconds deadline);
  // Returns once the device has passed the mark.
  void wait(std::int64_t mark, std::string_view label, std::chrono::milliseconds deadline);
  // Whether it has by now, which ends the mark; throws as wait() does.
  bool has_passed(std::int64_t mark, std::string_view label);
  // The handle of a group being split off.
  void* start_split(int color, int key);
  // Without the other ranks.
  void give_up(const std::string& why) noexcept;
  // Throws Error(communication) after give_up(), the witness's failure once there is one.
  void check_usable(std::string_view label);

 private:
  void wait_for(const std::function<std::int32_t(ShelfcastGpuProblem*)>& state, std::string_view label,
                std::chrono::milliseconds deadline);
  Error failed(std::string_view label, const ShelfcastGpuProblem& problem) const;

  std::shared_ptr<NcclRun> run_;
  void* handle_;  // null once given up
};

}  // namespace shelfcast::parallel
