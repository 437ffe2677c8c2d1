// Does one forecaster lose more than another on other days, too? The test of Diebold and Mariano.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace shelfcast::eval {

struct DieboldMariano {
  double statistic = 0.0;  // negative: the first forecaster loses less
  double p = 1.0;          // two-sided
  std::int64_t dates = 0;
};

// `differences`: mean loss of the first forecaster minus that of the second on each target date, ascending.
// Forecasts of up to `horizon` steps make neighbouring dates move together, so the variance of their mean
// counts lags up to horizon - 1 with Bartlett's weights (Newey and West, 1987), which keep it from being
// negative; the statistic has the correction of Harvey, Leybourne and Newbold (1997). What forecasts of one
// horizon have in common is one observation and not as many as it has dates, so it is compared with Student's
// t of one degree of freedom fewer than the dates hold whole horizons (docs/evaluation.md has what that
// does). Empty when they hold fewer than two (one origin says nothing about other weeks) or when the
// differences are all the same.
std::optional<DieboldMariano> diebold_mariano(std::span<const double> differences, std::int64_t horizon);

// P(|T| > |t|) of Student's t with `freedom` > 0 degrees of freedom.
double student_two_sided(double t, double freedom);

}  // namespace shelfcast::eval
