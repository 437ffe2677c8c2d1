// The `data` block of a recipe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/dates.h"
#include "data/corpus.h"

namespace shelfcast::data {

// A table of texts with their labels, a row each.
struct LabelsConfig {
  std::string table;       // CSV or Parquet file, or a folder of them; empty = none
  std::string text;        // column of the texts
  std::string text_class;  // key `class`: column of a class of the whole text; empty = no such head
  // Column of tags, one for each word of the text, parted by spaces; empty = no such head.
  std::string tags;
  // Column that says train, validation or test (left out); empty = held-out texts are drawn.
  std::string split;

  // Throws Error(input) naming the field.
  void validate() const;
};

struct DataConfig {
  std::string corpus;                 // path of the corpus folder
  std::string target;                 // covariate that is forecast in place of demand; empty = demand
  LabelsConfig labels;                // of train.task text_labels, which reads no corpus
  std::int64_t context = 224;         // steps the model looks back on
  std::int64_t horizon = 28;          // steps it forecasts
  std::int64_t min_context = 1;       // earliest origin of a training window, in steps from the corpus' start
  std::vector<std::string> known;     // covariates known ahead
  std::vector<std::string> past;      // covariates known only afterwards
  std::vector<std::string> calendar;  // derived, known ahead: weekday, month, monthday, yearday
  std::vector<std::string> statics;   // key `static`: facts per series
  std::string censored;  // past covariate that is 1 where sales were cut by a stock-out: those steps are
                         // not observed demand (masked in context and target); empty = none
  // Of `known`, the one that is 0 where nothing can be sold (a closed store): such steps are not observed
  // demand, and are forecast as 0; empty = none.
  std::string open;
  // Past covariate that is the stock on hand at each step's end, to be forecast beside demand; empty = none.
  std::string inventory;
  bool text = false;                   // product texts
  std::optional<Date> train_until;     // first date not trained on; default: what is left after validation
  std::optional<Date> validate_until;  // first date not validated on; default: see trainer
  std::int64_t recent =
      0;                // trained on: windows whose targets lie in so many steps before train_until; 0 = all
  double replay = 0.0;  // share of windows from before them, against forgetting
  std::int64_t shots =
      0;  // few-shot: windows of a series that are trained on, the same in each epoch; 0 = all
  std::int64_t superblock = 64;    // chunks in one shuffle buffer (K of the sampler)
  std::int64_t chunk_series = 64;  // series in one shuffle chunk

  CorpusSource source() const { return {corpus, target}; }
  // Throws Error(input) naming the field.
  void validate() const;
};

}  // namespace shelfcast::data
