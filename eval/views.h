// Views of a daily corpus by calendar week and month: truth and forecasts added up over the whole periods
// that lie in a horizon.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "eval/config.h"
#include "eval/error_table.h"

namespace shelfcast::eval {

// Steps [first, end) from an origin on.
struct Period {
  std::int64_t first = 0, end = 0;
};

struct View {
  std::string name;                          // "week" (Monday to Sunday), "month"
  std::vector<std::vector<Period>> periods;  // [origin]: those that lie in its horizon from first to last day
  std::int64_t most = 0;                     // of an origin
};

// The group of a view's errors by another group: "week/category".
std::string view_group(const std::string& view, const std::string& group);

// "week" and "month".
const std::vector<std::string>& view_names();

// Those that config.views names. Throws Error(input) when the corpus is not daily or no origin has a whole
// period.
std::vector<View> make_views(const BacktestConfig& config, const data::CorpusInfo& info,
                             const std::vector<std::int64_t>& origins);

// Adds one window's periods to `table`, whose horizon steps are the periods of the origin. The forecast of a
// sum is the sum of the means, which is its mean; quantiles cannot be added, so it is judged as a point
// forecast. A period with a target that was not observed (NaN) is left out. `mean`, `target` [horizon].
void add_periods(const View& view, std::int64_t series, std::int64_t origin, std::span<const float> mean,
                 std::span<const float> target, ErrorTable& table);

// Of all scores those that a view has: no scale of sums is known, so neither MASE, RMSSE nor SQL.
std::vector<Score> view_scores(const ErrorLayout& layout, std::span<const double> sums);

}  // namespace shelfcast::eval
