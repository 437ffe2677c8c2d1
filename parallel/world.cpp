#include "parallel/world.h"

#include <sched.h>

#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "parallel/gpu/gpu_loader.h"
#include "parallel/nccl/gpu_choice.h"
#include "parallel/nccl/nccl_communicator.h"

namespace shelfcast::parallel {
namespace {

// Whether any rank has found a GPU: the same answer on every rank.
bool any_has_gpus(Communicator& host, const GpuReport& own) {
  std::int64_t found = own.devices.empty() ? 0 : 1;
  host.all_reduce(std::span(&found, 1), ReduceOp::max, "GPUs");
  return found > 0;
}

bool wants_gpus(const WorldConfig& config) {
  return config.device != DeviceChoice::cpu && config.backend != Backend::mpi;
}

RankDevice opened(const GpuReport& gpus, int gpu) {
  // Products with the same bits every time need this before CUDA's library of them starts.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  // NCCL's sums inside switches (NVLS) are not the same bits in every call. Whoever chooses algorithms has
  // the last word.
  if (std::getenv("NCCL_ALGO") == nullptr) setenv("NCCL_NVLS_ENABLE", "0", 0);
  open_torch_cuda();
  return {gpu, gpus.devices[static_cast<std::size_t>(gpu)].name};
}

// Whoever hides all GPUs means it.
bool gpus_are_hidden() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible != nullptr && (*visible == '\0' || std::string_view(visible) == "-1");
}

// Beside the thread that trains one waits for its backward, one reads, and NCCL has its own.
void warn_of_few_cores(const Communicator& ranks) {
  constexpr int kWanted = 4;
  cpu_set_t cores;
  if (ranks.local_rank() != 0 || sched_getaffinity(0, sizeof(cores), &cores) != 0) return;
  if (const int count = CPU_COUNT(&cores); count < kWanted)
    log::warn(
        "{}: a rank has {} of the cores for its GPU and {} or more would be busy - start with mpirun "
        "--bind-to none, or sbatch --cpus-per-task={}",
        host_name(), count, kWanted, 2 * kWanted);
}

}  // namespace

DeviceChoice parse_device(const std::string& text) {
  if (text == "auto") return DeviceChoice::automatic;
  if (text == "cpu") return DeviceChoice::cpu;
  if (text == "gpu") return DeviceChoice::gpu;
  throw input_error(fmt::format("unknown device \"{}\"", text), {}, "choose one of auto, cpu, gpu");
}

void WorldConfig::validate() const {
  if (backend == Backend::nccl && device == DeviceChoice::cpu)
    throw input_error("parallel.backend=nccl with parallel.device=cpu",
                      "NCCL carries the memory of GPUs only", "choose backend auto or mpi, or device gpu");
  if (backend == Backend::mpi && device == DeviceChoice::gpu)
    throw input_error("parallel.backend=mpi with parallel.device=gpu", "MPI carries host memory only",
                      "choose backend auto or nccl, or device cpu");
}

World make_world(Launch& launch, const WorldConfig& config) {
  config.validate();
  const Backend between_hosts = config.backend == Backend::nccl ? Backend::automatic : config.backend;
  World world{{}, launch.world(between_hosts, config.deadlines)};
  if (!wants_gpus(config)) return world;
  const bool asked_for = config.device == DeviceChoice::gpu || config.backend == Backend::nccl;
  // Only this rank's is opened: a context on each of a host's would cost every one of them memory for every
  // rank.
  const GpuReport gpus = inspect_gpus(world.ranks->local_rank());
  if (!asked_for && !any_has_gpus(*world.ranks, gpus)) {
    if (gpus.has_driver && !gpus_are_hidden() && world.ranks->local_rank() == 0)
      log::warn(
          "{} computes on the CPU though it has an NVIDIA driver: {} - parallel.device=gpu makes that an "
          "error, parallel.device=cpu says it is meant",
          host_name(), gpus.problem);
    return world;
  }

  static_cast<RankDevice&>(world) = opened(gpus, choose_gpus(*world.ranks, gpus, config.share_gpus));
  warn_of_few_cores(*world.ranks);
  if (world.ranks->size() == 1) return world;
  world.ranks = make_nccl(world.ranks, gpu_operations(), world.gpu, config.deadlines);
  return world;
}

RankDevice open_device(const WorldConfig& config) {
  config.validate();
  if (!wants_gpus(config)) return {};
  const GpuReport gpus = inspect_gpus(0);
  if (gpus.devices.empty()) return {};
  return opened(gpus, choose_gpu({host_name(), 0, gpus}));
}

}  // namespace shelfcast::parallel
