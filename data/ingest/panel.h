// A panel on its way into a corpus: its tables, and its rows made on request, a block of series at a time.
#pragma once

#include <functional>
#include <vector>

#include "data/corpus_writer.h"

namespace shelfcast::data {

// How several values become one: the rows of one (series, date), or the days of one week.
enum class Aggregate { sum, mean, last, first };

// Plain values but for `fill`, which owns what it needs; not thread-safe.
struct Panel {
  CorpusInfo info;
  SeriesTable table;
  std::vector<Aggregate> aggregates;       // per covariate: how coarser steps are made of it
  std::vector<std::vector<float>> shared;  // per covariate: [rows, steps] when not per series, else empty
  std::vector<Document> documents;
  std::int64_t days_left_out = 0;  // at the beginning, of a period that is not whole (to_frequency)
  // Makes the rows of series [first, first + series); reuses `rows`' memory.
  std::function<void(std::int64_t first, std::int64_t series, PanelRows& rows)> fill;
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
