// Sums that go through several groups of ranks, one after the other.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::parallel {

// What such communicators have in common: all that they do not override is another one's, `rest`. progress()
// takes what was started from level to level, and so do waits and blocking collectives, which first end what
// was started: a rank inside another operation takes nothing from level to level, and others may wait for
// that.
class Levelled : public Communicator {
 public:
  int rank() const override { return rest_->rank(); }
  int size() const override { return rest_->size(); }
  int local_rank() const override { return rest_->local_rank(); }
  int local_size() const override { return rest_->local_size(); }
  std::string_view backend() const override { return rest_->backend(); }

  void progress() override;

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    settled().all_reduce(values, op, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    return rest_->start_all_reduce(values, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    return rest_->start_all_reduce(values, label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    settled().reduce_scatter(values, part, label);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    settled().all_gather(part, all, label);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    return settled().all_gather_bytes(bytes, label);
  }
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override {
    settled().broadcast(bytes, root, label);
  }
  void broadcast(std::span<float> values, int root, std::string_view label) override {
    settled().broadcast(values, root, label);
  }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override {
    return rest_->start_broadcast(bytes, root, label);
  }
  void barrier(std::string_view label) override { settled().barrier(label); }
  std::shared_ptr<std::byte> allocate(std::size_t bytes, std::string_view label) override {
    return settled().allocate(bytes, label);
  }
  std::unique_ptr<Communicator> split(int color, int key) override { return settled().split(color, key); }
  void set_witness(std::shared_ptr<RankWitness> witness) override { rest_->set_witness(std::move(witness)); }
  void abort(const std::string& message) override { rest_->abort(message); }

 protected:
  using Level = std::function<std::unique_ptr<Pending>()>;

  explicit Levelled(std::unique_ptr<Communicator> rest);
  Communicator& rest() { return *rest_; }
  // Starts the first level now, and each other one when the one before is done. One group a level, so that
  // all ranks of a group start its operations in the same order.
  std::unique_ptr<Pending> start(std::vector<Level> levels);

 private:
  class Queue;
  struct Sum;
  class PendingSum;

  Communicator& settled();

  std::unique_ptr<Communicator> rest_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace shelfcast::parallel
