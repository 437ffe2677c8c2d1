// Champion against challenger: two backtests on the same origins, and the rule that says who stays.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/retrain/history.h"
#include "trainer/retrain/retrain_file.h"

namespace shelfcast::trainer {

// What a backtest found of the model it judged (its first forecaster) and of the first baseline.
struct Judged {
  std::string corpus, protocol;            // must agree for two to be compared
  std::map<std::string, double> overall;   // by metric
  std::map<std::string, double> baseline;  // the same of the first baseline; empty without one
  std::map<std::string, std::map<std::string, double>> categories;  // by category, those with n > 0
  std::vector<std::string> series;                                  // that were judged
  std::vector<double> absolute, squared;                            // error sums, one a series
  std::int64_t bootstrap = 0;                                       // resamples
};

// Reads FOLDER/backtest. Throws Error(io) or Error(data).
Judged read_judged(const std::filesystem::path& folder);

// Applies the rule. `known`: categories the champion was judged on when it was promoted (none = those it is
// judged on now); those it did not know then cannot be lost. Throws Error(data) when the two were not judged
// on the same targets.
Promotion decide(const PromotionRule& rule, const Judged& champion, const Judged& challenger,
                 const std::vector<std::string>& known);

}  // namespace shelfcast::trainer
