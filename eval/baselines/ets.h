// Exponential smoothing fitted by maximum likelihood: given forms, and the best form by AICc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/baselines/ets_model.h"
#include "eval/baselines/made_by.h"

namespace shelfcast::eval {

struct EtsFit {
  EtsForm form;
  std::vector<double> parameters;  // laid out as EtsModel says
  // Up to the constant that statsforecast and R's forecast leave out: -n/2 log(sum of squares), less the sum
  // of the forecasts' logarithms for multiplicative errors.
  double log_likelihood = 0.0;
  double aicc = 0.0;  // -2 log likelihood + 2k + 2k(k + 1) / (n - k - 1); k counts the error's variance, too
};

// The form fitted by maximum likelihood over 1e-4 <= alpha, beta, gamma <= 0.9999, 0.8 <= phi <= 0.98 and any
// initial states. Nothing where the history does not admit the form: fewer than parameters + 2 steps, not
// more than one season, or a value at or below 0 with a multiplicative form.
std::optional<EtsFit> fit_ets(EtsForm form, std::span<const double> history, std::int64_t season);

// The admissible form with the least AICc, among additive and multiplicative errors, no, additive and damped
// trends, no, additive and multiplicative seasons (these with multiplicative errors only), as statsforecast's
// AutoETS tries them. Nothing for a constant history and fewer than 4 steps.
std::optional<EtsFit> select_ets(std::span<const double> history, std::int64_t season);

// Forecasts; each fills `steps` and takes a history of at least one step. Where the history does not admit a
// form, the next simpler one forecasts: Holt-Winters, Holt, simple exponential smoothing.
MadeBy holt(std::span<const double> history, std::span<double> steps);  // ETS(A,A,N)
MadeBy holt_winters(std::span<const double> history, std::int64_t season,
                    std::span<double> steps);  // ETS(A,A,A)
// ETS(M,A,M); the additive one where the history is not positive.
MadeBy multiplicative_holt_winters(std::span<const double> history, std::int64_t season,
                                   std::span<double> steps);
MadeBy ets(std::span<const double> history, std::int64_t season, std::span<double> steps);  // select_ets()

}  // namespace shelfcast::eval
