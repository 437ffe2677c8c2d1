// Messages between MPI ranks under way, and operations made of them that are driven by polling.
#pragma once

#include <mpi.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace shelfcast::parallel {

// Throws Error(communication) with MPI's own words unless `code` is MPI_SUCCESS.
void check_mpi(int code, std::string_view doing);

// A set of nonblocking messages, cut so that no single one exceeds what MPI can count. Memory given to it
// stays alive until test() has returned true.
class MpiTransfers {
 public:
  // `tag` keeps the messages of operations apart that are under way at the same time.
  MpiTransfers(MPI_Comm comm, int tag, std::size_t longest_message)
      : comm_(comm), tag_(tag), longest_(longest_message) {}

  // Empty spans send and expect nothing.
  void send(int peer, std::span<const std::byte> bytes);
  void receive(int peer, std::span<std::byte> bytes);
  // A message without content: "I am here".
  void send_signal(int peer);
  void receive_signal(int peer);
  // The root's bytes to everyone, as a tree.
  void broadcast(int root, std::span<std::byte> bytes);

  // Whether all is done; drives MPI. Throws Error(communication), also when a peer sent another size than
  // expected.
  bool test();
  // Ranks whose messages have not come.
  std::vector<int> awaited() const;
  // Gives up what is under way, so that messages arriving later find no memory to be written to.
  void cancel() noexcept;

 private:
  enum class Direction { out, in, tree };
  struct Message {
    Direction direction;
    int peer;
    int bytes;
  };
  void add(MPI_Request request, Message message);
  void check_arrival(const MPI_Status& status, const Message& message, int code) const;

  MPI_Comm comm_;
  int tag_;
  std::size_t longest_;
  std::vector<MPI_Request> requests_;  // MPI_REQUEST_NULL when done
  std::vector<Message> messages_;      // beside requests_
  std::size_t unfinished_ = 0;
  std::vector<int> finished_;  // scratch of test()
  std::vector<MPI_Status> statuses_;
};

// A collective operation of this rank, as a state machine that advances when polled.
class MpiOperation {
 public:
  explicit MpiOperation(std::string_view label) : label_(label) {}
  virtual ~MpiOperation() = default;

  const std::string& label() const { return label_; }
  // Whether it is done. Throws Error(communication).
  virtual bool poll() = 0;
  // Ranks it waits for, as far as known.
  virtual std::vector<int> awaited() const = 0;
  virtual void cancel() noexcept = 0;

 private:
  std::string label_;
};

}  // namespace shelfcast::parallel
