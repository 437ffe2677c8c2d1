// The statistical baselines by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/baselines/filled_history.h"
#include "eval/baselines/made_by.h"

namespace shelfcast::eval {

// What methods are told beside the history.
struct MethodOptions {
  std::int64_t season = 7;
  std::int64_t window = 28;  // of the moving average
};

// A pure function of its arguments. `history` has at least one step; fills `steps`, one per horizon step.
using Method = MadeBy (*)(const History& history, const MethodOptions& options, std::span<double> steps);

struct NamedMethod {
  std::string name;   // in recipes: "holt_winters"
  std::string label;  // in reports: "Holt-Winters"; "{}" stands for the moving average's window
  std::string about;  // what it does, for reports: "repeats the last observed value"
  Method forecast;
};

// All there are, simple ones first.
const std::vector<NamedMethod>& statistical_methods();

// Their names, in that order.
std::vector<std::string> method_names();

// As reports call it.
std::string label_of(const NamedMethod& method, std::int64_t window);

// Forecasts of one history: 0 throughout where nothing was ever observed (demand nobody has seen yet, and the
// one value that stays sensible when judged against zeros), which no method stands in for.
MadeBy forecast_history(const NamedMethod& method, const History& history, const MethodOptions& options,
                        std::span<double> steps);

}  // namespace shelfcast::eval
