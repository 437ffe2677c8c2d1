// Groups that change from step to step: whether the item was on promotion, and whether its price was cut.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "eval/config.h"

namespace shelfcast::eval {

// One way of grouping judged steps by a covariate of the corpus.
struct Regime {
  enum class Kind {
    promotion,  // "no promotion" where it is 0, "promotion" elsewhere
    price,      // "cut", "usual", "rise": against the mean of the 28 steps before the origin, 5 % apart
  };
  Kind kind = Kind::promotion;
  std::size_t covariate = 0;  // in the corpus
  const std::string& name() const;
  // The last one is "(missing)".
  const std::vector<std::string>& levels() const;
};

// "promotion" and "price".
bool is_regime(const std::string& name);

// Those that config.by names. Throws Error(input) when the covariate is not named in the configuration, is
// not in the corpus, or is not a number per series.
std::vector<Regime> make_regimes(const BacktestConfig& config, const data::CorpusInfo& info);

// The level of each of `horizon` steps from `origin` on, of a series' covariate over all steps (NaN =
// missing).
std::vector<std::size_t> regime_levels(const Regime& regime, std::span<const float> covariate,
                                       std::int64_t origin, std::int64_t horizon);

}  // namespace shelfcast::eval
