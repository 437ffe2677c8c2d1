#include "eval/baselines/learned/past_sums.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shelfcast::eval {
namespace {

std::vector<RunningMean> split_by_step(std::span<const float> demand, std::int64_t season) {
  std::vector<RunningMean> means;
  for (std::int64_t step = 0; step < season; ++step) {
    std::vector<float> own;
    for (std::int64_t t = step; t < std::ssize(demand); t += season)
      own.push_back(demand[static_cast<std::size_t>(t)]);
    means.emplace_back(own);
  }
  return means;
}

}  // namespace

double Mean::value() const {
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

RunningMean::RunningMean(std::span<const float> values) : sum_(values.size() + 1), count_(values.size() + 1) {
  for (std::size_t t = 0; t < values.size(); ++t) {
    const bool observed = !std::isnan(values[t]);
    sum_[t + 1] = sum_[t] + (observed ? static_cast<double>(values[t]) : 0.0);
    count_[t + 1] = count_[t] + (observed ? 1 : 0);
  }
}

Mean RunningMean::of(std::int64_t first, std::int64_t end) const {
  const auto clamped = [&](std::int64_t step) {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(step, 0, std::ssize(sum_) - 1));
  };
  const std::size_t from = clamped(first), to = clamped(end);
  if (from >= to) return {};
  return {sum_[to] - sum_[from], count_[to] - count_[from]};
}

PastSums::PastSums(std::span<const float> demand, std::int64_t season)
    : season_(season),
      all_(demand),
      zeros_(demand.size() + 1),
      last_observed_(demand.size() + 1, -1),
      last_sale_(demand.size() + 1, -1) {
  for (std::size_t t = 0; t < demand.size(); ++t) {
    zeros_[t + 1] = zeros_[t] + (demand[t] == 0.0F ? 1 : 0);
    last_observed_[t + 1] = std::isnan(demand[t]) ? last_observed_[t] : static_cast<std::int64_t>(t);
    last_sale_[t + 1] = demand[t] > 0.0F ? static_cast<std::int64_t>(t) : last_sale_[t];
  }
  by_step_ = split_by_step(demand, season);
}

std::int64_t PastSums::zeros(std::int64_t first, std::int64_t end) const {
  const std::int64_t last = std::ssize(zeros_) - 1;
  first = std::clamp<std::int64_t>(first, 0, last);
  end = std::clamp<std::int64_t>(end, first, last);
  return zeros_[static_cast<std::size_t>(end)] - zeros_[static_cast<std::size_t>(first)];
}

Mean PastSums::same_step(std::int64_t step, std::int64_t first, std::int64_t end) const {
  const std::int64_t phase = (step % season_ + season_) % season_;
  // Number of steps phase, phase + season, ... below `bound`.
  const auto below = [&](std::int64_t bound) {
    return bound <= phase ? std::int64_t{0} : (bound - phase + season_ - 1) / season_;
  };
  return by_step_[static_cast<std::size_t>(phase)].of(below(first), below(end));
}

std::int64_t PastSums::last_observed(std::int64_t end) const {
  return last_observed_[static_cast<std::size_t>(
      std::clamp<std::int64_t>(end, 0, std::ssize(last_observed_) - 1))];
}

std::int64_t PastSums::last_sale(std::int64_t end) const {
  return last_sale_[static_cast<std::size_t>(std::clamp<std::int64_t>(end, 0, std::ssize(last_sale_) - 1))];
}

RegimeMeans::RegimeMeans(std::span<const float> demand, std::span<const std::uint64_t> regimes) {
  for (std::size_t t = 0; t < demand.size(); ++t) {
    if (std::isnan(demand[t])) continue;
    Seen& seen = seen_[regimes[t]];
    if (seen.sums.empty()) seen.sums.push_back(0.0);
    seen.steps.push_back(static_cast<std::int64_t>(t));
    seen.sums.push_back(seen.sums.back() + static_cast<double>(demand[t]));
  }
}

Mean RegimeMeans::of(std::uint64_t regime, std::int64_t first, std::int64_t end) const {
  const auto found = seen_.find(regime);
  if (found == seen_.end() || first >= end) return {};
  const Seen& seen = found->second;
  const auto place = [&](std::int64_t step) {
    return std::ranges::lower_bound(seen.steps, step) - seen.steps.begin();
  };
  const auto from = place(first), to = place(end);
  return {seen.sums[static_cast<std::size_t>(to)] - seen.sums[static_cast<std::size_t>(from)], to - from};
}

}  // namespace shelfcast::eval
