#include "parallel/bucket_tuner.h"

#include <algorithm>

#include "base/error.h"
#include "base/median.h"

namespace shelfcast::parallel {
namespace {

constexpr std::int64_t kMegabytes[] = {2, 5, 10, 25, 60, 150};

}  // namespace

BucketTuner::BucketTuner(std::int64_t gradient_bytes) {
  for (const std::int64_t megabytes : kMegabytes) {
    sizes_.push_back({megabytes});
    if (megabytes * 1'000'000 >= gradient_bytes) break;
  }
}

void BucketTuner::add(double seconds) {
  SHELFCAST_ASSERT(!done());
  if (round_ > 0) sizes_[next_].seconds.push_back(seconds);
  if (++next_ < sizes_.size()) return;
  next_ = 0;
  if (++round_ == kRounds) choose();
}

void BucketTuner::choose() {
  double least = median(sizes_.front().seconds);
  for (const Size& size : sizes_) least = std::min(least, median(size.seconds));
  for (const Size& size : sizes_)
    if (median(size.seconds) <= 1.01 * least) winner_ = size.megabytes;
}

}  // namespace shelfcast::parallel
