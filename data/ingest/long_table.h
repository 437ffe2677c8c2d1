// Any long table (one row per series and date, or per invoice line) through a mapping of its columns
// (docs/ingest.md).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/dates.h"
#include "data/ingest/panel.h"

namespace shelfcast::data {

// Several rows of one series on one date: an error that names two of them, or combined.
enum class Duplicates { error, sum, mean, last };
// What a negative target (a return) means: an error; kept as it is; its row left out; or kept, but a date's
// sum below 0 becomes 0.
enum class Negative { error, keep, drop, clip };

struct LongMap {
  struct Covariate {
    std::string name, column;
    Role role = Role::known;
    Kind kind = Kind::numeric;
    std::string per = "series";             // "series", "all", or the name of a static
    Aggregate aggregate = Aggregate::mean;  // of several rows of a date; categorical: last (default) or first
    Fill fill = Fill::none;                 // per series only
  };
  struct Static {
    std::string name, column;
    Kind kind = Kind::categorical;
  };
  // A condition that a row has to meet to be read at all.
  struct RowFilter {
    enum class Rule { positive, not_negative, present, matches } rule = Rule::present;
    std::string column;
    std::string pattern;  // matches: a regular expression (ECMAScript) somewhere in the text
  };

  std::vector<std::string> series;  // key columns; their values, joined by "/", name the series
  std::string date, date_format;    // an empty format means ISO dates
  std::string target;
  Negative negative = Negative::error;
  Frequency frequency = Frequency::daily;  // of the table's own dates
  Duplicates duplicates = Duplicates::error;
  Gaps gaps = Gaps::missing;
  std::vector<Covariate> covariates;
  std::vector<Static> statics;
  std::string item_level, store_level, category_level;  // names of statics
  std::string text;                                     // column of product texts; needs item_level
  std::vector<RowFilter> keep_rows;
  std::string name = "table";

  // Throws Error(input) naming the field: no key, an unknown level, two covariates of one name, ...
  void validate() const;
};

// Whether a table may hold nothing but rows with an empty target.
enum class Demand { required, optional };

// Reads the table into memory (about 20 bytes a row and 4 a covariate) and makes the panel. Rows with an
// empty target only extend the covariates: that is how known futures are given. Rows after `until` are as if
// they were not there. Throws Error(input) naming file and row.
Panel read_long_table(const std::filesystem::path& path, const LongMap& map, Demand demand = Demand::required,
                      std::optional<Date> until = {});

}  // namespace shelfcast::data
