// Non-linear least squares between bounds.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace shelfcast::eval {

// Half the curvature and half the slope of a sum of squares: J^T J [parameters, parameters] and J^T r
// [parameters].
struct NormalEquations {
  std::vector<double> curvature, slope;
};

// A sum of squared residuals as a function of some parameters. It may be infinite: where the parameters make
// no sense.
class SumOfSquares {
 public:
  virtual ~SumOfSquares() = default;
  virtual double value(std::span<const double> parameters) = 0;
  // Called only where the value is finite.
  virtual void linearise(std::span<const double> parameters, NormalEquations& normal) = 0;
};

struct Bounds {
  std::vector<double> lower, upper;
};

// Improves `parameters`, which lie between the bounds, and returns the sum of squares there; infinite when it
// was so at the start. Levenberg's and Marquardt's method with steps scaled by the curvature; a parameter
// that would leave its bounds stays on them. Ends when a step gains less than 1e-10 of the sum, or after
// `most_steps` tried.
double minimise(SumOfSquares& problem, const Bounds& bounds, std::vector<double>& parameters,
                int most_steps = 200);

}  // namespace shelfcast::eval
