// A group of one rank: collectives return at once.
#include <algorithm>
#include <optional>

#include "base/error.h"
#include "parallel/communicator.h"

namespace shelfcast::parallel {
namespace {

class FinishedAlready : public Pending {
 public:
  void wait() override {}
  bool done() override { return true; }
};

class SingleCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  std::string_view backend() const override { return "single"; }

  void all_reduce(std::span<float>, ReduceOp, std::string_view label) override { check_not_aborted(label); }
  void all_reduce(std::span<double>, ReduceOp, std::string_view label) override { check_not_aborted(label); }
  void all_reduce(std::span<std::int64_t>, ReduceOp, std::string_view label) override {
    check_not_aborted(label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float>, std::string_view label) override {
    return finished(label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float>, int root, std::string_view label) override {
    check_root(root, label);
    return finished(label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16>, std::string_view label) override {
    return finished(label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16>, int root, std::string_view label) override {
    check_root(root, label);
    return finished(label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    copy(values, part, label);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    copy(part, all, label);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    check_not_aborted(label);
    return {std::vector<std::byte>(bytes.begin(), bytes.end())};
  }
  void broadcast(std::vector<std::byte>&, int root, std::string_view label) override {
    check_root(root, label);
  }
  void broadcast(std::span<float>, int root, std::string_view label) override { check_root(root, label); }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte>, int root, std::string_view label) override {
    check_root(root, label);
    return finished(label);
  }
  void barrier(std::string_view label) override { check_not_aborted(label); }
  std::unique_ptr<Communicator> split(int, int) override {
    check_not_aborted("split");
    return make_single();
  }
  // The only rank is the caller, who goes on to leave; collectives refuse from now on.
  void abort(const std::string& message) override { aborted_ = message; }

 private:
  void check_not_aborted(std::string_view label) const {
    if (aborted_)
      throw Error(ErrorKind::communication, fmt::format("\"{}\" after the run was aborted", label),
                  *aborted_);
  }
  std::unique_ptr<Pending> finished(std::string_view label) const {
    check_not_aborted(label);
    return std::make_unique<FinishedAlready>();
  }
  void check_root(int root, std::string_view label) const {
    SHELFCAST_ASSERT(root == 0);
    check_not_aborted(label);
  }
  void copy(std::span<const float> from, std::span<float> to, std::string_view label) const {
    SHELFCAST_ASSERT(from.size() == to.size());
    check_not_aborted(label);
    std::copy(from.begin(), from.end(), to.begin());
  }

  std::optional<std::string> aborted_;
};

}  // namespace

std::unique_ptr<Communicator> make_single() { return std::make_unique<SingleCommunicator>(); }

}  // namespace shelfcast::parallel
