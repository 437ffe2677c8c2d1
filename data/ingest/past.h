// Where a table meets the corpus that it goes on with.
#pragma once

#include "data/ingest/panel.h"

namespace shelfcast::data {

// The panel with the corpus' series in front, whose gaps and fills go on from what the corpus holds, so that
// it is, from the end of the corpus' demand on, what one ingest of all tables would make of it. Before
// to_frequency: days go on from days. Throws Error(input) when days are to be summed and the table begins
// after the first day that the corpus does not hold yet: the days before the table would be lost.
Panel go_on_from(Panel panel, const Corpus& corpus);

}  // namespace shelfcast::data
