// What validation taught about the probabilities of summed demand: a monotone map of levels for each interval
// length.
#pragma once

#include <array>
#include <map>
#include <span>
#include <vector>

namespace shelfcast::scorer {

class Recalibration {
 public:
  static constexpr std::array<double, 17> kLevels = {0.0, 0.01, 0.025, 0.05, 0.1,  0.2,   0.3,  0.4, 0.5,
                                                     0.6, 0.7,  0.8,   0.9,  0.95, 0.975, 0.99, 1.0};

  // Until something is fitted or set, levels stay as they are.
  Recalibration() = default;

  // From the PITs of realised sums over `days` days within their uncalibrated distributions: at level p the
  // calibrated quantile is the uncalibrated one at the p-quantile of the PITs. Few PITs are mixed with the
  // identity, which counts as fifty of them. Throws Error(input) without PITs.
  void fit(int days, std::vector<double> pits);
  // Values at kLevels, as stored in a bundle. Throws Error(data) when they do not increase from 0 to 1.
  void set(int days, std::vector<double> values);

  // The uncalibrated level to read for level `p`; between fitted lengths straight lines, beyond them the
  // nearest.
  double level(double p, int days) const;
  // By length in days, at kLevels.
  const std::map<int, std::vector<double>>& maps() const { return maps_; }

 private:
  std::map<int, std::vector<double>> maps_;
};

// As stored in a bundle: one row of 1 + kLevels.size() numbers for each length, the length first.
std::vector<float> to_rows(const Recalibration& recalibration);
// Inverse; empty rows make the identity. Throws Error(data) when the numbers are no such rows.
Recalibration from_rows(std::span<const float> rows);

}  // namespace shelfcast::scorer
