// The devices of LibTorch beside the CPU, and their arrays in host memory, where files are read and written.
#pragma once

#include <c10/util/Exception.h>
#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"
#include "models/dropout.h"
#include "parallel/gpu/gpu_module.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

// The device with this index; -1 = the CPU.
at::Device device_of(int gpu);

// Where this thread's work on a device goes: the stream it has, CUDA's default one to begin with, or another
// that can be recorded (CUDA graphs).
enum class WorkStream { shared, recordable };

// Before anything is computed on `device`: makes it this thread's, asks LibTorch for kernels that give the
// same bits every time (it warns about those that it lacks), and has dropout's masks made by our own kernel,
// with a warning where that does not work. Nothing to do for the CPU.
void prepare(const at::Device& device, WorkStream stream = WorkStream::shared);

// Returns when all that was given to `device` is computed.
void wait_for(const at::Device& device);

// Masks of dropout by the GPU module. Throws Error(input) with CUDA's words when it cannot, and when what it
// makes on `device` is not what the CPU makes.
models::DeviceKeepMask checked_masks(const ShelfcastGpuOperations& gpu, const at::Device& device);

// Keeps a copy of every array that is not in host memory itself; those that are stand for themselves, and
// nothing is copied.
class HostCopies {
 public:
  // Page-locked memory is copied several times as fast, and kept by the process for good.
  enum class Memory { page_locked, pageable };
  explicit HostCopies(Memory memory = Memory::page_locked) : memory_(memory) {}

  // The array or its copy, whose values are there after download().
  at::Tensor of(const at::Tensor& array);
  void download();
  void upload();

 private:
  Memory memory_;
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;  // on the device, on the host
};

// What LibTorch throws when a device's memory is used up, as an error that says what of it the flat arrays of
// what is trained (weights and their averages, gradients, the optimizer's state) take and what to lower.
Error out_of_memory(const c10::OutOfMemoryError& error, std::int64_t flat_bytes, const TrainConfig& train);

// The same outside of forward and backward: in which phase of the run.
Error out_of_memory(const c10::OutOfMemoryError& error, const std::string& phase);

}  // namespace shelfcast::trainer
