#include "scorer/orders/hidden_scores.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

constexpr int kSweeps = 16;         // a few would do where half of a window is seen
constexpr double kFarthest = 1e-9;  // probability beyond which a tail has no numbers

// A normal number above `lower`.
double draw_above(double mean, double spread, double lower, RandomStream& random) {
  const double below = std::min(1.0 - kFarthest, normal_cdf((lower - mean) / spread));
  const double place = std::clamp(below + random.uniform() * (1.0 - below), kFarthest, 1.0 - kFarthest);
  return std::max(lower, mean + spread * normal_quantile(place));
}

// The inverse of L L', row-major.
std::vector<double> inverse_of(const std::vector<double>& factor, std::size_t size) {
  std::vector<double> inverse(size * size);
  for (std::size_t column = 0; column < size; ++column) {
    std::vector<double> x(size, 0.0);
    for (std::size_t i = 0; i < size; ++i) {
      double rest = i == column ? 1.0 : 0.0;
      for (std::size_t k = 0; k < i; ++k) rest -= factor[i * size + k] * x[k];
      x[i] = rest / factor[i * size + i];
    }
    for (std::size_t i = size; i-- > 0;) {
      double rest = x[i];
      for (std::size_t k = i + 1; k < size; ++k) rest -= factor[k * size + i] * x[k];
      x[i] = rest / factor[i * size + i];
    }
    for (std::size_t i = 0; i < size; ++i) inverse[i * size + column] = x[i];
  }
  return inverse;
}

}  // namespace

HiddenScores::HiddenScores(const Correlation& correlation)
    : size_(static_cast<std::size_t>(correlation.size)), spread_(size_) {
  const std::vector<double> factor = cholesky(correlation);
  SHELFCAST_ASSERT(!factor.empty());
  weight_ = inverse_of(factor, size_);
  for (std::size_t i = 0; i < size_; ++i) {
    const double precision = weight_[i * size_ + i];
    spread_[i] = std::sqrt(1.0 / precision);
    for (std::size_t j = 0; j < size_; ++j)
      weight_[i * size_ + j] = i == j ? 0.0 : -weight_[i * size_ + j] / precision;
  }
}

void HiddenScores::draw(std::span<double> scores, std::span<const double> lower, RandomStream& random) const {
  SHELFCAST_ASSERT(scores.size() == size_ && lower.size() == size_);
  std::vector<std::size_t> hidden;
  for (std::size_t i = 0; i < size_; ++i)
    if (std::isnan(scores[i])) hidden.push_back(i);
  if (hidden.empty()) return;
  for (const std::size_t i : hidden) scores[i] = draw_above(0.0, 1.0, lower[i], random);
  for (int sweep = 0; sweep < kSweeps; ++sweep)
    for (const std::size_t i : hidden) {
      double mean = 0.0;
      for (std::size_t j = 0; j < size_; ++j) mean += weight_[i * size_ + j] * scores[j];
      scores[i] = draw_above(mean, spread_[i], lower[i], random);
    }
}

}  // namespace shelfcast::scorer
