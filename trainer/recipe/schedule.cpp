#include "trainer/recipe/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace shelfcast::trainer {

void ScheduleConfig::validate() const {
  const std::vector<std::string> names = {"constant", "linear", "cosine"};
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw input_error(fmt::format("train.schedule.name: unknown schedule \"{}\"", name), "",
                      "use constant, linear or cosine");
  if (warmup < 0)
    throw input_error("train.schedule.warmup must not be negative", fmt::format("it is {}", warmup));
}

double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t steps) {
  if (step < config.warmup) return static_cast<double>(step + 1) / static_cast<double>(config.warmup + 1);
  const double span = static_cast<double>(std::max<std::int64_t>(1, steps - config.warmup));
  const double done = std::clamp(static_cast<double>(step - config.warmup) / span, 0.0, 1.0);
  if (config.name == "linear") return 1.0 - done;
  if (config.name == "cosine") return 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return 1.0;
}

}  // namespace shelfcast::trainer
