// New tables and the corpus that they extend.
#pragma once

#include <filesystem>

#include "data/ingest/long_table.h"
#include "data/ingest/panel.h"

namespace shelfcast::data {

// How a table goes on with series that the corpus has: what its map says of gaps and fills. Formats without a
// map leave gaps missing.
struct Continuation {
  bool gaps_are_zero = false;
  std::vector<std::pair<std::string, Fill>> fills;  // covariates per series that have one

  static Continuation of(const LongMap& map);
};

// Adds the steps after the corpus' last observed demand, and series it does not have, so that the corpus
// becomes what one ingest of all tables together would have made of it (its series in the order in which they
// came). The panel may repeat older steps: they stay as they are. Covariates and statics must be the corpus'
// own; a static of a series that is there stays what it was. Nothing new: the corpus is not touched. Killed
// at any point it leaves the old corpus or the new. Throws Error(input) when the panel does not fit the
// corpus, or when another process changes it now; Error(io).
void extend_corpus(const Panel& panel, const Continuation& continuation, const std::filesystem::path& folder);

}  // namespace shelfcast::data
