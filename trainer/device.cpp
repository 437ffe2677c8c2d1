#include "trainer/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "base/log.h"
#include "parallel/gpu/gpu_loader.h"

namespace shelfcast::trainer {

at::Device device_of(int gpu) {
  return gpu < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu));
}

void prepare(const at::Device& device, WorkStream stream) {
  if (device.is_cpu()) return;
  const c10::impl::VirtualGuardImpl backend(device.type());
  backend.setDevice(device);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(
      false);  // else every fresh tensor is filled first
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);    // sums of bf16 products in fp32, also of parts
  at::globalContext().setFloat32MatmulPrecision("highest");  // an environment may ask for TF32
  if (!device.is_cuda()) return;
  // LibTorch looks for CUDA once, at the first backward.
  if (!at::globalContext().hasCUDA())
    throw Error(ErrorKind::internal, "LibTorch was used before its CUDA library was opened");
  if (stream == WorkStream::recordable) {
    const c10::Stream own = backend.getStreamFromGlobalPool(device, /*isHighPriority=*/false);
    backend.exchangeStream(own);
    parallel::gpu_operations().work_on(backend.getStreamNativeHandle(own));
  }
  try {
    models::set_device_keep_mask(checked_masks(parallel::gpu_operations(), device));
  } catch (const Error& error) {
    log::warn("dropout's masks are made by operations of LibTorch, the same bits in more time: {}: {}",
              error.problem(), error.why());
  }
}

void wait_for(const at::Device& device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

models::DeviceKeepMask checked_masks(const ShelfcastGpuOperations& gpu, const at::Device& device) {
  const models::DeviceKeepMask make = [&gpu](const at::Tensor& keys, std::uint32_t threshold,
                                             const at::Tensor& keep) {
    const c10::DeviceGuard on(keep.device());
    ShelfcastGpuProblem problem{};
    const auto* of_draws = reinterpret_cast<const std::uint64_t*>(keys.const_data_ptr<std::int64_t>());
    if (gpu.keep_mask(of_draws, keys.numel(), keep.size(1), threshold, keep.mutable_data_ptr<std::uint8_t>(),
                      &problem) == kGpuFailed)
      throw input_error("the kernel for dropout's masks failed", problem.text);
  };
  const models::SiteDropout site{{0x0123456789ABCDEF, 0xFEDCBA9876543210}, 6'554, 1.0F};
  constexpr std::int64_t kElements = 300;
  if (!at::equal(models::keep_mask_by(make, site, kElements, device).cpu(), site.keep_mask(kElements)))
    throw input_error("the kernel for dropout's masks made others than the CPU does");
  return make;
}

at::Tensor HostCopies::of(const at::Tensor& array) {
  if (array.device().is_cpu()) return array;
  for (const auto& [device, host] : pairs_)
    if (device.is_same(array)) return host;
  const bool locked = memory_ == Memory::page_locked && array.is_cuda();
  // Zeros, because what is uploaded may have been read into in parts.
  pairs_.emplace_back(array,
                      at::zeros(array.sizes(), at::TensorOptions(array.dtype()).pinned_memory(locked)));
  return pairs_.back().second;
}

void HostCopies::download() {
  const at::NoGradGuard no_grad;
  for (auto& [device, host] : pairs_) host.copy_(device);
}

void HostCopies::upload() {
  const at::NoGradGuard no_grad;
  for (auto& [device, host] : pairs_) device.copy_(host);
}

namespace {

std::string first_line(const c10::OutOfMemoryError& error) {
  const std::string words = error.what_without_backtrace();
  return words.substr(0, words.find('\n'));
}

constexpr const char* kUsedUp = "the device's memory is used up";

}  // namespace

Error out_of_memory(const c10::OutOfMemoryError& error, std::int64_t flat_bytes, const TrainConfig& train) {
  return Error(
      ErrorKind::input, kUsedUp,
      fmt::format(
          "what is trained, its gradients, averages and the optimizer's state take {:.2f} GB of it, the "
          "rest is frozen weights and activations of {} windows at a time; {}",
          static_cast<double>(flat_bytes) / 1e9, train.micro_batch, first_line(error)),
      "lower train.micro_batch (the training stays the same), share gradients and the optimizer's state out "
      "with parallel.zero=2 over more ranks, or set train.precision=bf16, "
      "train.activation_checkpointing=true, or train.cuda_graphs=false where it is true");
}

Error out_of_memory(const c10::OutOfMemoryError& error, const std::string& phase) {
  return Error(
      ErrorKind::input, kUsedUp, fmt::format("in phase {}; {}", phase, first_line(error)),
      "lower backtest.batch (validation, backtests), take a smaller model or a device with more memory, "
      "and look with nvidia-smi for others on it");
}

}  // namespace shelfcast::trainer
