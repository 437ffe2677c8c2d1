// How the forecast errors of the horizon's steps move together: a Gaussian copula.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shelfcast::scorer {

// A correlation matrix of the horizon's steps, row-major [size, size].
struct Correlation {
  int size = 0;
  std::vector<double> values;

  double operator()(int i, int j) const {
    return values[static_cast<std::size_t>(i) * static_cast<std::size_t>(size) + static_cast<std::size_t>(j)];
  }
  double& operator()(int i, int j) {
    return values[static_cast<std::size_t>(i) * static_cast<std::size_t>(size) + static_cast<std::size_t>(j)];
  }

  static Correlation identity(int size);
};

// Gathers PITs window by window: memory is [size, size], however many windows there are, and parts gathered
// by several ranks or threads can be added. A missing step (NaN) leaves out its pairs only.
class CopulaEstimator {
 public:
  explicit CopulaEstimator(int horizon);

  // [horizon] PITs in (0, 1) of one window (see randomised_pit), NaN = not observed.
  void add(std::span<const double> pits);
  // The same for normal scores.
  void add_scores(std::span<const double> scores);
  void add(const CopulaEstimator& other);

  // Correlation of normal scores over the pairs seen, drawn towards the mean of its diagonals (steps equally
  // far apart tend to be equally correlated) as far as sampling noise asks for (Schaefer and Strimmer, "A
  // shrinkage approach to large-scale covariance matrix estimation", 2005), then towards the identity as far
  // as a Cholesky factor needs. A pair never seen together gets the mean of its diagonal, 0 if that was never
  // seen. Throws Error(input) when no window was added.
  Correlation estimate() const;

 private:
  struct Pair {
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  };
  int horizon_;
  std::vector<Pair> pairs_;  // upper triangle by rows, diagonal included
};

// The lower triangular factor L of `matrix` = L L', row-major; empty when a pivot is below `smallest_pivot`.
std::vector<double> cholesky(const Correlation& matrix, double smallest_pivot = 1e-10);

// The smallest of a few mixtures (1 - w) matrix + w identity that has a Cholesky factor.
Correlation positive_definite(const Correlation& matrix);

}  // namespace shelfcast::scorer
