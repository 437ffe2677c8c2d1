// Rows to learn from.
#pragma once

#include <cstdint>
#include <vector>

namespace shelfcast::eval {

struct LearningTable {
  std::int64_t columns = 0;
  std::vector<float> features;  // [rows, columns], NaN = unknown
  std::vector<float> targets;   // [rows]
  std::int64_t rows() const { return static_cast<std::int64_t>(targets.size()); }
};

// A fitted model of one number. Immutable; predictions of a row depend on that row alone.
class Regressor {
 public:
  virtual ~Regressor() = default;
  // `out` [rows].
  virtual void predict(const float* features, std::int64_t rows, std::int64_t threads, float* out) const = 0;
};

}  // namespace shelfcast::eval
