// How forecast errors of the horizon's steps move together, estimated on windows that training has not seen:
// what the distribution of summed demand needs beside the quantiles of single steps.
#pragma once

#include "data/corpus.h"
#include "scorer/bundle.h"
#include "trainer/text/series_texts.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {

// Counts where every demand that the corpus observes is whole, else continuous. Reads all of it.
scorer::DemandKind kind_of_demand(const data::Corpus& corpus);

struct DemandDependence {
  scorer::CopulaParameters parameters;
  std::int64_t windows = 0;  // unseen windows it was estimated on
};

// Forecasts windows after the training cut-off, up to the last day of demand, turns each observed step into
// its place in the forecast distribution (randomised PIT), estimates the correlation of their normal scores -
// demand that stock-outs hid is drawn above what was sold, given the other steps -, and then fits, for sums
// over 1, 7, 14, ... steps, how wide the summed forecasts must be to hold what they promise
// (scorer::Recalibration). Without such windows steps are taken as independent and a warning says so. `kind`
// is what kind_of_demand() says of the corpus: only counts are rounded to whole units.
DemandDependence estimate_dependence(const TrainedRun& run, const data::Corpus& corpus,
                                     const SeriesTexts& texts, scorer::DemandKind kind);

}  // namespace shelfcast::trainer
