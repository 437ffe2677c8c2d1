#include "scorer/orders/recalibration.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::scorer {
namespace {

constexpr double kIdentityWeight = 50.0;  // PITs

// The p-quantile of sorted values that live in (0, 1), with 0 and 1 as the outermost order statistics.
double quantile_of(const std::vector<double>& sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() + 1);
  const auto below = static_cast<std::size_t>(position);
  const double low = below == 0 ? 0.0 : sorted[std::min(below, sorted.size()) - 1];
  const double high = below >= sorted.size() ? 1.0 : sorted[below];
  return p >= 1.0 ? 1.0 : low + (position - std::floor(position)) * (high - low);
}

double along(const std::vector<double>& values, double p) {
  const auto& levels = Recalibration::kLevels;
  const auto above =
      std::clamp<std::ptrdiff_t>(std::upper_bound(levels.begin(), levels.end(), p) - levels.begin(), 1,
                                 static_cast<std::ptrdiff_t>(levels.size()) - 1);
  const auto i = static_cast<std::size_t>(above);
  const double share = (p - levels[i - 1]) / (levels[i] - levels[i - 1]);
  return values[i - 1] + share * (values[i] - values[i - 1]);
}

}  // namespace

void Recalibration::fit(int days, std::vector<double> pits) {
  if (pits.empty())
    throw input_error(fmt::format("demand over {} days cannot be recalibrated", days),
                      "no validation origin has it whole",
                      "recalibrate shorter intervals or add validation origins");
  std::sort(pits.begin(), pits.end());
  const auto n = static_cast<double>(pits.size());
  std::vector<double> values;
  values.reserve(kLevels.size());
  for (const double level : kLevels)
    values.push_back((n * quantile_of(pits, level) + kIdentityWeight * level) / (n + kIdentityWeight));
  set(days, std::move(values));
}

void Recalibration::set(int days, std::vector<double> values) {
  SHELFCAST_ASSERT(days >= 1);
  const bool whole = values.size() == kLevels.size() && values.front() == 0.0 && values.back() == 1.0;
  if (!whole || !std::is_sorted(values.begin(), values.end()))
    throw data_error(fmt::format("the recalibration of {} days is damaged", days),
                     fmt::format("it must be {} numbers that rise from 0 to 1", kLevels.size()),
                     "export the bundle again");
  maps_[days] = std::move(values);
}

double Recalibration::level(double p, int days) const {
  if (maps_.empty()) return p;
  const auto above = maps_.lower_bound(days);
  if (above == maps_.end()) return along(std::prev(above)->second, p);
  if (above->first == days || above == maps_.begin()) return along(above->second, p);
  const auto below = std::prev(above);
  const double share = static_cast<double>(days - below->first) / (above->first - below->first);
  return (1.0 - share) * along(below->second, p) + share * along(above->second, p);
}

std::vector<float> to_rows(const Recalibration& recalibration) {
  std::vector<float> rows;
  for (const auto& [days, values] : recalibration.maps()) {
    rows.push_back(static_cast<float>(days));
    rows.insert(rows.end(), values.begin(), values.end());
  }
  return rows;
}

Recalibration from_rows(std::span<const float> rows) {
  constexpr std::size_t kRow = 1 + Recalibration::kLevels.size();
  if (rows.size() % kRow != 0)
    throw data_error("the recalibration of a bundle is damaged",
                     fmt::format("{} numbers are no rows of {}", rows.size(), kRow),
                     "export the bundle again");
  Recalibration recalibration;
  for (std::size_t first = 0; first < rows.size(); first += kRow)
    recalibration.set(static_cast<int>(rows[first]),
                      std::vector<double>(rows.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                                          rows.begin() + static_cast<std::ptrdiff_t>(first + kRow)));
  return recalibration;
}

}  // namespace shelfcast::scorer
