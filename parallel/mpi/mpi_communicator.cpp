#include "parallel/mpi/mpi_communicator.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/host.h"
#include "base/log.h"
#include "parallel/gather_texts.h"
#include "parallel/mpi/mpi_engine.h"
#include "parallel/mpi/mpi_operations.h"
#include "parallel/mpi/shared_memory.h"
#include "parallel/mpi/shared_reduce.h"

namespace shelfcast::parallel {
namespace {

// MPI promises tags up to 32767.
constexpr std::uint64_t kTags = 32'000;

class MpiCommunicator;

// What was started stays driven by the engine; an unfinished one that is dropped breaks it.
class MpiPending : public Pending {
 public:
  MpiPending(std::shared_ptr<MpiEngine> engine, std::shared_ptr<MpiOperation> operation,
             std::vector<int> members, std::chrono::milliseconds deadline)
      : engine_(std::move(engine)),
        operation_(std::move(operation)),
        members_(std::move(members)),
        deadline_(deadline) {}
  ~MpiPending() override {
    if (!operation_ || engine_->is_broken() || is_done()) return;
    const std::string why = fmt::format("\"{}\" was started and not waited for", operation_->label());
    engine_->give_up(*operation_, why);
    log::warn(why);
  }
  void wait() override {
    if (!operation_) return;
    const std::shared_ptr<MpiOperation> operation = std::move(operation_);
    engine_->wait(*operation, members_, deadline_);
  }
  bool done() override {
    if (operation_ && engine_->is_done(*operation_)) operation_.reset();
    return !operation_;
  }

 private:
  bool is_done() const noexcept {
    try {
      return operation_->poll();
    } catch (const Error&) {
      return false;
    }
  }

  std::shared_ptr<MpiEngine> engine_;
  std::shared_ptr<MpiOperation> operation_;  // null once waited for
  std::vector<int> members_;
  std::chrono::milliseconds deadline_;
};

class MpiCommunicator : public Communicator {
 public:
  // Takes over `comm`. `members` are the group's ranks in the run.
  MpiCommunicator(MPI_Comm comm, std::shared_ptr<MpiEngine> engine, std::vector<int> members,
                  Deadlines deadlines, std::size_t longest_message);
  ~MpiCommunicator() override;
  // Second half of construction, collective: hosts of all ranks.
  void meet();

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  std::string_view backend() const override { return "mpi"; }

  void all_reduce(std::span<float> values, ReduceOp op, std::string_view label) override {
    reduce(values, op, label);
  }
  void all_reduce(std::span<double> values, ReduceOp op, std::string_view label) override {
    reduce(values, op, label);
  }
  void all_reduce(std::span<std::int64_t> values, ReduceOp op, std::string_view label) override {
    reduce(values, op, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<float> values, std::string_view label) override {
    return start_sum(values, std::nullopt, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<float> values, int root, std::string_view label) override {
    return start_sum(values, root, label);
  }
  std::unique_ptr<Pending> start_all_reduce(std::span<BFloat16> values, std::string_view label) override {
    return start_sum(values, std::nullopt, label);
  }
  std::unique_ptr<Pending> start_reduce(std::span<BFloat16> values, int root,
                                        std::string_view label) override {
    return start_sum(values, root, label);
  }
  void reduce_scatter(std::span<const float> values, std::span<float> part, std::string_view label) override;
  void all_gather(std::span<const float> part, std::span<float> all, std::string_view label) override;
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> bytes,
                                                       std::string_view label) override;
  void broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) override;
  void broadcast(std::span<float> values, int root, std::string_view label) override;
  std::unique_ptr<Pending> start_broadcast(std::span<std::byte> bytes, int root,
                                           std::string_view label) override;
  void barrier(std::string_view label) override;
  std::shared_ptr<std::byte> allocate(std::size_t bytes, std::string_view label) override;
  std::unique_ptr<Communicator> split(int color, int key) override;
  void progress() override { engine_->progress(); }
  void set_witness(std::shared_ptr<RankWitness> witness) override {
    engine_->set_witness(std::move(witness));
  }
  void abort(const std::string& message) override;

 private:
  template <typename T>
  void reduce(std::span<T> values, ReduceOp op, std::string_view label);
  template <typename T>
  std::unique_ptr<Pending> start_sum(std::span<T> values, std::optional<int> root, std::string_view label);
  // The sum of values in shared memory, or of others; at `root` alone, if any.
  template <typename T>
  std::shared_ptr<MpiOperation> reduction(std::span<T> values, ReduceOp op, std::optional<int> root,
                                          std::string_view label);
  std::unique_ptr<Pending> start(const std::shared_ptr<MpiOperation>& operation);
  void broadcast_bytes(std::span<std::byte> bytes, int root, std::string_view label);
  // Every rank's bytes, of known lengths, into `parts`.
  void gather(std::span<const std::byte> own, const std::vector<std::span<std::byte>>& parts,
              std::string_view label);
  int next_tag() { return static_cast<int>(calls_++ % kTags); }
  std::chrono::milliseconds deadline() const { return calls_ <= 1 ? deadlines_.start : deadlines_.step; }
  void count_local_ranks(const std::vector<std::string>& hosts);

  MpiPlace place_;
  std::shared_ptr<MpiEngine> engine_;
  std::vector<int> members_;
  Deadlines deadlines_;
  int local_rank_ = 0, local_size_ = 1;
  std::uint64_t calls_ = 0;
  std::shared_ptr<ScratchPool> pool_ = std::make_shared<ScratchPool>();
};

MpiCommunicator::MpiCommunicator(MPI_Comm comm, std::shared_ptr<MpiEngine> engine, std::vector<int> members,
                                 Deadlines deadlines, std::size_t longest_message)
    : engine_(std::move(engine)), members_(std::move(members)), deadlines_(deadlines) {
  place_.comm = comm;
  place_.longest_message = longest_message;
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(comm, &place_.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &place_.size), "MPI_Comm_size");
}

MpiCommunicator::~MpiCommunicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  // Freeing is collective: not with ranks lost or lost on the way.
  if (finalized != 0 || engine_->is_broken() || std::uncaught_exceptions() > 0) return;
  MPI_Comm_free(&place_.comm);
}

template <typename T>
void MpiCommunicator::reduce(std::span<T> values, ReduceOp op, std::string_view label) {
  engine_->check_usable(label);
  if (size() == 1) return;
  engine_->wait(*reduction(values, op, std::nullopt, label), members_, deadline());
}

template <typename T>
std::shared_ptr<MpiOperation> MpiCommunicator::reduction(std::span<T> values, ReduceOp op,
                                                         std::optional<int> root, std::string_view label) {
  auto memory = engine_->shared_at(std::as_bytes(values));
  const auto reaches = [&](int member) {
    return member == members_[static_cast<std::size_t>(rank())] || memory->of(member) != nullptr;
  };
  if (memory && std::ranges::all_of(members_, reaches))
    return std::make_shared<MpiSharedReduce<T>>(place_, next_tag(), label, values, op, root,
                                                std::move(memory), members_);
  return std::make_shared<MpiReduce<T>>(place_, next_tag(), label, values, op, root, pool_);
}

template <typename T>
std::unique_ptr<Pending> MpiCommunicator::start_sum(std::span<T> values, std::optional<int> root,
                                                    std::string_view label) {
  SHELFCAST_ASSERT(!root || (*root >= 0 && *root < size()));
  engine_->check_usable(label);
  return start(reduction(values, ReduceOp::sum, root, label));
}

std::unique_ptr<Pending> MpiCommunicator::start(const std::shared_ptr<MpiOperation>& operation) {
  auto pending = std::make_unique<MpiPending>(engine_, operation, members_, deadline());
  engine_->start(operation);
  return pending;
}

void MpiCommunicator::reduce_scatter(std::span<const float> values, std::span<float> part,
                                     std::string_view label) {
  SHELFCAST_ASSERT(values.size() == part.size() * static_cast<std::size_t>(size()));
  engine_->check_usable(label);
  std::vector<Slice> slices;
  for (int peer = 0; peer < size(); ++peer)
    slices.push_back(slice_of(static_cast<std::int64_t>(values.size()), size(), peer));
  MpiReduceSlices<float> operation(place_, next_tag(), label, values, slices, part, ReduceOp::sum, pool_);
  engine_->wait(operation, members_, deadline());
}

void MpiCommunicator::gather(std::span<const std::byte> own, const std::vector<std::span<std::byte>>& parts,
                             std::string_view label) {
  engine_->check_usable(label);
  MpiExchange exchange(place_, next_tag(), label);
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank() + i) % size();
    exchange.transfers.receive(peer, parts[static_cast<std::size_t>(peer)]);
    exchange.transfers.send(peer, own);
  }
  const std::span<std::byte> here = parts[static_cast<std::size_t>(rank())];
  if (!own.empty() && here.data() != own.data()) std::memcpy(here.data(), own.data(), own.size());
  engine_->wait(exchange, members_, deadline());
}

void MpiCommunicator::all_gather(std::span<const float> part, std::span<float> all, std::string_view label) {
  SHELFCAST_ASSERT(all.size() == part.size() * static_cast<std::size_t>(size()));
  std::vector<std::span<std::byte>> parts;
  for (int peer = 0; peer < size(); ++peer)
    parts.push_back(
        std::as_writable_bytes(all.subspan(part.size() * static_cast<std::size_t>(peer), part.size())));
  gather(std::as_bytes(part), parts, label);
}

std::vector<std::vector<std::byte>> MpiCommunicator::all_gather_bytes(std::span<const std::byte> bytes,
                                                                      std::string_view label) {
  std::vector<std::uint64_t> lengths(static_cast<std::size_t>(size()));
  const std::uint64_t length = bytes.size();
  std::vector<std::span<std::byte>> parts;
  for (std::uint64_t& of_peer : lengths) parts.push_back(std::as_writable_bytes(std::span(&of_peer, 1)));
  gather(std::as_bytes(std::span(&length, 1)), parts, label);

  std::vector<std::vector<std::byte>> gathered(lengths.size());
  for (std::size_t i = 0; i < gathered.size(); ++i) {
    gathered[i].resize(lengths[i]);
    parts[i] = gathered[i];
  }
  gather(bytes, parts, label);
  return gathered;
}

void MpiCommunicator::broadcast_bytes(std::span<std::byte> bytes, int root, std::string_view label) {
  SHELFCAST_ASSERT(root >= 0 && root < size());
  engine_->check_usable(label);
  MpiExchange exchange(place_, next_tag(), label);
  if (size() > 1) exchange.transfers.broadcast(root, bytes);
  engine_->wait(exchange, members_, deadline());
}

void MpiCommunicator::broadcast(std::vector<std::byte>& bytes, int root, std::string_view label) {
  std::uint64_t length = bytes.size();
  broadcast_bytes(std::as_writable_bytes(std::span(&length, 1)), root, label);
  bytes.resize(length);
  broadcast_bytes(bytes, root, label);
}

void MpiCommunicator::broadcast(std::span<float> values, int root, std::string_view label) {
  broadcast_bytes(std::as_writable_bytes(values), root, label);
}

std::unique_ptr<Pending> MpiCommunicator::start_broadcast(std::span<std::byte> bytes, int root,
                                                          std::string_view label) {
  SHELFCAST_ASSERT(root >= 0 && root < size());
  engine_->check_usable(label);
  auto exchange = std::make_shared<MpiExchange>(place_, next_tag(), label);
  if (size() > 1) exchange->transfers.broadcast(root, bytes);
  return start(std::move(exchange));
}

void MpiCommunicator::barrier(std::string_view label) {
  engine_->check_usable(label);
  MpiExchange exchange(place_, next_tag(), label);
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank() + i) % size();
    exchange.transfers.receive_signal(peer);
    exchange.transfers.send_signal(peer);
  }
  engine_->wait(exchange, members_, deadline());
}

std::shared_ptr<std::byte> MpiCommunicator::allocate(std::size_t bytes, std::string_view label) {
  std::shared_ptr<SharedMemory> memory = bytes > 0 ? SharedMemory::make(bytes) : nullptr;
  const std::vector<std::string> addresses = gather_texts(*this, memory ? memory->address() : "", label);
  const auto host_of = [&](int of) -> const std::string& {
    return engine_->hosts()[static_cast<std::size_t>(members_[static_cast<std::size_t>(of)])];
  };
  bool mapped = memory != nullptr;
  for (int peer = 0; peer < size() && mapped; ++peer)
    if (peer != rank() && host_of(peer) == host_of(rank()))
      mapped =
          memory->map(members_[static_cast<std::size_t>(peer)], addresses[static_cast<std::size_t>(peer)]);
  // All ranks of a host, or none.
  const std::vector<std::string> outcomes = gather_texts(*this, mapped ? "mapped" : "", label);
  for (int peer = 0; peer < size(); ++peer)
    mapped &= host_of(peer) != host_of(rank()) || !outcomes[static_cast<std::size_t>(peer)].empty();
  if (!mapped) return Communicator::allocate(bytes, label);
  memory->close();
  engine_->share(memory);
  std::byte* const own = memory->own();
  return {std::move(memory), own};
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
  struct Wish {
    int color, key;
  };
  // MPI_Comm_split has no deadline of its own; this exchange does, and after it everyone is here.
  const Wish wish{color, key};
  std::vector<Wish> wishes(static_cast<std::size_t>(size()));
  std::vector<std::span<std::byte>> parts;
  for (Wish& of_peer : wishes) parts.push_back(std::as_writable_bytes(std::span(&of_peer, 1)));
  gather(std::as_bytes(std::span(&wish, 1)), parts, "split");

  std::vector<std::size_t> group;
  for (std::size_t i = 0; i < wishes.size(); ++i)
    if (wishes[i].color == color) group.push_back(i);
  std::stable_sort(group.begin(), group.end(),
                   [&](std::size_t a, std::size_t b) { return wishes[a].key < wishes[b].key; });
  // MPI wants colors that are not negative: the first rank that chose a color stands for it.
  const auto first =
      std::find_if(wishes.begin(), wishes.end(), [&](const Wish& w) { return w.color == color; });
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(place_.comm, static_cast<int>(first - wishes.begin()), key, &comm),
            "MPI_Comm_split");

  std::vector<int> members;
  for (const std::size_t old : group) members.push_back(members_[old]);
  auto part = std::make_unique<MpiCommunicator>(comm, engine_, members, deadlines_, place_.longest_message);
  std::vector<std::string> hosts;
  for (const int member : members) hosts.push_back(engine_->hosts()[static_cast<std::size_t>(member)]);
  part->count_local_ranks(hosts);
  return part;
}

void MpiCommunicator::abort(const std::string& message) {
  log::error(message);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

void MpiCommunicator::meet() {
  const std::vector<std::string> hosts = gather_texts(*this, host_name(), "start of the ranks");
  count_local_ranks(hosts);
  engine_->set_place(rank(), hosts);
  calls_ = 0;  // the first operation after the start may take long, too
}

void MpiCommunicator::count_local_ranks(const std::vector<std::string>& hosts) {
  const auto here = hosts.begin() + rank();
  local_rank_ = static_cast<int>(std::count(hosts.begin(), here, *here));
  local_size_ = static_cast<int>(std::count(hosts.begin(), hosts.end(), *here));
}

// A communicator of our own, so that nobody else's messages mix with ours.
MPI_Comm duplicate_world(std::chrono::milliseconds deadline) {
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Comm_idup(MPI_COMM_WORLD, &comm, &request), "MPI_Comm_idup");
  const auto until = std::chrono::steady_clock::now() + deadline;
  for (int done = 0; true;) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Comm_idup");
    if (done != 0) return comm;
    if (std::chrono::steady_clock::now() > until)
      throw Error(ErrorKind::timeout, "not all ranks of the run have started",
                  host_name() + " waits for others", "look at the logs of the other ranks");
    ::usleep(50);
  }
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_world(Deadlines deadlines, std::size_t longest_message) {
  const MPI_Comm comm = duplicate_world(deadlines.start);
  auto engine = std::make_shared<MpiEngine>();
  int rank = 0, size = 0;
  check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  engine->set_place(rank, {});
  std::vector<int> members(static_cast<std::size_t>(size));
  std::iota(members.begin(), members.end(), 0);
  auto world = std::make_unique<MpiCommunicator>(comm, engine, members, deadlines, longest_message);
  world->meet();
  return world;
}

}  // namespace shelfcast::parallel
