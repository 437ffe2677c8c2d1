// The error sums of one forecaster over a range of series: by series, by origin and by horizon step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/metrics.h"

namespace shelfcast::eval {

// What a table covers. Windows are [first_series, first_series + series) by all origins by all horizon steps.
struct TableShape {
  std::int64_t first_series = 0, series = 0;
  std::int64_t origins = 0, horizon = 0;
};

// Memory is O(series + origins + horizon), not windows. The same type holds a batch's part and the whole: a
// batch is added to the whole in batch order, whichever rank computed it, so the last digit does not depend
// on ranks.
class ErrorTable {
 public:
  ErrorTable(ErrorLayout layout, TableShape shape);

  const ErrorLayout& layout() const { return layout_; }
  const TableShape& shape() const { return shape_; }

  // One judged step of series `series` (absolute) at origin number `origin`, horizon step `step` (from 0).
  // Returns what it added, valid until the next call.
  std::span<const double> add(std::int64_t series, std::int64_t origin, std::int64_t step,
                              const Judged& judged);
  // Adds a part whose series lie within this table's.
  void merge(const ErrorTable& part);

  std::span<const double> series(std::int64_t series) const;  // absolute number
  std::span<const double> origin(std::int64_t origin) const;
  std::span<const double> step(std::int64_t step) const;
  // The sums of `levels` groups of series, each in series order; `level_of` has one level per series of the
  // table.
  std::vector<std::vector<double>> by_level(std::span<const std::size_t> level_of, std::size_t levels) const;
  // The sum over all series, in series order.
  std::vector<double> total() const;

  // As plain doubles for the other ranks: appended to `out`, and taken off the front of `in`.
  void pack(std::vector<double>& out) const;
  static ErrorTable unpack(std::span<const double>& in);

 private:
  ErrorLayout layout_;
  TableShape shape_;
  std::vector<double> by_series_, by_origin_, by_step_;
  std::vector<double> delta_;  // one step's contribution
};

}  // namespace shelfcast::eval
