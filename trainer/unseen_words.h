// Categories that a model meets where it forecasts and never saw where it was trained.
#pragma once

#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/features.h"

namespace shelfcast::trainer {

// Of one column or static: the model reads each of them as its bucket for what is unknown or missing.
struct UnseenWords {
  std::string column;
  std::int64_t count = 0;  // of whatever the maker of this counts
  std::string first;       // one of them
};

// For each column and static of the model the words of the corpus' vocabulary that the model lacks.
std::vector<UnseenWords> unseen_words(const data::FeatureSpec& spec, const data::CorpusInfo& corpus);

}  // namespace shelfcast::trainer
