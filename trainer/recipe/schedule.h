// Learning-rate schedules.
#pragma once

#include <cstdint>
#include <string>

namespace shelfcast::trainer {

struct ScheduleConfig {
  std::string name = "cosine";  // constant, linear, cosine
  std::int64_t warmup = 100;    // steps of linear growth from 0

  // Throws Error(input) naming the field.
  void validate() const;
};

// The factor on the peak learning rate at optimizer step `step` (0-based) of `steps`: grows linearly to 1
// over the warm-up, then stays (constant) or falls to 0 at `steps` linearly or as half a cosine (Loshchilov
// and Hutter, 2017).
double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t steps);

}  // namespace shelfcast::trainer
