// The ways a rank's heartbeats reach the others: rank 0 as the hub, the others as spokes, or one process's
// memory.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/run_table.h"

namespace shelfcast::parallel {

// Used by the heartbeat thread, once constructed. What arrives goes to the run's table.
class Peers {
 public:
  virtual ~Peers() = default;
  // Descriptors to poll before the next serve().
  virtual void add_descriptors(std::vector<pollfd>& watched) const = 0;
  // Reads what has come; never blocks. A process that has ended without a goodbye fails the run.
  virtual void serve() = 0;
  // From rank 0 to all, from the others to rank 0.
  virtual void send(const Message& message) = 0;
  // Whether all that was sent has left within `limit`.
  virtual bool flush(std::chrono::milliseconds limit) = 0;
  // Whether the table of this rank is that of all ranks; where not, a Question brings it.
  virtual bool knows_all() const = 0;
};

struct PeersAndTable {
  std::shared_ptr<RunTable> table;
  std::unique_ptr<Peers> peers;
};

// Ranks of other processes, over TCP. Collective. Throws Error(communication).
PeersAndTable meet_over_tcp(Communicator& world, const std::string& host, std::chrono::milliseconds interval);
// Ranks that are threads of this process, or one rank. Collective.
PeersAndTable meet_in_process(Communicator& world, const std::string& host,
                              std::chrono::milliseconds interval);

}  // namespace shelfcast::parallel
