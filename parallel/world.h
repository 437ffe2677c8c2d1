// From a recipe's wishes to ranks and the device each computes on.
#pragma once

#include <memory>
#include <string>

#include "parallel/communicator.h"
#include "parallel/launch.h"

namespace shelfcast::parallel {

enum class DeviceChoice { automatic, cpu, gpu };

// "auto", "cpu", "gpu"; throws Error(input) naming the text and the choices.
DeviceChoice parse_device(const std::string& text);

struct WorldConfig {
  Backend backend = Backend::automatic;
  // automatic: GPUs when any rank has one, or NCCL is asked for; the CPU for MPI, which carries host memory
  // only.
  DeviceChoice device = DeviceChoice::automatic;
  bool share_gpus = false;  // several ranks may be on one GPU: for trying things out
  Deadlines deadlines = {};

  // Throws Error(input) for a back end and a device that do not go together.
  void validate() const;
};

// What a rank computes on.
struct RankDevice {
  int gpu = -1;  // index of this rank's; -1 = the CPU
  std::string device_name = "cpu";
};

struct World : RankDevice {
  std::shared_ptr<Communicator> ranks;
};

// The ranks of this program. With GPUs each rank takes one, LibTorch's CUDA library is opened, and device
// memory travels by NCCL. Collective, once for the life of `launch`. Throws Error(input) for GPUs that are
// asked for and not there (gpu_choice.h), and as Launch::world and make_nccl do.
World make_world(Launch& launch, const WorldConfig& config);

// What a program of one rank would compute on here, opened like that: a machine without GPUs answers for the
// CPU, whatever the recipe asks for. Throws Error(input) for a GPU that cannot be used.
RankDevice open_device(const WorldConfig& config);

}  // namespace shelfcast::parallel
