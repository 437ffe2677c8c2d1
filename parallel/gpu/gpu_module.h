// The C interface of the GPU module (libshelfcast_gpu.so), which programs open at run time.
//
// A table of functions, so that tests can put a twin without any GPU in its place; C, because an error must
// not unwind from one library into another. It changes only together with kGpuModuleVersion, which the loader
// compares before it calls anything else.
#pragma once

#include <cstdint>

extern "C" {

inline constexpr std::int32_t kGpuModuleVersion = 6;

// Why a call failed, NUL-terminated; written only by calls that fail.
struct ShelfcastGpuProblem {
  char text[512];
};

// One CUDA device. Texts are NUL-terminated.
struct ShelfcastGpuDevice {
  char name[128];
  char bus_id[32];            // "0000:65:00.0"
  char uuid[48];              // "GPU-" and 32 hexadecimal digits: the same device, whoever numbers it
  std::int64_t memory_bytes;  // of the whole device
  std::int64_t free_bytes;    // now; -1 when the device cannot be opened, 0 when it was not asked to be
  std::int32_t compute_major, compute_minor;
};

// What the module was built with and what it meets here. Versions are 0 when absent, else as CUDA and NCCL
// number them (13000 = CUDA 13.0, 22809 = NCCL 2.28.9).
struct ShelfcastGpuVersions {
  std::int32_t runtime, driver, nccl;
};

// What names a group of NCCL ranks to those who join it.
struct ShelfcastNcclId {
  char bytes[128];
};

enum ShelfcastNcclKind : std::int32_t {
  kNcclAllReduce = 0,
  kNcclReduceScatter = 1,
  kNcclAllGather = 2,
  kNcclBroadcast = 3,
  kNcclReduce = 4,  // to `root`
};

enum ShelfcastNcclReduction : std::int32_t { kNcclSum = 0, kNcclMin = 1, kNcclMax = 2 };

enum ShelfcastNcclElement : std::int32_t { kNcclFloat32 = 0, kNcclBfloat16 = 1, kNcclByte = 2 };

// One collective in device memory. `count`: elements this rank gives to an all-reduce, a reduce,
// a broadcast and an all-gather, elements it gets from a reduce-scatter. `send` may be where NCCL allows
// in-place work.
struct ShelfcastNcclCall {
  std::int32_t kind, reduction, root;
  const void* send;
  void* receive;
  std::int64_t count;
  std::int32_t element = kNcclFloat32;
};

// States of what goes on by itself.
enum ShelfcastGpuState : std::int32_t { kGpuFailed = -1, kGpuDone = 0, kGpuUnderWay = 1 };

// Every call may come from any thread, for one group from one at a time. Those that return a state or an
// int32 give kGpuFailed and write `problem` when they fail; those that return a pointer give null.
struct ShelfcastGpuOperations {
  void (*versions)(ShelfcastGpuVersions* versions);
  // Writes up to `capacity` devices and returns how many there are. Opens a context on the one with the
  // number `open` (over and over), with -1 on each.
  std::int32_t (*devices)(ShelfcastGpuDevice* devices, std::int32_t capacity, std::int32_t open,
                          ShelfcastGpuProblem* problem);

  // Where the program's own work goes from now on, a cudaStream_t of the thread's device: the work stream.
  // Before any call, CUDA's default one.
  void (*work_on)(void* stream);
  // Memory of the device.
  void* (*allocate)(std::int32_t device, std::int64_t bytes, ShelfcastGpuProblem* problem);
  void (*release)(void* memory);
  // 1: `memory` is a device's, 0: the host's.
  std::int32_t (*is_device)(const void* memory);
  // Between any two places, after what is on the work stream by now; returns when it is done.
  std::int32_t (*copy)(void* to, const void* from, std::int64_t bytes, ShelfcastGpuProblem* problem);

  // Starts to make the masks of dropout, uint8 [draws, elements], by kernels.h's rule from the keys of the
  // draws, uint64; both in memory of the thread's device. On the work stream.
  std::int32_t (*keep_mask)(const std::uint64_t* keys, std::int64_t draws, std::int64_t elements,
                            std::uint32_t threshold, std::uint8_t* keep, ShelfcastGpuProblem* problem);

  // Groups of NCCL ranks. An id is made by one rank and carried to the others by other means.
  std::int32_t (*nccl_id)(ShelfcastNcclId* id, ShelfcastGpuProblem* problem);
  // Starts to join; the group can be used when its state is kGpuDone.
  void* (*nccl_join)(const ShelfcastNcclId* id, std::int32_t rank, std::int32_t size, std::int32_t device,
                     ShelfcastGpuProblem* problem);
  // Starts to split off the ranks of the same `color` (not negative), ordered by `key`.
  void* (*nccl_split)(void* group, std::int32_t color, std::int32_t key, ShelfcastGpuProblem* problem);
  // Whether the last call on the group has got through, and no rank's error has arrived.
  std::int32_t (*nccl_state)(void* group, ShelfcastGpuProblem* problem);
  // Starts a collective on the group's own stream, behind what is on the work stream by now. The group's
  // state must be kGpuDone before, and again before the next call on it.
  std::int32_t (*nccl_start)(void* group, const ShelfcastNcclCall* call, ShelfcastGpuProblem* problem);
  // A mark behind all that was started so far: its number, not negative.
  std::int64_t (*nccl_mark)(void* group, ShelfcastGpuProblem* problem);
  // Whether the stream has passed a mark; once kGpuDone was returned the mark is gone.
  std::int32_t (*nccl_passed)(void* group, std::int64_t mark, ShelfcastGpuProblem* problem);
  // Frees the group. `abort` not 0: without the other ranks, giving up what is under way.
  void (*nccl_leave)(void* group, std::int32_t abort);
};

// The version of this interface that the module was built with.
std::int32_t shelfcast_gpu_module_version();
const ShelfcastGpuOperations* shelfcast_gpu_operations();
}
