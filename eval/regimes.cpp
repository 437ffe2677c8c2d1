#include "eval/regimes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

constexpr std::int64_t kUsualSteps = 28;
constexpr double kChange = 0.05;

// The mean of what is known of the steps before the origin; NaN: nothing is.
double usual_price(std::span<const float> price, std::int64_t origin) {
  double sum = 0.0, n = 0.0;
  for (std::int64_t t = std::max<std::int64_t>(0, origin - kUsualSteps); t < origin; ++t) {
    const float value = price[static_cast<std::size_t>(t)];
    if (std::isnan(value)) continue;
    sum += value;
    n += 1.0;
  }
  return sum / n;
}

std::size_t price_level(double price, double usual) {
  if (!(usual > 0) || std::isnan(price)) return 3;
  const double change = price / usual - 1.0;
  if (change < -kChange) return 0;
  return change > kChange ? 2 : 1;
}

std::size_t promotion_level(float value) {
  if (std::isnan(value)) return 2;
  return value == 0.0F ? 0 : 1;
}

std::size_t covariate_of(const std::string& group, const std::string& covariate,
                         const data::CorpusInfo& info) {
  if (covariate.empty())
    throw input_error(fmt::format("backtest.by names '{}', but not which covariate that is", group),
                      fmt::format("backtest.{} is null", group),
                      fmt::format("set backtest.{} to a covariate of the corpus", group));
  const std::size_t index = info.covariate_index(covariate);
  const data::CovariateInfo& found = info.covariates[index];
  if (found.kind != data::Kind::numeric || found.per != "series")
    throw input_error(
        fmt::format("backtest.{} is {}, which is not a number for each series", group, covariate),
        "steps of a series cannot be grouped by it", "name another covariate");
  return index;
}

}  // namespace

const std::string& Regime::name() const {
  static const std::string promotion = "promotion", price = "price";
  return kind == Kind::promotion ? promotion : price;
}

const std::vector<std::string>& Regime::levels() const {
  static const std::vector<std::string> promotion{"no promotion", "promotion", "(missing)"};
  static const std::vector<std::string> price{"cut", "usual", "rise", "(missing)"};
  return kind == Kind::promotion ? promotion : price;
}

bool is_regime(const std::string& name) { return name == "promotion" || name == "price"; }

std::vector<Regime> make_regimes(const BacktestConfig& config, const data::CorpusInfo& info) {
  std::vector<Regime> regimes;
  for (const std::string& name : config.by) {
    if (name == "promotion")
      regimes.push_back({Regime::Kind::promotion, covariate_of(name, config.promotion, info)});
    if (name == "price") regimes.push_back({Regime::Kind::price, covariate_of(name, config.price, info)});
  }
  return regimes;
}

std::vector<std::size_t> regime_levels(const Regime& regime, std::span<const float> covariate,
                                       std::int64_t origin, std::int64_t horizon) {
  std::vector<std::size_t> levels;
  const double usual = regime.kind == Regime::Kind::price ? usual_price(covariate, origin) : 0.0;
  for (std::int64_t t = origin; t < origin + horizon; ++t) {
    const float value = covariate[static_cast<std::size_t>(t)];
    levels.push_back(regime.kind == Regime::Kind::price ? price_level(value, usual) : promotion_level(value));
  }
  return levels;
}

}  // namespace shelfcast::eval
