// What learned baselines are told of a step they forecast: a row of numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/features.h"
#include "eval/baselines/learned/past_sums.h"

namespace shelfcast::eval {

// The columns a model reads, as they stand in a corpus.
struct LearnedColumns {
  struct Covariate {
    std::string name;
    std::size_t index = 0;  // in the corpus
    bool categorical = false;
  };
  std::vector<Covariate> known, past, past_categories;  // past: numbers
  std::vector<std::string> statics, static_numbers;

  // Calendar columns are left out: every row has them. Throws Error(input) for a name that the corpus lacks.
  static LearnedColumns of(const data::FeatureSpec& spec, const data::CorpusInfo& info);
};

// Makes rows from the whole history before an origin and what is known ahead. One per rank; owns a handle on
// the corpus, so load() is called from one thread; make() from any.
//
// Everything that is measured in demand stands relative to a base level, log(1 + x) - log(1 + base), so that
// series of all sizes can share one model. The base is the mean of what was sold on steps like the one
// forecast: the same step of the season, the same categories and flags known ahead; of the last 26 seasons if
// there were three such steps, else of all; else the season's mean, else the mean of all, else 0. It is never
// below a twentieth of the mean of all, so that one sale on a day like those without any is no outlier.
class FeatureMaker {
 public:
  // Steps of covariate spec.censored that are 1 do not count as observed.
  FeatureMaker(const data::CorpusSource& corpus, const data::FeatureSpec& spec, std::int64_t season);

  const std::vector<std::string>& names() const { return names_; }
  // Features that are numbers of categories, without an order.
  const std::vector<bool>& categorical() const { return categorical_; }
  const data::CorpusInfo& info() const { return corpus_.info(); }

  // Reads series [first, first + count); what was loaded before is gone. Steps before `from` count as not
  // observed, their numeric covariates as missing.
  void load(std::int64_t first, std::int64_t count, std::int64_t from = 0);
  // Of a loaded series; NaN = not observed, or beyond the corpus.
  float demand(std::int64_t series, std::int64_t step) const;
  // Steps of a loaded series that were observed before `step`.
  std::int64_t observed_before(std::int64_t series, std::int64_t step) const;
  // Fills `row` (names().size() numbers, NaN = unknown) for step origin + ahead of a loaded series and
  // returns the base level. Demand and past columns from the origin on are never looked at. Where the last
  // steps before the origin were not observed, the series is seen from the step after the last one that was.
  double make(std::int64_t series, std::int64_t origin, std::int64_t ahead, float* row) const;

 private:
  class Row;
  // The step of a series that a row is about, and what came before it on steps alike.
  struct Place {
    std::int64_t series, origin, ahead, step;
    bool there;              // within the corpus
    Mean alike, ever_alike;  // of the last seasons, of all
  };
  void name_features();
  void hide_before(std::int64_t from);
  std::size_t local(std::int64_t series) const;
  Place place(std::int64_t series, std::int64_t origin, std::int64_t ahead) const;
  double base_level(const Place& place) const;
  void write_known(const Place& place, Row& row) const;
  void write_demand(const Place& place, Row& row) const;
  void write_last_year(const Place& place, Row& row) const;
  std::uint64_t regime(std::int64_t series, std::int64_t step) const;

  data::Corpus corpus_;
  LearnedColumns columns_;
  std::vector<std::size_t> read_;  // covariates in the block: known, past, its categories, the censoring one
  bool censored_ = false;
  std::int64_t season_, year_;  // steps
  std::vector<std::string> names_;
  std::vector<bool> categorical_;
  std::vector<std::span<const std::int32_t>> static_codes_;
  std::vector<std::span<const float>> static_numbers_;
  std::vector<std::vector<float>> calendar_;  // [column][step]
  data::PanelBlock block_;
  std::vector<PastSums> sums_;                  // of each loaded series
  std::vector<std::vector<RunningMean>> past_;  // [series][past column]
  std::vector<RegimeMeans> regimes_;            // of each loaded series
};

}  // namespace shelfcast::eval
