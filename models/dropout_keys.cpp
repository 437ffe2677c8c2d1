#include "models/dropout_keys.h"

#include "base/random.h"

namespace shelfcast::models {

std::vector<std::uint64_t> window_keys(const DropoutKeys& keys) {
  const std::uint64_t step = mix(keys.seed, static_cast<std::uint64_t>(keys.step));
  std::vector<std::uint64_t> keys_b;
  keys_b.reserve(keys.sample_b.size());
  for (const std::int64_t sample : keys.sample_b)
    keys_b.push_back(mix(step, static_cast<std::uint64_t>(sample)));
  return keys_b;
}

std::vector<std::uint64_t> derived(const std::vector<std::uint64_t>& keys, const KeyStep& step) {
  using Kind = KeyStep::Kind;
  std::vector<std::uint64_t> result;
  if (step.kind == Kind::picked) {
    result.reserve(step.count);
    for (std::uint64_t i = 0; i < step.count; ++i) result.push_back(keys.at(step.first + i * step.stride));
    return result;
  }
  const std::uint64_t each = step.kind == Kind::site ? 1 : step.count;
  result.reserve(keys.size() * each);
  for (const std::uint64_t key : keys) {
    for (std::uint64_t i = 0; i < each; ++i) {
      const bool itself = step.kind == Kind::members && i == 0;
      result.push_back(itself ? key : mix(key, step.kind == Kind::site ? step.first : i));
    }
  }
  return result;
}

}  // namespace shelfcast::models
