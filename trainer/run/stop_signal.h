// Leaving well: a signal sets a flag that the loop looks at between steps.
#pragma once

namespace shelfcast::trainer {

// While one lives, SIGUSR1, SIGTERM and SIGINT ask for a stop instead of ending the process; a second SIGINT
// ends it. One at a time, on the main thread.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Whether a signal has arrived on this rank.
  bool requested() const;
};

}  // namespace shelfcast::trainer
