#include "eval/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

constexpr std::size_t kVolumes = 10;

Grouping by_class(std::span<const SeriesProfile> profiles) {
  Grouping grouping{"demand_class", {"smooth", "intermittent", "erratic", "lumpy", "no demand yet"}, {}};
  for (const SeriesProfile& profile : profiles)
    grouping.level_of.push_back(static_cast<std::size_t>(demand_class(profile)));
  return grouping;
}

double rate(const SeriesProfile& profile) { return profile.size / profile.steps; }

// Ties go by the series' number, so that the tenths are the same everywhere.
Grouping by_volume(std::span<const SeriesProfile> profiles) {
  Grouping grouping{"volume", {}, std::vector<std::size_t>(profiles.size(), kVolumes)};
  for (std::size_t i = 0; i < kVolumes; ++i)
    grouping.levels.push_back(fmt::format("{}{}", i + 1,
                                          i == 0              ? " (smallest)"
                                          : i + 1 == kVolumes ? " (largest)"
                                                              : ""));
  grouping.levels.emplace_back("no demand yet");
  std::vector<std::size_t> order;
  for (std::size_t s = 0; s < profiles.size(); ++s)
    if (profiles[s].demands > 0) order.push_back(s);
  std::ranges::stable_sort(order, {}, [&](std::size_t s) { return rate(profiles[s]); });
  for (std::size_t i = 0; i < order.size(); ++i) grouping.level_of[order[i]] = i * kVolumes / order.size();
  return grouping;
}

Grouping by_age(std::span<const SeriesProfile> profiles, std::int64_t horizon) {
  Grouping grouping{"age", {"established", "new"}, {}};
  for (const SeriesProfile& profile : profiles)
    grouping.level_of.push_back(profile.age < 2.0 * static_cast<double>(horizon) ? 1 : 0);
  return grouping;
}

}  // namespace

SeriesProfile profile_of(std::span<const float> demand, std::int64_t cut_off) {
  SeriesProfile profile;
  const std::int64_t end = std::min(cut_off, std::ssize(demand));
  for (std::int64_t t = 0; t < end; ++t) {
    const double value = demand[static_cast<std::size_t>(t)];
    if (value > 0 && profile.demands == 0) profile.age = static_cast<double>(cut_off - t);
    if (value > 0) {
      profile.demands += 1.0;
      profile.size += value;
      profile.squares += value * value;
    }
    if (profile.demands > 0 && value == value) profile.steps += 1.0;  // not NaN
  }
  return profile;
}

DemandClass demand_class(const SeriesProfile& profile) {
  if (profile.demands == 0) return DemandClass::none;
  const double mean = profile.size / profile.demands;
  const double variation = (profile.squares / profile.demands - mean * mean) / (mean * mean);
  const bool often = profile.steps / profile.demands < 1.32, even = variation < 0.49;
  if (often) return even ? DemandClass::smooth : DemandClass::erratic;
  return even ? DemandClass::intermittent : DemandClass::lumpy;
}

const std::vector<std::string>& profile_groups() {
  static const std::vector<std::string> names{"demand_class", "volume", "age"};
  return names;
}

Grouping group_by_profile(const std::string& name, std::span<const SeriesProfile> profiles,
                          std::int64_t horizon) {
  if (name == "demand_class") return by_class(profiles);
  if (name == "volume") return by_volume(profiles);
  SHELFCAST_ASSERT(name == "age");
  return by_age(profiles, horizon);
}

}  // namespace shelfcast::eval
