#include "trainer/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace shelfcast::trainer {

at::Device device_of(int gpu) {
  return gpu < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu));
}

void prepare(const at::Device& device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(
      false);  // else every fresh tensor is filled first
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);  // sums of bf16 products in fp32, also of parts
}

at::Tensor HostCopies::of(const at::Tensor& array) {
  if (array.device().is_cpu()) return array;
  for (const auto& [device, host] : pairs_)
    if (device.is_same(array)) return host;
  // Page-locked, which copies several times as fast; zeros, because what is uploaded may have been read into
  // in parts.
  pairs_.emplace_back(
      array, at::zeros(array.sizes(), at::TensorOptions(array.dtype()).pinned_memory(array.is_cuda())));
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
      "with parallel.zero=2 over more ranks, or set train.precision=bf16 or "
      "train.activation_checkpointing=true");
}

Error out_of_memory(const c10::OutOfMemoryError& error, const std::string& phase) {
  return Error(
      ErrorKind::input, kUsedUp, fmt::format("in phase {}; {}", phase, first_line(error)),
      "lower backtest.batch (validation, backtests), take a smaller model or a device with more memory, "
      "and look with nvidia-smi for others on it");
}

}  // namespace shelfcast::trainer
