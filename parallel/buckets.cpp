#include "parallel/buckets.h"

#include <algorithm>

namespace shelfcast::parallel {
namespace {

constexpr std::int64_t kLeastBytes = 1'000'000;  // below it a transfer is more latency than bytes
constexpr auto kElement = static_cast<std::int64_t>(sizeof(float));

std::int64_t wanted_elements(std::int64_t left, std::int64_t bucket_bytes) {
  const std::int64_t bytes = std::min(bucket_bytes, std::max(kLeastBytes, left * kElement / 2));
  return std::max<std::int64_t>(1, bytes / kElement);
}

}  // namespace

std::vector<Bucket> cut_buckets(const std::vector<FlatRange>& ranges, std::int64_t elements,
                                std::int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::int64_t wanted = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (buckets.empty() || buckets.back().elements >= wanted) {
      wanted = wanted_elements(elements - ranges[i].offset, bucket_bytes);
      buckets.push_back({ranges[i].offset, 0, 0});
    }
    Bucket& bucket = buckets.back();
    bucket.elements = (i + 1 < ranges.size() ? ranges[i + 1].offset : elements) - bucket.first;
    ++bucket.parameters;
  }
  return buckets;
}

}  // namespace shelfcast::parallel
