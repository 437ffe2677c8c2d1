#include "parallel/nccl/nccl_communicator.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "parallel/gather_texts.h"
#include "parallel/nccl/nccl_group.h"

namespace shelfcast::parallel {
namespace {

class NcclPending : public Pending {
 public:
  NcclPending(std::shared_ptr<NcclGroup> group, std::int64_t mark, std::string_view label,
              std::chrono::milliseconds deadline)
      : group_(std::move(group)), mark_(mark), label_(label), deadline_(deadline) {}
  ~NcclPending() override {
    if (mark_ < 0 || !group_->run()->broken_by.empty()) return;
    const std::string why = fmt::format("\"{}\" was started and not waited for", label_);
    group_->give_up(why);
    log::warn(why);
  }
  void wait() override {
    if (mark_ < 0) return;
    group_->wait(std::exchange(mark_, -1), label_, deadline_);
  }
  bool done() override {
    if (mark_ >= 0 && group_->has_passed(mark_, label_)) mark_ = -1;
    return mark_ < 0;
  }

 private:
  std::shared_ptr<NcclGroup> group_;
  std::int64_t mark_;  // -1 once waited for
  std::string label_;
  std::chrono::milliseconds deadline_;
};

std::int32_t reduction_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::min:
      return kNcclMin;
    case ReduceOp::max:
      return kNcclMax;
    case ReduceOp::sum:
      break;
  }
  return kNcclSum;
}

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<Communicator> host, std::shared_ptr<NcclGroup> group, Deadlines deadlines)
      : host_(std::move(host)), group_(std::move(group)), deadlines_(deadlines) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }
  std::string_view backend() const override { return "nccl"; }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    if (!on_device(values)) return host_->all_reduce(values, op, label);
    finish(all_reduce_of(values, op), label);
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    host_->all_reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    host_->all_reduce(values, op, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    if (!on_device(values)) return host_->start_all_reduce(values, label);
    return start_call(all_reduce_of(values, ReduceOp::sum), label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    if (!on_device(values)) return host_->start_reduce(values, root, label);
    return start_call({kNcclReduce, kNcclSum, checked(root), values.data(), values.data(), count_of(values)},
                      label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    if (!on_device(values)) return host_->start_all_reduce(values, label);
    return start_call(
        {kNcclAllReduce, kNcclSum, 0, values.data(), values.data(), count_of(values), kNcclBfloat16}, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    if (!on_device(values)) return host_->start_reduce(values, root, label);
    return start_call(
        {kNcclReduce, kNcclSum, checked(root), values.data(), values.data(), count_of(values), kNcclBfloat16},
        label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override {
    SHELFCAST_ASSERT(values.size() == part.size() * static_cast<std::size_t>(size()));
    if (!on_device(part)) return host_->reduce_scatter(values, part, label);
    finish({kNcclReduceScatter, kNcclSum, 0, values.data(), part.data(), count_of(part)}, label);
  }
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override {
    SHELFCAST_ASSERT(all.size() == part.size() * static_cast<std::size_t>(size()));
    if (!on_device(part)) return host_->all_gather(part, all, label);
    finish({kNcclAllGather, kNcclSum, 0, part.data(), all.data(), count_of(part)}, label);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override {
    return host_->all_gather_bytes(bytes, label);
  }
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override {
    host_->broadcast(bytes, root, label);
  }
  void broadcast(std::span<float> values, int root, std::string_view label) override {
    if (!on_device(values)) return host_->broadcast(values, root, label);
    finish({kNcclBroadcast, kNcclSum, checked(root), values.data(), values.data(), count_of(values)}, label);
  }
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override {
    if (!on_device(bytes)) return host_->start_broadcast(bytes, root, label);
    return start_call(
        {kNcclBroadcast, kNcclSum, checked(root), bytes.data(), bytes.data(), count_of(bytes), kNcclByte},
        label);
  }
  void barrier(std::string_view label) override { host_->barrier(label); }
  void progress() override { host_->progress(); }
  std::unique_ptr<Communicator> split(int color, int key) override;
  void set_witness(std::shared_ptr<RankWitness> witness) override {
    group_->run()->witness = witness;
    host_->set_witness(std::move(witness));
  }
  void abort(const std::string& message) override {
    group_->give_up(message);
    host_->abort(message);
  }

 private:
  template <typename T>
  static std::int64_t count_of(std::span<T> values) {
    return static_cast<std::int64_t>(values.size());
  }
  int checked(int root) const {
    SHELFCAST_ASSERT(root >= 0 && root < size());
    return root;
  }
  static ShelfcastNcclCall all_reduce_of(std::span<float> values, ReduceOp op) {
    return {kNcclAllReduce, reduction_of(op), 0, values.data(), values.data(), count_of(values)};
  }
  // Nothing is the host's: every rank must come to the same answer.
  template <typename T>
  bool on_device(std::span<T> values) const {
    return !values.empty() && group_->run()->gpu->is_device(values.data()) != 0;
  }
  // Connecting the ranks is left to the first collective, which has the long deadline therefore.
  std::int64_t start(const ShelfcastNcclCall& call, std::string_view label) {
    const std::int64_t mark = group_->start(call, label, used_ ? deadlines_.step : deadlines_.start);
    used_ = true;
    return mark;
  }
  std::unique_ptr<Pending> start_call(const ShelfcastNcclCall& call, std::string_view label) {
    return std::make_unique<NcclPending>(group_, start(call, label), label, deadlines_.step);
  }
  void finish(const ShelfcastNcclCall& call, std::string_view label) {
    const std::int64_t mark = start(call, label);
    group_->wait(mark, label, deadlines_.step);
  }

  std::shared_ptr<Communicator> host_;
  std::shared_ptr<NcclGroup> group_;
  Deadlines deadlines_;
  bool used_ = false;
};

std::unique_ptr<Communicator> NcclCommunicator::split(int color, int key) {
  std::shared_ptr<Communicator> part = host_->split(color, key);
  // NCCL wants colors that are not negative: the lowest rank of a group stands for it.
  std::int64_t lowest = rank();
  part->all_reduce(std::span(&lowest, 1), ReduceOp::min, "split");
  auto group =
      std::make_shared<NcclGroup>(group_->run(), group_->start_split(static_cast<int>(lowest), part->rank()));
  group->settle("split", deadlines_.start);
  return std::make_unique<NcclCommunicator>(std::move(part), std::move(group), deadlines_);
}

// Rank 0's id to everyone; an error of rank 0 comes out of all.
ShelfcastNcclId common_id(Communicator& host, const ShelfcastGpuOperations& gpu) {
  ShelfcastNcclId id{};
  ShelfcastGpuProblem problem{};
  std::vector<std::byte> bytes;
  if (host.rank() == 0 && gpu.nccl_id(&id, &problem) == kGpuDone) {
    bytes.resize(sizeof(id));
    std::memcpy(bytes.data(), &id, sizeof(id));
  }
  host.broadcast(bytes, 0, "NCCL id");
  if (bytes.size() != sizeof(id))
    throw Error(ErrorKind::communication, "NCCL does not start on rank 0", problem.text,
                "NCCL_DEBUG=INFO tells more");
  std::memcpy(&id, bytes.data(), sizeof(id));
  return id;
}

}  // namespace

std::unique_ptr<Communicator> make_nccl(const std::shared_ptr<Communicator>& host,
                                        const ShelfcastGpuOperations& gpu, int device, Deadlines deadlines) {
  auto run = std::make_shared<NcclRun>();
  run->gpu = &gpu;
  run->place = {host->rank(), gather_texts(*host, host_name(), "hosts of the GPUs")};
  const ShelfcastNcclId id = common_id(*host, gpu);
  ShelfcastGpuProblem problem{};
  void* handle = gpu.nccl_join(&id, host->rank(), host->size(), device, &problem);
  if (handle == nullptr)
    throw Error(ErrorKind::communication,
                fmt::format("NCCL does not start on {}", name_rank(run->place, host->rank())), problem.text,
                "NCCL_DEBUG=INFO tells more");
  auto group = std::make_shared<NcclGroup>(std::move(run), handle);
  group->settle("start of NCCL", deadlines.start);
  // A fresh one, whose first operation may take as long as the start: the ranks have yet to read their data.
  return std::make_unique<NcclCommunicator>(host->split(0, host->rank()), std::move(group), deadlines);
}

}  // namespace shelfcast::parallel
