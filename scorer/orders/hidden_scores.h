// Normal scores that were not seen, drawn jointly with those that were.
#pragma once

#include <span>
#include <vector>

#include "base/random.h"
#include "scorer/orders/copula.h"

namespace shelfcast::scorer {

class HiddenScores {
 public:
  // `correlation` must have a Cholesky factor (see positive_definite).
  explicit HiddenScores(const Correlation& correlation);

  // Replaces each NaN of `scores` [size] by a draw given the scores that are there, above its bound in
  // `lower` [size] (-infinity: anywhere). Gibbs sampling of the truncated normal distribution (Geweke,
  // "Efficient simulation from the multivariate normal and Student-t distributions subject to linear
  // constraints", 1991).
  void draw(std::span<double> scores, std::span<const double> lower, RandomStream& random) const;

 private:
  std::size_t size_;
  std::vector<double>
      weight_;  // [size, size]: of score j in the mean of score i given all others; diagonal 0
  std::vector<double> spread_;  // [size]: standard deviation of score i given all others
};

}  // namespace shelfcast::scorer
