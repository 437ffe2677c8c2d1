// One training at a time in a run folder, and the way to ask it to stop from outside.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace shelfcast::trainer {

// Holds an exclusive lock on run.lock of a run folder; the kernel gives it back when the process dies. Rank
// 0.
class RunLock {
 public:
  // Throws Error(input) when another process trains there. Another host may have died without giving it back
  // yet: waits up to `patience` for that. Where the file system has no locks it warns and goes on.
  explicit RunLock(const std::filesystem::path& run, std::chrono::seconds patience = std::chrono::minutes(2));
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // "host n17, process 4242" of who trains in this folder now; nullopt when nobody does.
  static std::optional<std::string> holder(const std::filesystem::path& run);
  // Returns when no process of this host trains in the folder any more: one that was told to leave ends its
  // step and saves. false = `leaves` became true meanwhile.
  static bool wait_until_free_here(const std::filesystem::path& run, const std::function<bool()>& leaves);

 private:
  int descriptor_ = -1;
};

// A file in the run folder that asks its training to save and leave: `shelfcast stop RUN`.
class StopRequest {
 public:
  explicit StopRequest(const std::filesystem::path& run) : path_(run / "stop") {}

  // Throws Error(io).
  void make() const;
  // Looks at most once a second; network file systems answer slowly.
  bool there();
  void remove() const;

 private:
  std::filesystem::path path_;
  std::chrono::steady_clock::time_point looked_{};
  bool there_ = false;
};

}  // namespace shelfcast::trainer
