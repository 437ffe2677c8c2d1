// How flat gradients are cut into what is sent at a time: arithmetic, the same on every rank.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/flat_range.h"

namespace shelfcast::parallel {

// Whole parameters, one after another in the flat buffers, and the padding behind them.
struct Bucket {
  std::int64_t first = 0, elements = 0;
  int parameters = 0;
};

// Buckets of about `bucket_bytes` of float32 gradients over all `elements`: each closes with the parameter
// that fills it. Towards the end they halve, down to a megabyte: the last one's transfer is what no backward
// hides.
std::vector<Bucket> cut_buckets(const std::vector<FlatRange>& ranges, std::int64_t elements,
                                std::int64_t bucket_bytes);

}  // namespace shelfcast::parallel
