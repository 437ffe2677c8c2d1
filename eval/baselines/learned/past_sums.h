// Sums over a series' past in constant time, whatever the origin.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace shelfcast::eval {

struct Mean {
  double sum = 0.0;
  std::int64_t count = 0;
  // NaN of nothing.
  double value() const;
};

// Means of the observed values in any stretch of steps.
class RunningMean {
 public:
  // NaN = not observed.
  explicit RunningMean(std::span<const float> values);
  // Of steps [first, end); what lies outside the series counts as not observed.
  Mean of(std::int64_t first, std::int64_t end) const;

 private:
  std::vector<double> sum_;
  std::vector<std::int32_t> count_;
};

// What was sold: in stretches of steps, and on the same step of each season.
class PastSums {
 public:
  PastSums(std::span<const float> demand, std::int64_t season);

  Mean of(std::int64_t first, std::int64_t end) const { return all_.of(first, end); }
  // Steps of [first, end) that were observed as 0.
  std::int64_t zeros(std::int64_t first, std::int64_t end) const;
  // Of the steps t in [first, end) with t mod season = step mod season.
  Mean same_step(std::int64_t step, std::int64_t first, std::int64_t end) const;
  // The last step before `end` that was observed, and that was observed above 0; or -1.
  std::int64_t last_observed(std::int64_t end) const;
  std::int64_t last_sale(std::int64_t end) const;

 private:
  std::int64_t season_;
  RunningMean all_;
  std::vector<std::int32_t> zeros_;
  std::vector<std::int64_t> last_observed_, last_sale_;
  std::vector<RunningMean> by_step_;  // of each step of the season, its steps one after another
};

// Means over the past steps that were alike.
class RegimeMeans {
 public:
  // regimes[t] names what step t was like; steps whose demand is NaN are left out.
  RegimeMeans(std::span<const float> demand, std::span<const std::uint64_t> regimes);
  // Of the steps t in [first, end) of this regime.
  Mean of(std::uint64_t regime, std::int64_t first, std::int64_t end) const;

 private:
  struct Seen {
    std::vector<std::int64_t> steps;  // ascending
    std::vector<double> sums;         // of all before each, and of all
  };
  std::unordered_map<std::uint64_t, Seen> seen_;
};

}  // namespace shelfcast::eval
