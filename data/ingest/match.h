// How a panel fits a corpus: axes, statics, covariates, series and words.
#pragma once

#include <cstdint>
#include <vector>

#include "data/ingest/panel.h"

namespace shelfcast::data {

// Codes of one vocabulary in another that is made to hold them: code c becomes table[c + 1]; missing stays.
using Recoding = std::vector<std::int32_t>;

// The state that the corpus takes with the panel, and where in it the panel stands. Old series, words and
// steps keep their places.
struct Match {
  CorpusInfo info;                         // of the new state, with vocabularies; demand_end is the corpus'
  SeriesTable table;                       // all series, the old ones first
  std::int64_t offset = 0;                 // the panel's step 0 on the corpus' axis
  std::int64_t demand_end = 0;             // of the new state
  std::vector<std::size_t> covariate_of;   // per covariate of the corpus: the panel's
  std::vector<Recoding> recodings;         // per covariate of the corpus
  std::vector<std::size_t> per_series;     // covariates of the corpus per series
  std::vector<std::size_t> panel_column;   // per `per_series`: its place among the panel's rows
  std::vector<Recoding> static_recodings;  // per static of the corpus
  std::vector<std::int64_t> panel_row;     // per series of the new state: the panel's, or -1
};

// Throws Error(input) naming what the panel lacks or has otherwise than the corpus.
Match match(const Panel& panel, const Corpus& corpus);

}  // namespace shelfcast::data
