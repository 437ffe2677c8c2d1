#include "scorer/orders/copula.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scorer/orders/normal.h"

namespace shelfcast::scorer {
namespace {

std::size_t at(std::int64_t value) { return static_cast<std::size_t>(value); }

// Diagonal by diagonal: the mean correlation of steps that far apart, weighted by the pairs seen.
std::vector<double> mean_by_lag(const Correlation& matrix, const std::vector<double>& seen) {
  std::vector<double> mean(at(matrix.size), 0.0);
  for (int lag = 0; lag < matrix.size; ++lag) {
    double sum = 0.0, weight = 0.0;
    for (int i = 0; i + lag < matrix.size; ++i) {
      const double n = seen[at(i) * at(matrix.size) + at(i + lag)];
      sum += n * matrix(i, i + lag);
      weight += n;
    }
    if (weight > 0.0) mean[at(lag)] = sum / weight;
  }
  return mean;
}

}  // namespace

Correlation Correlation::identity(int size) {
  Correlation matrix{size, std::vector<double>(at(size) * at(size), 0.0)};
  for (int i = 0; i < size; ++i) matrix(i, i) = 1.0;
  return matrix;
}

CopulaEstimator::CopulaEstimator(int horizon) : horizon_(horizon), pairs_(at(horizon) * at(horizon + 1) / 2) {
  SHELFCAST_ASSERT(horizon >= 1);
}

void CopulaEstimator::add(std::span<const double> pits) {
  SHELFCAST_ASSERT(pits.size() == at(horizon_));
  std::vector<double> scores;
  for (const double pit : pits) scores.push_back(std::isnan(pit) ? pit : normal_quantile(pit));
  add_scores(scores);
}

void CopulaEstimator::add_scores(std::span<const double> scores) {
  SHELFCAST_ASSERT(scores.size() == at(horizon_));
  auto pair = pairs_.begin();
  for (std::size_t i = 0; i < scores.size(); ++i)
    for (std::size_t j = i; j < scores.size(); ++j, ++pair) {
      const double x = scores[i], y = scores[j];
      if (std::isnan(x) || std::isnan(y)) continue;
      pair->n += 1.0, pair->x += x, pair->y += y;
      pair->xx += x * x, pair->yy += y * y, pair->xy += x * y;
    }
}

void CopulaEstimator::add(const CopulaEstimator& other) {
  SHELFCAST_ASSERT(other.horizon_ == horizon_);
  for (std::size_t k = 0; k < pairs_.size(); ++k) {
    Pair& to = pairs_[k];
    const Pair& from = other.pairs_[k];
    to.n += from.n, to.x += from.x, to.y += from.y;
    to.xx += from.xx, to.yy += from.yy, to.xy += from.xy;
  }
}

Correlation CopulaEstimator::estimate() const {
  if (pairs_[0].n == 0.0 &&
      std::all_of(pairs_.begin(), pairs_.end(), [](const Pair& pair) { return pair.n == 0.0; }))
    throw input_error("the errors of the horizon's steps cannot be compared",
                      "no validation window has observed demand",
                      "move validate_until or train_until so that there are validation origins");
  Correlation raw = Correlation::identity(horizon_);
  std::vector<double> seen(at(horizon_) * at(horizon_), 0.0);
  auto pair = pairs_.begin();
  for (int i = 0; i < horizon_; ++i)
    for (int j = i; j < horizon_; ++j, ++pair) {
      const double x = pair->xx - pair->x * pair->x / std::max(1.0, pair->n);
      const double y = pair->yy - pair->y * pair->y / std::max(1.0, pair->n);
      if (i == j || pair->n < 2.0 || !(x > 0.0) || !(y > 0.0)) continue;
      const double r = (pair->xy - pair->x * pair->y / pair->n) / std::sqrt(x * y);
      raw(i, j) = raw(j, i) = std::clamp(r, -1.0, 1.0);
      seen[at(i) * at(horizon_) + at(j)] = pair->n;
    }

  const std::vector<double> target = mean_by_lag(raw, seen);
  double noise = 0.0, spread = 0.0;
  for (int i = 0; i < horizon_; ++i)
    for (int j = i + 1; j < horizon_; ++j) {
      const double n = seen[at(i) * at(horizon_) + at(j)], r = raw(i, j), off = r - target[at(j - i)];
      if (n == 0.0) continue;
      noise += (1.0 - r * r) * (1.0 - r * r) / std::max(1.0, n - 1.0);
      spread += off * off;
    }
  const double shrink = spread > 0.0 ? std::min(1.0, noise / spread) : 1.0;
  for (int i = 0; i < horizon_; ++i)
    for (int j = i + 1; j < horizon_; ++j) {
      const bool unseen = seen[at(i) * at(horizon_) + at(j)] == 0.0;
      const double weight = unseen ? 1.0 : shrink;
      raw(i, j) = raw(j, i) = (1.0 - weight) * raw(i, j) + weight * target[at(j - i)];
    }
  return positive_definite(raw);
}

std::vector<double> cholesky(const Correlation& matrix, double smallest_pivot) {
  const auto size = at(matrix.size);
  std::vector<double> factor(size * size, 0.0);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double rest = matrix.values[i * size + j];
      for (std::size_t k = 0; k < j; ++k) rest -= factor[i * size + k] * factor[j * size + k];
      if (i != j) {
        factor[i * size + j] = rest / factor[j * size + j];
      } else {
        if (!(rest > smallest_pivot)) return {};
        factor[i * size + i] = std::sqrt(rest);
      }
    }
  return factor;
}

Correlation positive_definite(const Correlation& matrix) {
  // A perfect correlation needs but a touch; a hopeless matrix ends as the identity.
  for (const double weight : {0.0, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9}) {
    Correlation mixed = matrix;
    for (int i = 0; i < matrix.size; ++i)
      for (int j = 0; j < matrix.size; ++j)
        if (i != j) mixed(i, j) *= 1.0 - weight;
    if (!cholesky(mixed).empty()) return mixed;
  }
  return Correlation::identity(matrix.size);
}

}  // namespace shelfcast::scorer
