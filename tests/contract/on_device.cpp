#include "tests/contract/on_device.h"

#include <stdexcept>

namespace shelfcast::parallel {
namespace {

// A copy of host numbers on the device.
template <typename T>
class DeviceCopy {
 public:
  DeviceCopy(std::span<const T> values, const ShelfcastGpuOperations& gpu, int device)
      : gpu_(gpu), count_(values.size()) {
    if (count_ == 0) return;
    memory_ = static_cast<T*>(gpu_.allocate(device, bytes(), &problem_));
    if (memory_ == nullptr || gpu_.copy(memory_, values.data(), bytes(), &problem_) != kGpuDone)
      throw std::runtime_error(problem_.text);
  }
  ~DeviceCopy() {
    if (memory_ != nullptr) gpu_.release(memory_);
  }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;

  std::span<T> span() const { return {memory_, count_}; }
  void copy_to(std::span<T> values) {
    if (count_ > 0 && gpu_.copy(values.data(), memory_, bytes(), &problem_) != kGpuDone)
      throw std::runtime_error(problem_.text);
  }

 private:
  std::int64_t bytes() const { return static_cast<std::int64_t>(count_ * sizeof(T)); }

  const ShelfcastGpuOperations& gpu_;
  std::size_t count_;
  T* memory_ = nullptr;
  ShelfcastGpuProblem problem_{};
};

using DeviceFloats = DeviceCopy<float>;

template <typename T>
class DevicePending : public Pending {
 public:
  DevicePending(std::unique_ptr<DeviceCopy<T>> copy, std::unique_ptr<Pending> inner, std::span<T> values)
      : copy_(std::move(copy)), inner_(std::move(inner)), values_(values) {}
  void wait() override {
    inner_->wait();
    copy_->copy_to(values_);
  }
  bool done() override {
    if (!inner_->done()) return false;
    copy_->copy_to(values_);
    return true;
  }

 private:
  std::unique_ptr<DeviceCopy<T>> copy_;  // outlives the operation
  std::unique_ptr<Pending> inner_;
  std::span<T> values_;
};

class OnDevice : public Communicator {
 public:
  OnDevice(std::unique_ptr<Communicator> inner, const ShelfcastGpuOperations& gpu, int device)
      : inner_(std::move(inner)), gpu_(gpu), device_(device) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  int local_rank() const override { return inner_->local_rank(); }
  int local_size() const override { return inner_->local_size(); }
  std::string_view backend() const override { return inner_->backend(); }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    DeviceFloats floats(values, gpu_, device_);
    inner_->all_reduce(floats.span(), op, label);
    floats.copy_to(values);
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    inner_->all_reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    inner_->all_reduce(values, op, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    return start(values, [&](auto on_device) { return inner_->start_all_reduce(on_device, label); });
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    return start(values, [&](auto on_device) { return inner_->start_reduce(on_device, root, label); });
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    return start(values, [&](auto on_device) { return inner_->start_all_reduce(on_device, label); });
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    return start(values, [&](auto on_device) { return inner_->start_reduce(on_device, root, label); });
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    const DeviceFloats all(values, gpu_, device_);
    DeviceFloats own(part, gpu_, device_);
    inner_->reduce_scatter(all.span(), own.span(), label);
    own.copy_to(part);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    const DeviceFloats own(part, gpu_, device_);
    DeviceFloats gathered(all, gpu_, device_);
    inner_->all_gather(own.span(), gathered.span(), label);
    gathered.copy_to(all);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    return inner_->all_gather_bytes(bytes, label);
  }
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override {
    inner_->broadcast(bytes, root, label);
  }
  void broadcast(std::span<float> values, int root, std::string_view label) override {
    DeviceFloats floats(values, gpu_, device_);
    inner_->broadcast(floats.span(), root, label);
    floats.copy_to(values);
  }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override {
    return start(bytes, [&](auto on_device) { return inner_->start_broadcast(on_device, root, label); });
  }
  void barrier(std::string_view label) override { inner_->barrier(label); }
  void progress() override { inner_->progress(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return on_device(inner_->split(color, key), gpu_, device_);
  }
  void set_witness(std::shared_ptr<RankWitness> witness) override { inner_->set_witness(std::move(witness)); }
  void abort(const std::string& message) override { inner_->abort(message); }

 private:
  template <typename T, typename Start>
  std::unique_ptr<Pending> start(std::span<T> values, const Start& start_on) {
    auto copy = std::make_unique<DeviceCopy<T>>(values, gpu_, device_);
    auto pending = start_on(copy->span());
    return std::make_unique<DevicePending<T>>(std::move(copy), std::move(pending), values);
  }

  std::unique_ptr<Communicator> inner_;
  const ShelfcastGpuOperations& gpu_;
  int device_;
};

}  // namespace

std::unique_ptr<Communicator> on_device(std::unique_ptr<Communicator> inner,
                                        const ShelfcastGpuOperations& gpu, int device) {
  return std::make_unique<OnDevice>(std::move(inner), gpu, device);
}

}  // namespace shelfcast::parallel
