#include "models/transfer.h"

#include "models/standing_transfers.h"

namespace shelfcast::models {

at::Tensor sent(const at::Tensor& tensor, const at::Device& device) {
  if (tensor.device() == device) return tensor;
  StandingTransfers* standing = StandingTransfers::of_this_thread();
  return standing != nullptr ? standing->table(tensor, device) : copied(tensor, device);
}

at::Tensor copied(const at::Tensor& tensor, const at::Device& device) {
  const bool locks = device.is_cuda() && tensor.device().is_cpu();
  return (locks ? tensor.contiguous().pin_memory() : tensor)
      .to(device, /*non_blocking=*/tensor.device().is_cpu());
}

at::Tensor sent(c10::ArrayRef<double> numbers, const at::TensorOptions& options) {
  return sent(at::tensor(numbers, c10::typeMetaToScalarType(options.dtype())), options.device());
}

at::Tensor sent(c10::ArrayRef<std::int64_t> numbers, const at::Device& device) {
  return sent(at::tensor(numbers, at::kLong), device);
}

}  // namespace shelfcast::models
