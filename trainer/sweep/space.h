// The points of a sweep: what each run sets its varied keys to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/sweep/sweep_file.h"

namespace shelfcast::trainer {

// How many points the sweep expands to; saturates far above any sensible number.
std::int64_t count_points(const SweepFile& sweep);

// Overrides "key=value" of each point, in the order of the axes. Grid: every combination, the last axis
// fastest. Random: drawn by (seed, point, key), so that point i stays the same when more are asked for.
// Sobol: points of the sequence, each axis shifted digitally by (seed, key). Throws Error(input) when there
// are none, more than `most_runs`, or more axes than the sequence has.
std::vector<std::vector<std::string>> expand(const SweepFile& sweep);

}  // namespace shelfcast::trainer
