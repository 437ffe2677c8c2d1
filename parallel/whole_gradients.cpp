#include "parallel/whole_gradients.h"

namespace shelfcast::parallel {
namespace {

std::span<float> span_of(const at::Tensor& flat) {
  return {flat.mutable_data_ptr<float>(), static_cast<std::size_t>(flat.numel())};
}

}  // namespace

WholeGradients::WholeGradients(FlatBuffers& buffers, Communicator& communicator) : buffers_(buffers) {
  if (buffers.holds_whole_gradients()) return;
  gathered_ = at::empty_like(buffers.values());
  communicator.all_gather(span_of(buffers.gradients()), span_of(gathered_), "shares of gradients");
  for (std::size_t i = 0; i < buffers.tensors().size(); ++i) {
    const FlatRange& range = buffers.ranges()[i];
    buffers.tensors()[i].mutable_grad() = gathered_.narrow(0, range.offset, range.elements).view(range.shape);
  }
}

WholeGradients::~WholeGradients() {
  if (!gathered_.defined()) return;
  for (const at::Tensor& tensor : buffers_.tensors()) tensor.mutable_grad() = at::Tensor();
}

void WholeGradients::keep_changes() {
  if (!gathered_.defined()) return;
  const Slice& held = buffers_.held();
  buffers_.gradients().copy_(gathered_.narrow(0, held.begin, held.size()));
}

}  // namespace shelfcast::parallel
