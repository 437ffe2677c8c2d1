#include "parallel/gpu/nccl_group.h"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "parallel/gpu/cuda_check.h"
#include "parallel/gpu/work_stream.h"

namespace shelfcast::parallel::nccl {
namespace {

static_assert(sizeof(ShelfcastNcclId) == sizeof(ncclUniqueId));

bool check(ncclResult_t result, ncclComm_t comm, ShelfcastGpuProblem* problem) {
  if (result == ncclSuccess || result == ncclInProgress) return true;
  const char* more = ncclGetLastError(comm);
  const bool has_more = more != nullptr && *more != '\0';
  std::snprintf(problem->text, sizeof(problem->text), "%s%s%s", ncclGetErrorString(result),
                has_more ? ": " : "", has_more ? more : "");
  return false;
}

// One rank's membership: the communicator and a stream of its own with the marks on it.
struct Group {
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() {
    for (const cudaEvent_t event : events) cudaEventDestroy(event);
    if (ready != nullptr) cudaEventDestroy(ready);
    if (stream != nullptr) cudaStreamDestroy(stream);
  }

  bool open(int on_device, ShelfcastGpuProblem* problem) {
    device = on_device;
    // Not blocking: else every piece of work on the default stream would wait for the network.
    return parallel::check(cudaSetDevice(device), problem) &&
           parallel::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), problem) &&
           parallel::check(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), problem);
  }

  int device = 0;
  cudaStream_t stream = nullptr;
  cudaEvent_t ready = nullptr;
  ncclComm_t comm = nullptr;        // filled in by NCCL, at the latest when the group is there
  Group* split_from = nullptr;      // while it is being split off
  std::vector<cudaEvent_t> events;  // mark i is events[i]
  std::vector<std::int64_t> unused;
};

Group& group_of(void* group) { return *static_cast<Group*>(group); }

ncclConfig_t config_without_waiting() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

ncclRedOp_t reduction_of(std::int32_t reduction) {
  switch (reduction) {
    case kNcclMin:
      return ncclMin;
    case kNcclMax:
      return ncclMax;
    default:
      return ncclSum;
  }
}

ncclDataType_t element_of(std::int32_t element) {
  switch (element) {
    case kNcclBfloat16:
      return ncclBfloat16;
    case kNcclByte:
      return ncclUint8;
    default:
      return ncclFloat32;
  }
}

ncclResult_t run(const Group& group, const ShelfcastNcclCall& call) {
  const auto count = static_cast<std::size_t>(call.count);
  const ncclRedOp_t reduction = reduction_of(call.reduction);
  const ncclDataType_t element = element_of(call.element);
  switch (call.kind) {
    case kNcclAllReduce:
      return ncclAllReduce(call.send, call.receive, count, element, reduction, group.comm, group.stream);
    case kNcclReduceScatter:
      return ncclReduceScatter(call.send, call.receive, count, element, reduction, group.comm, group.stream);
    case kNcclAllGather:
      return ncclAllGather(call.send, call.receive, count, element, group.comm, group.stream);
    case kNcclBroadcast:
      return ncclBroadcast(call.send, call.receive, count, element, call.root, group.comm, group.stream);
    case kNcclReduce:
      return ncclReduce(call.send, call.receive, count, element, reduction, call.root, group.comm,
                        group.stream);
    default:
      return ncclInvalidArgument;
  }
}

}  // namespace

std::int32_t make_id(ShelfcastNcclId* id, ShelfcastGpuProblem* problem) {
  ncclUniqueId made{};
  if (!check(ncclGetUniqueId(&made), nullptr, problem)) return kGpuFailed;
  std::memcpy(id->bytes, &made, sizeof(made));
  return kGpuDone;
}

void* join(const ShelfcastNcclId* id, std::int32_t rank, std::int32_t size, std::int32_t device,
           ShelfcastGpuProblem* problem) {
  auto group = std::make_unique<Group>();
  if (!group->open(device, problem)) return nullptr;
  ncclUniqueId common{};
  std::memcpy(&common, id->bytes, sizeof(common));
  ncclConfig_t config = config_without_waiting();
  if (!check(ncclCommInitRankConfig(&group->comm, size, common, rank, &config), nullptr, problem))
    return nullptr;
  return group.release();
}

void* split(void* group, std::int32_t color, std::int32_t key, ShelfcastGpuProblem* problem) {
  Group& whole = group_of(group);
  auto part = std::make_unique<Group>();
  if (!part->open(whole.device, problem)) return nullptr;
  part->split_from = &whole;
  ncclConfig_t config = config_without_waiting();
  if (!check(ncclCommSplit(whole.comm, color, key, &part->comm, &config), whole.comm, problem))
    return nullptr;
  return part.release();
}

std::int32_t state(void* group, ShelfcastGpuProblem* problem) {
  Group& self = group_of(group);
  if (self.split_from != nullptr) {
    const std::int32_t whole = state(self.split_from, problem);
    if (whole != kGpuDone) return whole;
    self.split_from = nullptr;
  }
  ncclResult_t result = ncclSuccess;
  if (!check(ncclCommGetAsyncError(self.comm, &result), self.comm, problem) ||
      !check(result, self.comm, problem))
    return kGpuFailed;
  return result == ncclInProgress ? kGpuUnderWay : kGpuDone;
}

std::int32_t start(void* group, const ShelfcastNcclCall* call, ShelfcastGpuProblem* problem) {
  const Group& self = group_of(group);
  // What is to be sent may still be in the making.
  const bool ordered = parallel::check(cudaSetDevice(self.device), problem) &&
                       parallel::check(cudaEventRecord(self.ready, work_stream), problem) &&
                       parallel::check(cudaStreamWaitEvent(self.stream, self.ready, 0), problem);
  return ordered && check(run(self, *call), self.comm, problem) ? kGpuDone : kGpuFailed;
}

std::int64_t mark(void* group, ShelfcastGpuProblem* problem) {
  Group& self = group_of(group);
  if (!parallel::check(cudaSetDevice(self.device), problem)) return kGpuFailed;
  if (self.unused.empty()) {
    cudaEvent_t event = nullptr;
    if (!parallel::check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), problem))
      return kGpuFailed;
    self.unused.push_back(static_cast<std::int64_t>(self.events.size()));
    self.events.push_back(event);
  }
  const std::int64_t number = self.unused.back();
  if (!parallel::check(cudaEventRecord(self.events[static_cast<std::size_t>(number)], self.stream), problem))
    return kGpuFailed;
  self.unused.pop_back();
  return number;
}

std::int32_t passed(void* group, std::int64_t mark, ShelfcastGpuProblem* problem) {
  Group& self = group_of(group);
  const cudaError_t status = cudaEventQuery(self.events[static_cast<std::size_t>(mark)]);
  // While a peer is lost the event stays where it is: only NCCL knows.
  if (status == cudaErrorNotReady) return state(group, problem) == kGpuFailed ? kGpuFailed : kGpuUnderWay;
  if (!parallel::check(status, problem)) return kGpuFailed;
  self.unused.push_back(mark);
  return kGpuDone;
}

void leave(void* group, std::int32_t abort) {
  // While a split goes on NCCL's own thread may still write the communicator into the group, whatever has
  // become of the ranks: so few bytes are left behind.
  if (group_of(group).split_from != nullptr) return;
  const std::unique_ptr<Group> self(&group_of(group));
  cudaSetDevice(self->device);
  if (self->comm == nullptr) return;
  if (abort != 0) {
    ncclCommAbort(self->comm);
  } else {
    ncclCommDestroy(self->comm);
  }
}

}  // namespace shelfcast::parallel::nccl
