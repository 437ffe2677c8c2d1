#include "eval/baselines/least_squares.h"

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {
namespace {

constexpr double kGain = 1e-10;  // of the sum of squares: smaller gains end the search
constexpr double kLeastDamping = 1e-12, kMostDamping = 1e10;

// Solves `matrix` x = `right` for a symmetric positive definite matrix [n, n], both overwritten; false when
// it is not positive definite.
bool solve(std::vector<double>& matrix, std::vector<double>& right) {
  const std::size_t n = right.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = matrix[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= matrix[i * n + k] * matrix[j * n + k];
      if (i == j) {
        if (!(sum > 0.0)) return false;
        matrix[i * n + i] = std::sqrt(sum);
      } else {
        matrix[i * n + j] = sum / matrix[j * n + j];
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) right[i] -= matrix[i * n + k] * right[k];
    right[i] /= matrix[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) right[i] -= matrix[k * n + i] * right[k];
    right[i] /= matrix[i * n + i];
  }
  return true;
}

// Parameters that may move: not those on a bound with the sum falling beyond it.
std::vector<std::size_t> free_parameters(const std::vector<double>& parameters, const Bounds& bounds,
                                         const NormalEquations& normal) {
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool held = (parameters[i] <= bounds.lower[i] && normal.slope[i] > 0.0) ||
                      (parameters[i] >= bounds.upper[i] && normal.slope[i] < 0.0);
    if (!held) free.push_back(i);
  }
  return free;
}

// Where one damped step leads; false when the equations have no solution.
bool step_from(const std::vector<double>& parameters, const Bounds& bounds, const NormalEquations& normal,
               double damping, std::vector<double>& next) {
  const std::vector<std::size_t> free = free_parameters(parameters, bounds, normal);
  const std::size_t n = parameters.size(), m = free.size();
  std::vector<double> matrix(m * m), right(m);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j <= i; ++j) matrix[i * m + j] = normal.curvature[free[i] * n + free[j]];
    matrix[i * m + i] += damping * matrix[i * m + i] + 1e-300;
    right[i] = -normal.slope[free[i]];
  }
  if (!solve(matrix, right)) return false;
  next = parameters;
  for (std::size_t i = 0; i < m; ++i)
    next[free[i]] = std::clamp(next[free[i]] + right[i], bounds.lower[free[i]], bounds.upper[free[i]]);
  return true;
}

}  // namespace

double minimise(SumOfSquares& problem, const Bounds& bounds, std::vector<double>& parameters,
                int most_steps) {
  double best = problem.value(parameters);
  NormalEquations normal;
  std::vector<double> next;
  double damping = 1e-3;
  bool moved = true;
  for (int i = 0; i < most_steps && std::isfinite(best) && damping < kMostDamping; ++i) {
    if (moved) problem.linearise(parameters, normal);
    const double value =
        step_from(parameters, bounds, normal, damping, next) ? problem.value(next) : HUGE_VAL;
    moved = value < best;
    if (!moved) {
      damping *= 8.0;
      continue;
    }
    const double gain = best - value;
    parameters = next;
    best = value;
    if (gain <= kGain * best) break;
    damping = std::max(damping / 8.0, kLeastDamping);
  }
  return best;
}

}  // namespace shelfcast::eval
