// Tree ensembles by XGBoost.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/baselines/learned/table.h"

namespace shelfcast::eval {

// XGBoost's own parameters, and how many rounds.
struct TreeOptions {
  std::map<std::string, std::string> parameters;
  int rounds = 1;
};

// Fits and returns the model as bytes that load_trees() takes. `each_round` is called after every round.
// Throws Error(internal) with XGBoost's message.
std::vector<std::byte> fit_trees(const LearningTable& table, const TreeOptions& options, std::int64_t threads,
                                 const std::function<void()>& each_round = {});

std::unique_ptr<Regressor> load_trees(const std::vector<std::byte>& bytes, std::int64_t columns);

}  // namespace shelfcast::eval
