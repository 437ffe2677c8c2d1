// From daily panels to weekly or monthly ones.
#pragma once

#include "data/ingest/panel.h"

namespace shelfcast::data {

// What days that are not observed make of a coarser step: one that is not observed itself, or nothing sold.
enum class EmptyPeriod { missing, zero };

// Sums daily demand into ISO weeks (Monday to Sunday) or calendar months; only whole periods are kept, at
// both ends, and the period in which demand ends part way is dropped from demand. Covariates follow
// panel.aggregates over their observed days. Returns the panel unchanged when it has that frequency already.
// Throws Error(input) when the panel is not daily or holds no whole period.
Panel to_frequency(Panel panel, Frequency frequency, EmptyPeriod empty);

}  // namespace shelfcast::data
