// What a series was like before the first origin: the groups that are fitted to the past, never to what is
// judged.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/groups.h"

namespace shelfcast::eval {

// Counted over the observed steps from the first demand (a value above 0) to the cut-off; all 0 without
// demand.
struct SeriesProfile {
  double steps = 0.0;                // observed
  double demands = 0.0;              // of them above 0
  double size = 0.0, squares = 0.0;  // sums of the demands and of their squares
  double age = 0.0;                  // steps from the first demand to the cut-off, observed or not
};

// Of the steps before `cut_off`.
SeriesProfile profile_of(std::span<const float> demand, std::int64_t cut_off);

// Syntetos, Boylan and Croston, 2005: the mean interval between demands (steps / demands) below or at
// least 1.32, and the squared coefficient of variation of demand sizes below or at least 0.49.
enum class DemandClass { smooth, intermittent, erratic, lumpy, none };
DemandClass demand_class(const SeriesProfile& profile);

// Names that group series by their profiles: "demand_class", "volume" (tenths of the series by demand per
// step, from 1, the smallest) and "age" ("new": the first demand lies less than two horizons before the
// cut-off, or after it). Series without demand before it are in levels of their own.
const std::vector<std::string>& profile_groups();
Grouping group_by_profile(const std::string& name, std::span<const SeriesProfile> profiles,
                          std::int64_t horizon);

}  // namespace shelfcast::eval
