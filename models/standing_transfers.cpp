#include "models/standing_transfers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/transfer.h"

namespace shelfcast::models {
namespace {

thread_local StandingTransfers* current = nullptr;

constexpr const char* kOthers = "what is sent to the device, and in which order";

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

}  // namespace

StandingTransfers::Scope::Scope(StandingTransfers* transfers) : before_(current) { current = transfers; }
StandingTransfers::Scope::~Scope() { current = before_; }
StandingTransfers* StandingTransfers::of_this_thread() { return current; }

void StandingTransfers::renew_keys(const DropoutKeys& keys, const at::Device& device) {
  if (draws_ == 0) return;
  const std::vector<std::uint64_t> of_windows = window_keys(keys);
  host_keys_.clear();
  for (const Entry& entry : entries_) {
    if (entry.draws == 0) continue;
    std::vector<std::uint64_t> own = of_windows;
    for (const KeyStep& step : entry.path) own = derived(own, step);
    host_keys_.insert(host_keys_.end(), own.begin(), own.end());
  }
  SHELFCAST_ASSERT(static_cast<std::int64_t>(host_keys_.size()) == draws_);
  if (!keys_.defined()) keys_ = at::empty({draws_}, at::TensorOptions(at::kLong).device(device));
  keys_.copy_(sent(as_numbers(host_keys_), device), /*non_blocking=*/true);
}

void StandingTransfers::end() {
  if (noted_ && changed_.empty() && next_ != entries_.size()) changed_ = kOthers;
  noted_ = true;
  next_ = 0;
}

// What stood at this place in the first forward and backward; nullptr: this is the first, or what is sent
// changes.
const StandingTransfers::Entry* StandingTransfers::next() {
  if (!noted_ || !changed_.empty()) return nullptr;
  if (next_ < entries_.size()) return &entries_[next_++];
  changed_ = kOthers;
  return nullptr;
}

at::Tensor StandingTransfers::table(const at::Tensor& host, const at::Device& device) {
  if (const Entry* entry = next()) {
    if (entry->host.defined() && same(entry->host, host)) return entry->there;
    changed_ = entry->host.defined() ? fmt::format("a table of {} numbers", host.numel()) : kOthers;
  }
  at::Tensor there = copied(host, device);
  if (!noted_) entries_.push_back({host.clone(), there, {}});
  return there;
}

at::Tensor StandingTransfers::keys(const SiteDropout& site, const at::Device& device) {
  if (const Entry* entry = next()) {
    const auto first = host_keys_.begin() + static_cast<std::ptrdiff_t>(entry->first);
    if (entry->path == site.path &&
        std::equal(site.keys_b.begin(), site.keys_b.end(), first, first + entry->draws))
      return keys_.narrow(0, entry->first, entry->draws);
    changed_ = kOthers;
  }
  if (!noted_) {
    const auto draws = static_cast<std::int64_t>(site.keys_b.size());
    entries_.push_back({{}, {}, site.path, draws_, draws});
    draws_ += draws;
  }
  return copied(at::tensor(as_numbers(site.keys_b), at::kLong), device);
}

}  // namespace shelfcast::models
