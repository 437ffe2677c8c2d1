// A table of recent sales to forecast from: long (one row a series and date) or wide (one row a series, one
// column a date).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/dates.h"
#include "data/corpus.h"

namespace shelfcast::data {

struct SalesTable {
  std::vector<std::string> series;  // in order of appearance
  TimeAxis axis;
  std::int64_t steps = 0;       // all dates of the table; rows without a value (known futures) count
  std::int64_t demand_end = 0;  // one after the last step with any value
  std::vector<float> demand;    // [series, steps], NaN = missing

  struct Column {
    std::string name;
    std::vector<std::string> vocabulary;  // its texts, trimmed
    std::vector<std::int32_t> codes;      // [series, steps], of these; -1 = an empty cell
    // Of the texts up to the first that is no number; NaN = it stands for a missing one ("NA", "none").
    std::vector<float> numbers;

    // Numeric when every text is a number, or for a missing one.
    Kind kind() const { return numbers.size() == vocabulary.size() ? Kind::numeric : Kind::categorical; }
  };
  std::vector<Column> covariates;  // long tables only
};

// Long: columns `series`, `date` and `value`, every further column a covariate; an empty value is missing,
// and rows after the last value give the known future. Wide: each column named by a date holds its values,
// the others, joined by "/", name the series. Dates are ISO. `frequency` is what the forecaster works with;
// without it, it is taken from the dates. Throws Error(input) naming file and row: missing column, unparsable
// date or number, two rows of one series and date, dates off the frequency's grid, an empty table, no value
// at all.
// What a column means, its reader decides: "7" and "none" are numbers to one and words to another.
SalesTable read_sales_table(const std::filesystem::path& path, std::optional<Frequency> frequency = {});

}  // namespace shelfcast::data
