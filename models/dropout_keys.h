// The keys of dropout's draws: how a site's follow from those of the windows that a forward reads.
#pragma once

#include <cstdint>
#include <vector>

#include "models/inputs.h"

namespace shelfcast::models {

// How keys follow from a forward's, of which there is one for each window.
struct KeyStep {
  enum class Kind {
    members,  // of each key `count`: itself, then mixed with 1, 2 ...
    site,     // each mixed with `first`
    parts,    // of each key `count`: mixed with 0, 1 ...
    picked    // `count` of the keys: numbers `first`, first + stride ...
  } kind;
  std::uint64_t first = 0, count = 0, stride = 0;

  bool operator==(const KeyStep&) const = default;
};

// A micro-batch's keys, before any step.
std::vector<std::uint64_t> window_keys(const DropoutKeys& keys);
std::vector<std::uint64_t> derived(const std::vector<std::uint64_t>& keys, const KeyStep& step);

}  // namespace shelfcast::models
