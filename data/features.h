// Which columns a model sees, with everything needed to make them again elsewhere: vocabularies and fitted
// scalers.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/config.h"
#include "data/corpus.h"

namespace shelfcast::data {

// How a numeric covariate becomes a model input. Fitted on steps before the training cut-off only.
// standard:  (x - mean) / std (promotions, temperatures, counts)
// log_ratio: (log x - mean over the window's context of log x) / std (strictly positive per-series columns:
//            prices)
// none:      x (already scaled: sine and cosine of the calendar)
// raw:       x, for models that scale every window themselves
// A missing value stays NaN.
struct Scaler {
  enum class Kind { standard, log_ratio, none, raw } kind = Kind::none;
  float mean = 0.0F, std = 1.0F;
};

struct FeatureColumn {
  std::string name;  // covariate name, or "calendar.weekday" and the like
  Kind kind = Kind::numeric;
  std::string per = "series";  // as CovariateInfo::per; calendar columns are "all"
  Scaler scaler;               // numeric
  std::vector<std::string>
      vocabulary;  // categorical; model code = vocabulary index + 1, 0 = unknown or missing
};

struct StaticColumn {
  std::string name;
  std::vector<std::string> vocabulary;  // model code = vocabulary index + 1, 0 = unknown
};

// A fact of a series that is a number: the model reads two, (x - mean) / std, 0 where it is missing, and 1
// where it is missing, else 0. Fitted on all series of the corpus.
struct NumericStatic {
  std::string name;
  float mean = 0.0F, std = 1.0F;

  std::array<float, 2> model_numbers(float value) const;
};

// Product texts as vectors.
struct TextColumn {
  std::int64_t width = 0;  // 0 = the model reads no text
  std::string encoder;     // digest of what makes the vectors: weights, tokenizer, settings
};

// The columns in the order the model sees them. Numeric and categorical columns are separate because they are
// separate tensors.
struct FeatureSpec {
  std::int64_t context = 0, horizon = 0;
  Frequency frequency = Frequency::daily;
  std::vector<FeatureColumn> past_numeric, past_categorical;
  std::vector<FeatureColumn> known_numeric, known_categorical;
  std::vector<StaticColumn> statics;  // categories
  std::vector<NumericStatic> static_numbers;
  std::string open;  // of known_numeric, 0 where nothing can be sold (scaled: -1); empty = none
  std::string censored;
  std::string inventory;  // covariate that batches have as it is, over context and horizon; empty = none
  TextColumn text;        // make_features() leaves it empty: encoders are not known here
};

// Round trip through JSON (features.json in a run folder and in a bundle). from_json throws Error(data).
nlohmann::json to_json(const FeatureSpec& spec);
FeatureSpec feature_spec_from_json(const nlohmann::json& json);

// Resolves a recipe's names against a corpus and fits the scalers on steps < train_end.
// Throws Error(input) naming the column and the nearest name when the corpus lacks it, or when its role does
// not fit (a `past` covariate listed as known would leak the future).
FeatureSpec make_features(const DataConfig& config, const Corpus& corpus, std::int64_t train_end);

// The columns data.known and data.past as they stand in the corpus, nothing fitted and whole vocabularies:
// for models that were trained elsewhere. Throws as make_features().
FeatureSpec make_raw_features(const DataConfig& config, const Corpus& corpus);

}  // namespace shelfcast::data
