#include "parallel/bucket_transfers.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "parallel/summed_tensor.h"

namespace shelfcast::parallel {
namespace {

at::ScalarType element_of(GradientFormat format) {
  return format == GradientFormat::bf16 ? at::kBFloat16 : at::kFloat;
}

template <typename T>
std::span<T> span_of(const at::Tensor& flat) {
  return {static_cast<T*>(flat.mutable_data_ptr()), static_cast<std::size_t>(flat.numel())};
}

// Of all ranks, or at `root`.
std::unique_ptr<Pending> start_sum(Communicator& communicator, const at::Tensor& flat,
                                   std::optional<int> root, const std::string& label) {
  const auto start = [&](auto values) {
    return root ? communicator.start_reduce(values, *root, label)
                : communicator.start_all_reduce(values, label);
  };
  return flat.scalar_type() == at::kBFloat16 ? start(span_of<BFloat16>(flat)) : start(span_of<float>(flat));
}

// Every bucket may be under way at once.
class WholeTransfers : public BucketTransfers {
 public:
  WholeTransfers(const FlatBuffers& buffers, Communicator& communicator, GradientFormat format)
      : gradients_(buffers.gradients()), communicator_(communicator) {
    const at::ScalarType element = element_of(format);
    sent_ = element == gradients_.scalar_type()
                ? gradients_
                : summed_tensor(gradients_.numel(), gradients_.options().dtype(element), &communicator,
                                "memory of rounded gradients");
  }

  void start(const Bucket& bucket, const std::string& label) override {
    const at::NoGradGuard no_grad;
    const at::Tensor slice = gradients_.narrow(0, bucket.first, bucket.elements),
                     sent = sent_.narrow(0, bucket.first, bucket.elements);
    if (!sent_.is_same(gradients_)) sent.copy_(slice);
    started_.push_back({slice, sent, start_sum(communicator_, sent, std::nullopt, label)});
  }

  void finish() override {
    for (const Started& one : started_) {
      wait_for(*one.pending);
      if (!sent_.is_same(gradients_)) one.slice.copy_(one.sent);
    }
    started_.clear();
  }

 private:
  struct Started {
    at::Tensor slice, sent;
    std::unique_ptr<Pending> pending;
  };

  at::Tensor gradients_, sent_;  // the latter the same, or rounded
  Communicator& communicator_;
  std::vector<Started> started_;
};

class ShareTransfers : public BucketTransfers {
 public:
  ShareTransfers(const FlatBuffers& buffers, Communicator& communicator, GradientFormat format)
      : buffers_(buffers), communicator_(communicator), format_(format) {}

  void take(const Bucket& next, std::size_t parameter) override {
    const at::NoGradGuard no_grad;
    open(next);
    const FlatRange& range = buffers_.ranges()[parameter];
    at::Tensor& gradient = buffers_.tensors()[parameter].mutable_grad();
    if (!gradient.defined()) return;
    place().memory.narrow(0, range.offset - next.first, range.elements).view(range.shape).copy_(gradient);
    gradient = at::Tensor();
  }

  void start(const Bucket& bucket, const std::string& label) override {
    open(bucket);
    // Those that came before the bucket's turn.
    const std::vector<FlatRange>& ranges = buffers_.ranges();
    const auto first = std::ranges::lower_bound(ranges, bucket.first, {}, &FlatRange::offset);
    for (auto i = static_cast<std::size_t>(first - ranges.begin());
         i < ranges.size() && ranges[i].offset < bucket.first + bucket.elements; ++i)
      take(bucket, i);
    const std::int64_t share = buffers_.held().size();
    for (std::int64_t begin = bucket.first; begin < bucket.first + bucket.elements;) {
      const auto owner = static_cast<int>(begin / share);
      const std::int64_t end = std::min(bucket.first + bucket.elements, (owner + 1) * share);
      const at::Tensor piece = place().memory.narrow(0, begin - bucket.first, end - begin);
      place().pieces.push_back({piece, begin, owner, start_sum(communicator_, piece, owner, label)});
      begin = end;
    }
    next_ = 1 - next_;
    is_open_ = false;
  }

  void finish() override {
    for (int i = 0; i < 2; ++i, next_ = 1 - next_) empty(place());
  }

  void forget_sizes() override { places_ = {}; }

 private:
  struct Piece {
    at::Tensor sum;
    std::int64_t begin;  // in the buffers
    int owner;
    std::unique_ptr<Pending> pending;
  };
  struct Place {
    at::Tensor room, memory;  // `memory`: of the bucket, at the beginning of `room`
    std::vector<Piece> pieces;
  };

  // Of the bucket that is filled.
  Place& place() { return places_[next_]; }

  void open(const Bucket& bucket) {
    if (std::exchange(is_open_, true)) return;
    empty(place());
    at::Tensor& room = place().room;
    if (!room.defined() || room.numel() < bucket.elements)
      room = summed_tensor(bucket.elements, buffers_.gradients().options().dtype(element_of(format_)),
                           &communicator_, "memory of a bucket");
    // Parameters without a gradient count as zeros, and so does what lies between parameters.
    place().memory = room.narrow(0, 0, bucket.elements).zero_();
  }

  // Waits for what is under way there.
  void empty(Place& place) {
    const at::NoGradGuard no_grad;
    for (const Piece& piece : place.pieces) {
      wait_for(*piece.pending);
      if (piece.owner == communicator_.rank())
        buffers_.gradients()
            .narrow(0, piece.begin - buffers_.held().begin, piece.sum.numel())
            .add_(piece.sum);
    }
    place.pieces.clear();
  }

  const FlatBuffers& buffers_;
  Communicator& communicator_;
  GradientFormat format_;
  std::array<Place, 2> places_;
  std::size_t next_ = 0;  // the place that is filled; what is under way in it was started first
  bool is_open_ = false;  // it is being filled
};

}  // namespace

void BucketTransfers::wait_for(Pending& pending) {
  const auto started = std::chrono::steady_clock::now();
  pending.wait();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

std::unique_ptr<BucketTransfers> make_bucket_transfers(const FlatBuffers& buffers, Communicator& communicator,
                                                       GradientFormat format) {
  if (buffers.holds_whole_gradients()) return std::make_unique<WholeTransfers>(buffers, communicator, format);
  return std::make_unique<ShareTransfers>(buffers, communicator, format);
}

}  // namespace shelfcast::parallel
