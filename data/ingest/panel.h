// A panel on its way into a corpus: its tables, and its rows made on request, a block of series at a time.
#pragma once

#include <functional>
#include <vector>

#include "data/corpus_writer.h"

namespace shelfcast::data {

// How several values become one: the rows of one (series, date), or the days of one week.
enum class Aggregate { sum, mean, last, first };

// A date without a row between a series' first demand and the end of all demand.
enum class Gaps { missing, zero };
// A covariate's value on a date without one: missing, 0, or that of the date before.
enum class Fill { none, zero, previous };

// Which cells a table itself holds, in the order of PanelRows; its map's rules made the others.
struct Said {
  std::vector<bool> demand;                   // [series, steps]
  std::vector<std::vector<bool>> covariates;  // per covariate with per == "series": [series, steps]
};

// What a corpus knows of its series before a table that goes on with them. Dates are days, whatever the
// corpus' steps are.
struct Past {
  static constexpr Date kNever = Date::max();

  std::vector<std::string> names;  // [series]
  Date start{}, demand_end{};      // its first day, and the first after its last demand
  Date end{};                      // the first day after its steps
  std::vector<Date> begun;  // [series]: a day on or after the first demand and before any gap that matters
  std::vector<bool> observed_at_end;  // [series]: on the last day of demand; of sums of days: no
  // Per covariate of the table that is filled with the date before, else empty: [series], the value on
  // the last day of demand, in codes of `vocabularies` (per covariate of the table: its words, then the
  // corpus').
  std::vector<std::vector<float>> last;
  std::vector<std::vector<std::string>> vocabularies;
};

// Plain values but for the functions, which own what they need; not thread-safe.
struct Panel {
  CorpusInfo info;
  SeriesTable table;
  std::vector<Aggregate> aggregates;       // per covariate: how coarser steps are made of it
  std::vector<std::vector<float>> shared;  // per covariate: [rows, steps] when not per series, else empty
  std::vector<Document> documents;
  Gaps gaps = Gaps::missing;
  std::vector<Fill> fills;  // per covariate; empty = none
  bool summed = false;      // its steps are sums of days (to_frequency)
  bool continues = false;   // a corpus goes on with it: it may be without any demand
  // Makes the rows of series [first, first + series); reuses `rows`' memory.
  std::function<void(std::int64_t first, std::int64_t series, PanelRows& rows)> fill;
  // Which of those cells the table holds; empty = all that are not missing.
  std::function<void(std::int64_t first, std::int64_t series, Said& said)> said;
  // The same table as it goes on from a past: series of the past first, then new ones; steps begin where the
  // past's demand ends, or earlier, and reach to the past's end. Takes what this panel holds. Empty = the
  // table says all there is to know.
  std::function<Panel(Past past)> go_on;
};

// Keeps the first `series` series. Statics and shared covariates keep all their levels.
Panel limit_series(Panel panel, std::int64_t series);

// Keeps the steps up to `until`, that day included.
Panel limit_time(Panel panel, Date until);

// How many series to fill at a time, so that memory stays bounded.
std::int64_t series_per_block(const CorpusInfo& info);

// Sizes `rows` for `series` series of `panel`, all missing.
void clear_rows(const CorpusInfo& info, std::int64_t series, PanelRows& rows);

}  // namespace shelfcast::data
