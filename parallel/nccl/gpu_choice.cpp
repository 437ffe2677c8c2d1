#include "parallel/nccl/gpu_choice.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/host.h"
#include "parallel/gather_texts.h"

namespace shelfcast::parallel {
namespace {

// The oldest compute capability that the pinned LibTorch has code for: Turing.
constexpr int kOldestMajor = 7, kOldestMinor = 5;
constexpr const char* kOrCpu = "or choose parallel.device=cpu";

bool too_old(const GpuDevice& device) {
  return device.compute_major < kOldestMajor ||
         (device.compute_major == kOldestMajor && device.compute_minor < kOldestMinor);
}

void check_driver(const GpuReport& gpus, const std::string& where) {
  if (gpus.driver == 0 || gpus.driver / 1000 >= gpus.runtime / 1000) return;
  throw input_error(
      fmt::format("the NVIDIA driver of {} is too old", where),
      fmt::format("it is for CUDA {}.{}, this build needs {}.{}", gpus.driver / 1000, gpus.driver % 1000 / 10,
                  gpus.runtime / 1000, gpus.runtime % 1000 / 10),
      fmt::format("update the driver, point CUDA_HOME and SHELFCAST_TORCH to older ones and build again, {}",
                  kOrCpu));
}

// What a rank tells the others: "ok UUID" or "error ..." with the parts of its error.
constexpr char kSeparator = '\x1f';

std::string packed(const Error& error) {
  return fmt::format("error{0}{1}{0}{2}{0}{3}", kSeparator, error.problem(), error.why(), error.advice());
}

std::vector<std::string> unpacked(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == kSeparator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  parts.resize(4);
  return parts;
}

}  // namespace

int choose_gpu(const RankGpus& rank) {
  const std::vector<GpuDevice>& devices = rank.gpus.devices;
  check_driver(rank.gpus, rank.host);
  if (devices.empty())
    throw input_error(fmt::format("{} has no GPU to compute on", rank.host), rank.gpus.problem,
                      fmt::format("see shelfcast doctor, {}", kOrCpu));
  const int index = rank.local_rank % static_cast<int>(devices.size());
  const GpuDevice& device = devices[static_cast<std::size_t>(index)];
  if (too_old(device))
    throw input_error(fmt::format("{} of {} is too old", device.name, rank.host),
                      fmt::format("its compute capability is {}.{}, this build needs {}.{}",
                                  device.compute_major, device.compute_minor, kOldestMajor, kOldestMinor),
                      fmt::format("take another GPU, {}", kOrCpu));
  if (device.free_bytes < 0)
    throw input_error(fmt::format("{} at {} of {} cannot be opened", device.name, device.bus_id, rank.host),
                      "another process may hold it exclusively", fmt::format("see nvidia-smi, {}", kOrCpu));
  return index;
}

int choose_gpus(Communicator& ranks, const GpuReport& own, bool share) {
  int index = 0;
  std::string message;
  try {
    index = choose_gpu({host_name(), ranks.local_rank(), own});
    message = "ok" + std::string(1, kSeparator) + own.devices[static_cast<std::size_t>(index)].uuid;
  } catch (const Error& error) {
    message = packed(error);
  }
  const std::vector<std::string> all = gather_texts(ranks, message, "GPUs of the ranks");
  std::map<std::string, int> taken;
  bool shared = false;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const std::vector<std::string> parts = unpacked(all[static_cast<std::size_t>(rank)]);
    if (parts[0] == "error") {
      Error error(ErrorKind::input, parts[1], parts[2], parts[3]);
      error.rank = rank;
      throw error;
    }
    const auto [other, fresh] = taken.emplace(parts[1], rank);
    shared = shared || !fresh;
    if (!fresh && !share)
      throw input_error(
          fmt::format("ranks {} and {} are on the same GPU {}", other->second, rank, parts[1]),
          fmt::format("each needs one of its own; {} has {} ranks and shows this one {} GPU{}", host_name(),
                      ranks.local_size(), own.devices.size(), own.devices.size() == 1 ? "" : "s"),
          "start as many ranks a host as it has GPUs (CUDA_VISIBLE_DEVICES and Slurm's "
          "--gpus-per-task say which a rank sees), or let ranks share them with "
          "parallel.share_gpus=true");
  }
  if (shared) setenv("NCCL_HOSTID", fmt::format("shelfcast-rank-{}", ranks.rank()).c_str(), 1);
  return index;
}

}  // namespace shelfcast::parallel
