// Progress on long work: a bar on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace shelfcast {

// Prints to stderr, from rank 0 only (others do nothing). One thread at a time.
class Progress {
 public:
  // `what` is a short verb phrase ("train"); `total` in `unit`s ("step"); start at `done` when resuming.
  Progress(std::string what, std::int64_t total, std::string unit, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` units are finished; `note` is shown behind the bar ("loss 0.4312  5120 windows/s").
  // Redraws at most 10 times a second on a terminal, prints at most one line per 10 s elsewhere.
  void update(std::int64_t done, const std::string& note = {});
  // Ends the line; called by the destructor too.
  void finish();

 private:
  void draw(bool last);
  std::string what_, unit_, note_;
  std::int64_t total_, first_, done_;
  std::chrono::steady_clock::time_point started_, drawn_;
  bool terminal_, quiet_, finished_ = false;
};

// "3 min 20 s", "1 h 05 min".
std::string format_duration(double seconds);
// "1.2 GB", "340 kB".
std::string format_bytes(double bytes);

}  // namespace shelfcast
