// The statistical methods against the Python package statsforecast on 100 series
// (tests/golden/make_baselines.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>

#include "base/safetensors.h"
#include "eval/baselines/ets.h"
#include "eval/baselines/methods.h"
#include "eval/baselines/theta.h"
#include "tests/support/paths.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kSeries = 100, kHorizon = 9;
constexpr std::int64_t kWindow = 5;
constexpr double kTolerance = 1e-6;

template <typename T>
std::vector<T> values_of(const StoredTensor& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

class StatsForecast : public ::testing::Test {
 protected:
  StatsForecast() : file_(shelfcast::testing::source_dir() / "tests/golden/baselines.safetensors") {
    const std::vector<float> all = values_of<float>(file_.at("history"));
    season_ = values_of<std::int64_t>(file_.at("season"));
    auto next = all.begin();
    for (const std::int64_t length : values_of<std::int64_t>(file_.at("length"))) {
      history_.emplace_back(next, next + length);
      next += length;
    }
  }

  std::vector<double> stored(const std::string& name) const { return values_of<double>(file_.at(name)); }
  std::vector<double> history(std::size_t i) const { return {history_[i].begin(), history_[i].end()}; }
  // Of a series' size, for tolerances.
  double scale(std::size_t i) const {
    double sum = 0.0;
    for (const float value : history_[i]) sum += std::abs(value);
    return std::max(1.0, sum / static_cast<double>(history_[i].size()));
  }

  SafetensorsFile file_;
  std::vector<std::vector<float>> history_;
  std::vector<std::int64_t> season_;
};

class Forecasts : public StatsForecast, public ::testing::WithParamInterface<const char*> {};

TEST_P(Forecasts, are_equal_within_a_millionth_of_the_scale) {
  const NamedMethod& method = *std::ranges::find(statistical_methods(), GetParam(), &NamedMethod::name);
  const std::vector<double> expected = stored(method.name);
  const std::size_t columns = expected.size() / kSeries;
  std::size_t compared = 0;
  for (std::size_t i = 0; i < kSeries; ++i) {
    const FilledHistory filled(history_[i], season_[i], SeasonalGaps::last_value);
    std::vector<double> steps(kHorizon);
    forecast_history(method, filled.before(std::ssize(history_[i])), {season_[i], kWindow}, steps);
    for (std::size_t h = 0; h < kHorizon; ++h) {
      const double theirs = expected[i * columns + (columns == 1 ? 0 : h)];
      // The package starts a season that has not been seen whole at the wrong step.
      if (std::isnan(theirs) || (method.name == "seasonal_naive" && std::ssize(history_[i]) < season_[i]))
        continue;
      EXPECT_NEAR(steps[h], theirs, kTolerance * scale(i))
          << method.name << ", series " << i << ", step " << h;
      ++compared;
    }
  }
  EXPECT_GE(compared, 96 * kHorizon);
}

INSTANTIATE_TEST_SUITE_P(Statsforecast, Forecasts,
                         ::testing::Values("naive", "seasonal_naive", "drift", "moving_average", "ses",
                                           "croston", "sba", "tsb", "adida", "imapa"),
                         [](const auto& method) { return std::string(method.param); });

// Fits of one form (or of the best one) to all series that the package fits.
void expect_as_likely(const std::vector<double>& theirs,
                      const std::function<std::optional<double>(std::size_t)>& ours, std::size_t least) {
  std::size_t compared = 0;
  for (std::size_t i = 0; i < kSeries; ++i) {
    const std::optional<double> value = ours(i);
    if (!value || !std::isfinite(theirs[i])) continue;
    EXPECT_GE(*value, theirs[i] - kTolerance) << "series " << i;
    ++compared;
  }
  EXPECT_GE(compared, least);
}

TEST_F(StatsForecast, fits_no_form_of_exponential_smoothing_with_more_likelihood) {
  const std::pair<const char*, EtsForm> forms[] = {
      {"holt", {ErrorForm::additive, Trend::additive, Season::none}},
      {"holt_winters", {ErrorForm::additive, Trend::additive, Season::additive}},
      {"holt_winters_multiplicative", {ErrorForm::multiplicative, Trend::additive, Season::multiplicative}}};
  for (const auto& [name, form] : forms) {
    SCOPED_TRACE(name);
    expect_as_likely(
        stored(std::string(name) + ".loglik"),
        [&](std::size_t i) -> std::optional<double> {
          const std::vector<double> y = history(i);
          const auto fit = is_constant(y) ? std::nullopt : fit_ets(form, y, season_[i]);
          return fit ? std::optional(fit->log_likelihood) : std::nullopt;
        },
        form.error == ErrorForm::additive ? 88 : 55);
  }
}

TEST_F(StatsForecast, selects_no_exponential_smoothing_with_a_lower_criterion) {
  std::vector<double> theirs = stored("ets.aicc");
  for (double& aicc : theirs) aicc *= -0.5;
  expect_as_likely(
      theirs,
      [&](std::size_t i) -> std::optional<double> {
        const auto fit = select_ets(history(i), season_[i]);
        return fit ? std::optional(-0.5 * fit->aicc) : std::nullopt;
      },
      88);
}

TEST_F(StatsForecast, fits_no_theta_variant_with_a_lower_squared_error) {
  std::vector<double> theirs = stored("theta.mse");
  for (double& mse : theirs) mse = -mse;
  expect_as_likely(
      theirs,
      [&](std::size_t i) -> std::optional<double> {
        const Deseasonalised rest = deseasonalise(history(i), season_[i]);
        double size = 0.0;
        for (const double value : rest.history) size += std::abs(value);
        if (size == 0.0) return std::nullopt;
        return -select_theta(rest.history).squared_error * static_cast<double>(rest.history.size()) / size;
      },
      90);
}

}  // namespace
}  // namespace shelfcast::eval
