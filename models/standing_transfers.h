// What a micro-batch takes to its device beside its inputs, made to stand there: the device's part of a
// forward and backward can then be done again without the host's.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "models/dropout.h"

namespace shelfcast::models {

// The first forward and backward leaves what it sends (transfer.h) on the device and notes it down; later
// ones find it there, in the same order. Tables must be the same for every micro-batch; dropout's keys follow
// from the micro-batch's, as each site says.
class StandingTransfers {
 public:
  // While it lives, what this thread sends stands; nullptr = nothing does. recompute.h takes it along to
  // backward's threads.
  class Scope {
   public:
    explicit Scope(StandingTransfers* transfers);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    StandingTransfers* before_;
  };
  // nullptr outside of any Scope.
  static StandingTransfers* of_this_thread();

  // Before a forward and backward, and before the device repeats one by itself: puts this micro-batch's keys
  // in the place of the last one's.
  void renew_keys(const DropoutKeys& keys, const at::Device& device);
  // After each forward and backward.
  void end();
  // What was not the same for every micro-batch so far, in words; empty = nothing.
  const std::string& changed() const { return changed_; }

  // `host` on `device`.
  at::Tensor table(const at::Tensor& host, const at::Device& device);
  // The site's keys there, int64 [draws].
  at::Tensor keys(const SiteDropout& site, const at::Device& device);

 private:
  struct Entry {
    at::Tensor host, there;     // of a table
    std::vector<KeyStep> path;  // of keys, which stand from number `first` on
    std::int64_t first = 0, draws = 0;
  };

  const Entry* next();

  bool noted_ = false;  // the first forward and backward is over
  std::vector<Entry> entries_;
  std::size_t next_ = 0;  // of entries_
  std::int64_t draws_ = 0;
  std::vector<std::uint64_t> host_keys_;
  at::Tensor keys_;  // int64 [draws_]: the same on the device
  std::string changed_;
};

}  // namespace shelfcast::models
