// The minimum of a function of one variable between two bounds.
#pragma once

#include <algorithm>
#include <cmath>

namespace shelfcast::eval {

// Where `f` is least in (low, high), to about `tolerance`: golden sections, with a parabola through the three
// best points wherever it helps (Brent, "Algorithms for Minimization without Derivatives", 1973, localmin).
// Finds a local minimum; the bounds themselves are never tried.
template <typename Function>
double minimise_bounded(const Function& f, double low, double high, double tolerance = 1e-5) {
  const double golden = 0.5 * (3.0 - std::sqrt(5.0)), root_epsilon = std::sqrt(2.2e-16);
  // The best point, the second best and the one that was second best before.
  double best = low + golden * (high - low), second = best, third = best;
  double f_best = f(best), f_second = f_best, f_third = f_best;
  double step = 0.0, before_last = 0.0;
  constexpr int kMost = 500;
  for (int count = 1; count < kMost; ++count) {
    const double middle = 0.5 * (low + high);
    const double least =
        root_epsilon * std::abs(best) + tolerance / 3.0;  // points closer than this are the same
    if (std::abs(best - middle) <= 2.0 * least - 0.5 * (high - low)) break;
    bool parabola = false;
    if (std::abs(before_last) > least) {
      const double r = (best - second) * (f_best - f_third), q = (best - third) * (f_best - f_second);
      double numerator = (best - third) * q - (best - second) * r, denominator = 2.0 * (q - r);
      if (denominator > 0.0) numerator = -numerator;
      denominator = std::abs(denominator);
      parabola = std::abs(numerator) < std::abs(0.5 * denominator * before_last) &&
                 numerator > denominator * (low - best) && numerator < denominator * (high - best);
      before_last = step;
      if (parabola) {
        step = numerator / denominator;
        const double next = best + step;
        if (next - low < 2.0 * least || high - next < 2.0 * least) step = middle >= best ? least : -least;
      }
    }
    if (!parabola) {
      before_last = best >= middle ? low - best : high - best;
      step = golden * before_last;
    }
    const double next = best + (step >= 0.0 ? std::max(step, least) : std::min(step, -least));
    const double f_next = f(next);
    if (f_next <= f_best) {
      (next >= best ? low : high) = best;
      third = second, f_third = f_second;
      second = best, f_second = f_best;
      best = next, f_best = f_next;
    } else {
      (next < best ? low : high) = next;
      if (f_next <= f_second || second == best) {
        third = second, f_third = f_second;
        second = next, f_second = f_next;
      } else if (f_next <= f_third || third == best || third == second) {
        third = next, f_third = f_next;
      }
    }
  }
  return best;
}

}  // namespace shelfcast::eval
