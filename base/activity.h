// What each rank of this process is doing right now: its phase, its step, the operations its threads are in,
// and when it last got further. Heartbeats and time-out messages are made of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shelfcast::activity {

// Every function acts on the rank of the calling thread (log::identity().rank), so ranks that are threads of
// one process are kept apart, and helper threads with their rank's ThreadIdentity count as that rank's. Any
// thread may call anything. Nothing here throws but std::bad_alloc.

// What an operation waits for, which decides who watches it.
enum class Kind {
  ranks,  // other ranks of the run
  file,   // the file system
  other,  // something else worth a name: another thread, a long computation
};

// The calling thread is the rank's main thread from now on and begins `phase` ("start", "train", "validate",
// "save", "backtest", "end"); step -1 is none. Counts as progress.
void enter_phase(std::string_view phase, std::int64_t step = -1);

// The rank got further inside its phase: a micro-batch is done, a segment is read.
void note_progress();

struct Board;  // one rank's state
struct Slot;   // one running operation of it

// While it lives, the calling thread is in `what` ("gradients bucket 0", "reading m5.corpus/segment-1.h5").
// Operations nest; the innermost is the one shown. Beginning and ending count as progress. Costs about a
// tenth of a microsecond, so wrap whole reads and waits, not single elements.
class Operation {
 public:
  Operation(Kind kind, std::string_view what);
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

 private:
  Board& board_;
  Slot& slot_;
};

struct Running {
  Kind kind = Kind::other;
  std::string what;
  double seconds = 0.0;  // since it began
};

struct Snapshot {
  std::string phase;  // empty before the first enter_phase
  std::int64_t step = -1;
  // The innermost operation of the main thread, or else of a thread that waits for ranks; none: it computes.
  std::optional<Running> operation;
  // The file operation of any thread that has been running longest.
  std::optional<Running> longest_file;
  std::uint64_t progress = 0;  // grows with every sign of progress
  double seconds_since_progress = 0.0;
};

// What `rank` of this process is doing; an empty phase and age 0 when it has never said anything.
Snapshot snapshot(int rank);

}  // namespace shelfcast::activity
