// One exponential smoothing model in state space form: its errors over a history, their derivatives, and
// forecasts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/baselines/decomposition.h"
#include "eval/baselines/least_squares.h"

namespace shelfcast::eval {

enum class ErrorForm { additive, multiplicative };
enum class Trend { none, additive, damped };

// ETS(error, trend, season) of Hyndman et al., "Forecasting with Exponential Smoothing", 2008. A season's
// length goes with the data; without a season it does not count.
struct EtsForm {
  ErrorForm error = ErrorForm::additive;
  Trend trend = Trend::none;
  Season season = Season::none;

  std::string name() const;  // "ETS(A,Ad,N)"
  bool operator==(const EtsForm&) const = default;
};

// The parameters of a form lie in one array: alpha, beta (with a trend), gamma (with a season), phi (damped),
// then the states before the first step: level, growth (with a trend), and the season's steps 1, 2, ... Step
// 0 is what makes them add up to 0 (additive) or to their number (multiplicative).
//
// The sum of squares: of the errors one step ahead; of relative errors (multiplicative) times the geometric
// mean of the forecasts, so that n log(sum) is -2 log likelihood up to a constant of the data in both cases.
class EtsModel final : public SumOfSquares {
 public:
  // `history` must outlive this object.
  EtsModel(EtsForm form, std::span<const double> history, std::int64_t season);

  std::size_t parameters() const { return parameters_; }
  std::size_t smoothing_parameters() const { return smoothing_; }

  double value(std::span<const double> parameters) override;
  void linearise(std::span<const double> parameters, NormalEquations& normal) override;
  // The steps after the history.
  void forecast(std::span<const double> parameters, std::span<double> steps);

 private:
  struct Smoothing {
    double alpha, beta, gamma, phi;
  };
  // The recursion's state, and its derivatives with respect to each parameter, padded to `width_`.
  struct State {
    double level, growth;
    std::vector<double> season;                          // [season]
    std::vector<double> level_by, growth_by, season_by;  // [width], [width], [season, width]
  };

  Smoothing smoothing(std::span<const double> parameters) const;
  void reset(std::span<const double> parameters);
  void reset_derivatives();
  template <Season kSeason>
  double run(const Smoothing& k);
  template <Season kSeason>
  void run_with_derivatives(const Smoothing& k);

  EtsForm form_;
  std::span<const double> history_;
  std::size_t season_, smoothing_, parameters_, width_;
  std::size_t beta_ = 0, gamma_ = 0, phi_ = 0;  // where these lie; alpha is first
  State state_{};
  // Sums over the steps: of d_i d_j and of error d_i, where d is the error's derivative; of the derivative of
  // the forecast's logarithm.
  std::vector<double> error_by_, forecast_by_, products_, slopes_, log_by_;
  double squares_ = 0.0, log_forecasts_ = 0.0;
};

}  // namespace shelfcast::eval
