#include "parallel/mpi/mpi_transfers.h"

#include <algorithm>

namespace shelfcast::parallel {

void check_mpi(int code, std::string_view doing) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ErrorKind::communication, fmt::format("MPI failed in {}", doing),
              std::string(text, static_cast<std::size_t>(length)));
}

void MpiTransfers::add(MPI_Request request, Message message) {
  requests_.push_back(request);
  messages_.push_back(message);
  ++unfinished_;
}

void MpiTransfers::send(int peer, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const int count = static_cast<int>(std::min(bytes.size(), longest_));
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(bytes.data(), count, MPI_BYTE, peer, tag_, comm_, &request), "MPI_Isend");
    add(request, {Direction::out, peer, count});
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void MpiTransfers::receive(int peer, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const int count = static_cast<int>(std::min(bytes.size(), longest_));
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Irecv(bytes.data(), count, MPI_BYTE, peer, tag_, comm_, &request), "MPI_Irecv");
    add(request, {Direction::in, peer, count});
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void MpiTransfers::send_signal(int peer) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Isend(nullptr, 0, MPI_BYTE, peer, tag_, comm_, &request), "MPI_Isend");
  add(request, {Direction::out, peer, 0});
}

void MpiTransfers::receive_signal(int peer) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Irecv(nullptr, 0, MPI_BYTE, peer, tag_, comm_, &request), "MPI_Irecv");
  add(request, {Direction::in, peer, 0});
}

void MpiTransfers::broadcast(int root, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const int count = static_cast<int>(std::min(bytes.size(), longest_));
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Ibcast(bytes.data(), count, MPI_BYTE, root, comm_, &request), "MPI_Ibcast");
    add(request, {Direction::tree, root, count});
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

bool MpiTransfers::test() {
  if (unfinished_ == 0) return true;
  finished_.resize(requests_.size());
  statuses_.resize(requests_.size());
  int count = 0;
  const int code = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count,
                                finished_.data(), statuses_.data());
  if (code != MPI_ERR_IN_STATUS) check_mpi(code, "MPI_Testsome");
  for (int i = 0; i < count && count != MPI_UNDEFINED; ++i) {
    const auto slot = static_cast<std::size_t>(i);
    const Message& message = messages_[static_cast<std::size_t>(finished_[slot])];
    check_arrival(statuses_[slot], message,
                  code == MPI_ERR_IN_STATUS ? statuses_[slot].MPI_ERROR : MPI_SUCCESS);
    --unfinished_;
  }
  return unfinished_ == 0;
}

void MpiTransfers::check_arrival(const MPI_Status& status, const Message& message, int code) const {
  int bytes = message.bytes;
  if (code == MPI_SUCCESS && message.direction == Direction::in)
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
  if (code == MPI_ERR_TRUNCATE || bytes != message.bytes)
    throw Error(ErrorKind::communication, "ranks disagree about the size of an operation",
                fmt::format("rank {} sent {} where {} bytes were expected", message.peer,
                            code == MPI_ERR_TRUNCATE ? "more" : std::to_string(bytes), message.bytes));
  check_mpi(code, fmt::format("a message {} rank {}", message.direction == Direction::out ? "to" : "from",
                              message.peer));
}

std::vector<int> MpiTransfers::awaited() const {
  std::vector<int> peers;
  for (std::size_t i = 0; i < requests_.size(); ++i)
    if (requests_[i] != MPI_REQUEST_NULL && messages_[i].direction == Direction::in)
      peers.push_back(messages_[i].peer);
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  return peers;
}

void MpiTransfers::cancel() noexcept {
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    // Collective requests can neither be cancelled nor freed, sends not reliably be cancelled.
    if (requests_[i] == MPI_REQUEST_NULL || messages_[i].direction == Direction::tree) continue;
    if (messages_[i].direction == Direction::in) MPI_Cancel(&requests_[i]);
    MPI_Request_free(&requests_[i]);
  }
}

}  // namespace shelfcast::parallel
