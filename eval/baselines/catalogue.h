// All baselines by name, statistical and learned.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shelfcast::eval {

struct BaselineText {
  std::string label;  // in reports: "Holt-Winters"
  std::string about;  // what it does: "repeats the last observed value"
};

// In recipes; simple ones first.
std::vector<std::string> baseline_names();

// `name` is one of baseline_names(); `window` that of the moving average.
BaselineText describe_baseline(const std::string& name, std::int64_t window);

}  // namespace shelfcast::eval
