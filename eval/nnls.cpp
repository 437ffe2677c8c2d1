#include "eval/nnls.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

constexpr double kTolerance = 1e-10;  // of a column's own square

// The least squares solution with the columns in use alone, by Cholesky's decomposition; nothing where they
// depend on each other.
std::optional<std::vector<double>> solve(std::span<const double> gram, std::span<const double> product,
                                         const std::vector<std::size_t>& used) {
  const std::size_t n = product.size(), k = used.size();
  std::vector<double> lower(k * k), x(k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = gram[used[i] * n + used[j]];
      for (std::size_t c = 0; c < j; ++c) sum -= lower[i * k + c] * lower[j * k + c];
      if (i != j) {
        lower[i * k + j] = sum / lower[j * k + j];
      } else {
        if (!(sum > kTolerance * gram[used[i] * n + used[i]])) return std::nullopt;
        lower[i * k + i] = std::sqrt(sum);
      }
    }
  }
  for (std::size_t i = 0; i < k; ++i) {
    x[i] = product[used[i]];
    for (std::size_t c = 0; c < i; ++c) x[i] -= lower[i * k + c] * x[c];
    x[i] /= lower[i * k + i];
  }
  for (std::size_t i = k; i-- > 0;) {
    for (std::size_t c = i + 1; c < k; ++c) x[i] -= lower[c * k + i] * x[c];
    x[i] /= lower[i * k + i];
  }
  return x;
}

}  // namespace

std::vector<double> non_negative_least_squares(std::span<const double> gram,
                                               std::span<const double> product) {
  const std::size_t n = product.size();
  SHELFCAST_ASSERT(gram.size() == n * n);
  std::vector<double> x(n);
  std::vector<std::size_t> used;
  std::vector<bool> refused(n);  // columns that depend on those in use
  const auto slope = [&](std::size_t i) {
    double value = product[i];
    for (std::size_t j = 0; j < n; ++j) value -= gram[i * n + j] * x[j];
    return value;
  };
  for (std::size_t turn = 0; turn < 3 * n + 1; ++turn) {  // ends by itself; rounding must not make it circle
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < n; ++i) {
      if (refused[i] || std::ranges::find(used, i) != used.end()) continue;
      if (slope(i) > kTolerance * std::abs(product[i]) && (!best || slope(i) > slope(*best))) best = i;
    }
    if (!best) break;
    used.push_back(*best);
    for (;;) {
      const auto solution = solve(gram, product, used);
      if (!solution) {
        refused[*best] = true;
        std::erase(used, *best);
        break;
      }
      double share = 1.0;  // of the way to it that no number falls below 0 on
      for (std::size_t i = 0; i < used.size(); ++i)
        if ((*solution)[i] <= 0) share = std::min(share, x[used[i]] / (x[used[i]] - (*solution)[i]));
      for (std::size_t i = 0; i < used.size(); ++i) x[used[i]] += share * ((*solution)[i] - x[used[i]]);
      if (share == 1.0) break;
      std::erase_if(used, [&](std::size_t i) {
        const bool out = x[i] <= kTolerance;
        if (out) x[i] = 0.0;
        return out;
      });
    }
  }
  return x;
}

}  // namespace shelfcast::eval
