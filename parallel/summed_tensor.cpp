#include "parallel/summed_tensor.h"

#include <memory>

namespace shelfcast::parallel {

at::Tensor summed_tensor(std::int64_t elements, const at::TensorOptions& options, Communicator* communicator,
                         std::string_view label) {
  if (communicator == nullptr || communicator->size() == 1 || !options.device().is_cpu())
    return at::zeros({elements}, options);
  std::shared_ptr<std::byte> memory =
      communicator->allocate(static_cast<std::size_t>(elements) * options.dtype().itemsize(), label);
  void* const begin = memory.get();
  return at::from_blob(
      begin, {elements}, [memory = std::move(memory)](void*) mutable { memory.reset(); }, options);
}

}  // namespace shelfcast::parallel
