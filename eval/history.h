// What is known of each series before an origin: the scales of MASE and RMSSE, and how much of the history
// was observed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace shelfcast::eval {

// Of the changes y_t - y_(t-season) over the pairs of observed steps before an origin; NaN where there is no
// such pair.
struct SeasonalScale {
  double absolute = 0.0;  // mean |change|
  double squared = 0.0;   // mean change^2
};

// One scale per origin (ascending). Steps at or after an origin are never looked at for it.
std::vector<SeasonalScale> seasonal_scales(std::span<const float> demand, std::int64_t season,
                                           std::span<const std::int64_t> origins);

// How much of a panel is there to see, over all steps of demand.
struct Coverage {
  double cells = 0.0, missing = 0.0, zeros = 0.0;
};

// Reads the whole histories of a range of series (not just the model's context) and scales them. Where the
// model does not count a step as observed because of a stock-out (`censored`), neither does the scale. One
// per rank; owns a handle on the corpus, so it is used from one thread.
class HistoryReader {
 public:
  HistoryReader(const data::CorpusSource& corpus, const std::string& censored, std::int64_t season,
                std::vector<std::int64_t> origins, const std::vector<std::size_t>& covariates = {});

  const data::Corpus& corpus() const { return corpus_; }

  // Loads series [first, first + count); what was loaded before is gone.
  void load(std::int64_t first, std::int64_t count);
  // All of a loaded series' demand, NaN = not observed; valid until the next load().
  std::span<const float> demand(std::int64_t series) const;
  // All of a loaded series' values of covariate number `index` of those asked for, NaN = missing.
  std::span<const float> covariate(std::size_t index, std::int64_t series) const;
  // Of a loaded series at origin number `origin`; 0 or NaN: no scale.
  SeasonalScale scale(std::int64_t series, std::size_t origin) const;
  // Of a loaded series.
  Coverage coverage(std::int64_t series) const;

 private:
  void mask_censored();

  data::Corpus corpus_;
  std::vector<std::size_t> columns_;  // what is read: the censoring covariate, where there is one, and others
  bool censored_;
  std::int64_t season_;
  std::vector<std::int64_t> origins_;
  data::PanelBlock block_;
  std::vector<SeasonalScale> scales_;  // [series, origin]
};

}  // namespace shelfcast::eval
