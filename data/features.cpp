#include "data/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "base/about.h"
#include "base/error.h"
#include "base/log.h"
#include "data/calendar.h"

namespace shelfcast::data {
namespace {

using nlohmann::json;

constexpr std::int64_t kBlockSeries = 256;  // series read at a time while fitting

// Count, mean and summed squared deviations, merged pairwise (Chan, Golub and LeVeque, 1983).
struct Moments {
  double count = 0.0, mean = 0.0, squares = 0.0;

  void merge(const Moments& other) {
    if (other.count == 0.0) return;
    const double total = count + other.count, delta = other.mean - mean;
    mean += delta * other.count / total;
    squares += other.squares + delta * delta * count * other.count / total;
    count = total;
  }
  double std() const { return count > 0.0 ? std::sqrt(squares / count) : 0.0; }
};

template <typename Transform>
Moments moments_of(std::span<const float> row, Transform transform) {
  Moments moments;
  for (const float value : row)
    if (!std::isnan(value)) {
      moments.mean += transform(value);
      moments.count += 1.0;
    }
  if (moments.count > 0.0) moments.mean /= moments.count;
  for (const float value : row)
    if (!std::isnan(value)) {
      const double deviation = transform(value) - moments.mean;
      moments.squares += deviation * deviation;
    }
  return moments;
}

// What is learnt from one covariate before the cut-off.
struct Fit {
  Moments plain;
  Moments logs;              // of log x over everything
  double log_squares = 0.0;  // of log x around the mean of its own row
  bool positive = true;
  float smallest = std::numeric_limits<float>::infinity(), largest = -smallest;
  std::vector<bool> seen;  // categories

  void add_numbers(std::span<const float> row) {
    plain.merge(moments_of(row, [](float x) { return static_cast<double>(x); }));
    for (const float x : row)
      if (!std::isnan(x)) smallest = std::min(smallest, x), largest = std::max(largest, x);
    positive = positive && std::none_of(row.begin(), row.end(), [](float x) { return x <= 0.0F; });
    if (!positive) return;
    const Moments own = moments_of(row, [](float x) { return std::log(static_cast<double>(x)); });
    logs.merge(own);
    log_squares += own.squares;
  }
  void add_codes(std::span<const float> row) {
    for (const float code : row)
      if (code >= 0.0F) seen[static_cast<std::size_t>(code)] = true;
  }
};

// Of data.open: 0 = open or missing, -1 = closed.
constexpr Scaler kOpenScaler{Scaler::Kind::standard, 1.0F, 1.0F};

// A deviation too small to divide by leaves the column as it is but for its mean.
float usable_std(double std) { return std > 1e-8 ? static_cast<float>(std) : 1.0F; }

Scaler scaler_of(const Fit& fit, const CovariateInfo& covariate) {
  if (fit.plain.count == 0.0) {
    log::warn("covariate \"{}\" is never observed before the training cut-off", covariate.name);
    return {Scaler::Kind::standard, 0.0F, 1.0F};
  }
  if (covariate.per == "series" && fit.positive)
    return {Scaler::Kind::log_ratio, static_cast<float>(fit.logs.mean),
            usable_std(std::sqrt(fit.log_squares / fit.logs.count))};
  return {Scaler::Kind::standard, static_cast<float>(fit.plain.mean), usable_std(fit.plain.std())};
}

// Reads every step before the cut-off once: per-series covariates block by block, shared ones row by row.
std::vector<Fit> fit_covariates(const Corpus& corpus, const std::vector<std::size_t>& covariates,
                                std::int64_t train_end) {
  const CorpusInfo& info = corpus.info();
  std::vector<Fit> fits(covariates.size());
  const auto add = [&](std::size_t i, std::span<const float> values, std::int64_t rows) {
    const bool categorical = info.covariates[covariates[i]].kind == Kind::categorical;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto part =
          values.subspan(static_cast<std::size_t>(row * train_end), static_cast<std::size_t>(train_end));
      categorical ? fits[i].add_codes(part) : fits[i].add_numbers(part);
    }
  };
  std::vector<std::size_t> streamed, slots;
  for (std::size_t i = 0; i < covariates.size(); ++i) {
    const CovariateInfo& covariate = info.covariates[covariates[i]];
    fits[i].seen.resize(covariate.vocabulary.size());
    if (covariate.per == "series") {
      streamed.push_back(covariates[i]);
      slots.push_back(i);
    } else {
      const std::vector<float> values = corpus.read_shared(covariates[i], 0, train_end);
      add(i, values, static_cast<std::int64_t>(values.size()) / train_end);
    }
  }
  PanelBlock block;
  for (std::int64_t first = 0; !streamed.empty() && first < info.series; first += kBlockSeries) {
    corpus.read(first, std::min(kBlockSeries, info.series - first), 0, train_end, streamed, block);
    for (std::size_t i = 0; i < streamed.size(); ++i) add(slots[i], block.columns[i].values, block.series);
  }
  return fits;
}

FeatureColumn column_of(const CovariateInfo& covariate, const Fit& fit) {
  FeatureColumn column{covariate.name, covariate.kind, covariate.per, {}, {}};
  if (covariate.kind == Kind::numeric) {
    column.scaler = scaler_of(fit, covariate);
  } else {
    for (std::size_t code = 0; code < covariate.vocabulary.size(); ++code)
      if (fit.seen[code]) column.vocabulary.push_back(covariate.vocabulary[code]);
  }
  return column;
}

std::vector<std::size_t> resolve(const std::vector<std::string>& names, const CorpusInfo& info,
                                 const char* key) {
  std::vector<std::size_t> indices;
  for (const std::string& name : names)
    indices.push_back(about(key, [&] { return info.covariate_index(name); }));
  return indices;
}

void add_columns(const Corpus& corpus, const std::vector<std::size_t>& covariates, std::int64_t train_end,
                 std::vector<FeatureColumn>& numeric, std::vector<FeatureColumn>& categorical) {
  const std::vector<Fit> fits = fit_covariates(corpus, covariates, train_end);
  for (std::size_t i = 0; i < covariates.size(); ++i) {
    const CovariateInfo& covariate = corpus.info().covariates[covariates[i]];
    (covariate.kind == Kind::numeric ? numeric : categorical).push_back(column_of(covariate, fits[i]));
  }
}

void check_known(const std::vector<std::size_t>& known, const CorpusInfo& info) {
  for (const std::size_t index : known)
    if (info.covariates[index].role != Role::known)
      throw input_error(
          fmt::format("data.known: \"{}\" is known only afterwards", info.covariates[index].name),
          "its future would leak into the forecast", "list it under data.past");
}

// A column of 0 and 1, or of their means where steps were made of several days or rows.
void check_flag(const char* key, const std::string& name, const char* meaning, const Corpus& corpus,
                std::int64_t train_end) {
  const std::size_t index = resolve({name}, corpus.info(), key).front();
  if (corpus.info().covariates[index].kind != Kind::numeric)
    throw input_error(fmt::format("{}: \"{}\" is categorical", key, name), meaning,
                      "name a numeric covariate");
  const Fit fit = fit_covariates(corpus, {index}, train_end).front();
  const bool low = fit.smallest < 0.0F;
  if (low || fit.largest > 1.0F)
    throw input_error(fmt::format("{}: \"{}\" holds {}", key, name, low ? fit.smallest : fit.largest),
                      meaning, "name a column of 0 and 1 (or of shares between them)");
}

void check_censored(const std::string& name, const Corpus& corpus, std::int64_t train_end) {
  if (!name.empty())
    check_flag("data.censored", name, "it must be 1 where sales were cut, else 0", corpus, train_end);
}

void check_open(const DataConfig& config, const Corpus& corpus, std::int64_t train_end) {
  if (config.open.empty()) return;
  if (std::ranges::find(config.known, config.open) == config.known.end())
    throw input_error(fmt::format("data.open: \"{}\" is not in data.known", config.open),
                      "a closed step must be known ahead", "name one of the columns there");
  check_flag("data.open", config.open, "it must be 0 where nothing can be sold, else 1", corpus, train_end);
}

void check_inventory(const std::string& name, const CorpusInfo& info) {
  if (name.empty()) return;
  const std::size_t index = resolve({name}, info, "data.inventory").front();
  if (info.covariates[index].kind != Kind::numeric)
    throw input_error(fmt::format("data.inventory: \"{}\" is categorical", name),
                      "it must be the units on hand at a step's end", "name a numeric covariate");
  if (info.covariates[index].role == Role::known)
    throw input_error(fmt::format("data.inventory: \"{}\" is known ahead", name),
                      "there is nothing to forecast of it", "list it under data.known alone");
}

// Series of which something is observed before the cut-off: no others are learned from.
std::vector<bool> begun_series(const Corpus& corpus, std::int64_t train_end) {
  std::vector<bool> begun;
  PanelBlock block;
  for (std::int64_t first = 0; first < corpus.info().series; first += kBlockSeries) {
    corpus.read(first, std::min(kBlockSeries, corpus.info().series - first), 0, train_end, {}, block);
    for (auto row = block.demand.begin(); row != block.demand.end(); row += train_end)
      begun.push_back(!std::all_of(row, row + train_end, [](float y) { return std::isnan(y); }));
  }
  return begun;
}

// The words of a static that such a series has: nothing would be learned of others, which are unknown later
// on.
std::vector<std::string> words_of_series(const Corpus& corpus, std::size_t index,
                                         const std::vector<bool>& begun) {
  const std::vector<std::string>& vocabulary = corpus.info().statics[index].vocabulary;
  const std::span<const std::int32_t> codes = corpus.static_codes(index);
  std::vector<bool> used(vocabulary.size());
  for (std::size_t i = 0; i < codes.size(); ++i)
    if (codes[i] >= 0 && begun[i]) used[static_cast<std::size_t>(codes[i])] = true;
  std::vector<std::string> words;
  for (std::size_t code = 0; code < vocabulary.size(); ++code)
    if (used[code]) words.push_back(vocabulary[code]);
  return words;
}

// Numbers are known from the beginning, so their means are over all series, whenever they begin to sell.
void add_statics(const std::vector<std::string>& names, const Corpus& corpus, std::int64_t train_end,
                 FeatureSpec& spec) {
  const CorpusInfo& info = corpus.info();
  std::vector<bool> begun;
  for (const std::string& name : names) {
    const std::size_t index = about("data.static", [&] { return info.static_index(name); });
    if (info.statics[index].kind == Kind::categorical) {
      if (begun.empty()) begun = begun_series(corpus, train_end);
      spec.statics.push_back({name, words_of_series(corpus, index, begun)});
      continue;
    }
    const Moments moments =
        moments_of(corpus.static_values(index), [](float x) { return static_cast<double>(x); });
    if (moments.count == 0) log::warn("data.static: \"{}\" is missing for every series", name);
    spec.static_numbers.push_back({name, static_cast<float>(moments.mean), usable_std(moments.std())});
  }
}

const char* to_text(Scaler::Kind kind) {
  switch (kind) {
    case Scaler::Kind::standard:
      return "standard";
    case Scaler::Kind::log_ratio:
      return "log_ratio";
    case Scaler::Kind::none:
      return "none";
    case Scaler::Kind::raw:
      return "raw";
  }
  return "none";
}

Scaler::Kind scaler_kind(const std::string& text) {
  for (const auto kind :
       {Scaler::Kind::standard, Scaler::Kind::log_ratio, Scaler::Kind::none, Scaler::Kind::raw})
    if (text == to_text(kind)) return kind;
  throw data_error(fmt::format("unknown scaler \"{}\"", text));
}

json columns_to_json(const std::vector<FeatureColumn>& columns) {
  json list = json::array();
  for (const FeatureColumn& column : columns) {
    json one{{"name", column.name}, {"per", column.per}};
    if (column.kind == Kind::numeric)
      one["scaler"] = {
          {"kind", to_text(column.scaler.kind)}, {"mean", column.scaler.mean}, {"std", column.scaler.std}};
    else
      one["vocabulary"] = column.vocabulary;
    list.push_back(std::move(one));
  }
  return list;
}

std::vector<FeatureColumn> columns_from_json(const json& list, Kind kind) {
  std::vector<FeatureColumn> columns;
  for (const json& one : list) {
    FeatureColumn column{one.at("name"), kind, one.at("per"), {}, {}};
    if (kind == Kind::numeric) {
      const json& scaler = one.at("scaler");
      column.scaler = {scaler_kind(scaler.at("kind")), scaler.at("mean"), scaler.at("std")};
      if (!(column.scaler.std > 0.0F))
        throw data_error(fmt::format("column \"{}\" has no spread", column.name));
    } else {
      column.vocabulary = one.at("vocabulary").get<std::vector<std::string>>();
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace

std::array<float, 2> NumericStatic::model_numbers(float value) const {
  if (std::isnan(value)) return {0.0F, 1.0F};
  return {(value - mean) / std, 0.0F};
}

json to_json(const FeatureSpec& spec) {
  json statics = json::array();
  for (const StaticColumn& column : spec.statics)
    statics.push_back({{"name", column.name}, {"vocabulary", column.vocabulary}});
  json numbers = json::array();
  for (const NumericStatic& fact : spec.static_numbers)
    numbers.push_back({{"name", fact.name}, {"mean", fact.mean}, {"std", fact.std}});
  return {{"context", spec.context},
          {"horizon", spec.horizon},
          {"frequency", to_string(spec.frequency)},
          {"past_numeric", columns_to_json(spec.past_numeric)},
          {"past_categorical", columns_to_json(spec.past_categorical)},
          {"known_numeric", columns_to_json(spec.known_numeric)},
          {"known_categorical", columns_to_json(spec.known_categorical)},
          {"statics", statics},
          {"static_numbers", numbers},
          {"open", spec.open},
          {"censored", spec.censored},
          {"inventory", spec.inventory},
          {"text", {{"width", spec.text.width}, {"encoder", spec.text.encoder}}}};
}

FeatureSpec feature_spec_from_json(const json& value) {
  try {
    FeatureSpec spec;
    spec.context = value.at("context");
    spec.horizon = value.at("horizon");
    if (spec.context < 1 || spec.horizon < 1) throw data_error("impossible context or horizon");
    spec.frequency = parse_frequency(value.at("frequency").get<std::string>());
    spec.past_numeric = columns_from_json(value.at("past_numeric"), Kind::numeric);
    spec.past_categorical = columns_from_json(value.at("past_categorical"), Kind::categorical);
    spec.known_numeric = columns_from_json(value.at("known_numeric"), Kind::numeric);
    spec.known_categorical = columns_from_json(value.at("known_categorical"), Kind::categorical);
    for (const json& one : value.at("statics"))
      spec.statics.push_back({one.at("name"), one.at("vocabulary").get<std::vector<std::string>>()});
    if (const auto numbers = value.find("static_numbers"); numbers != value.end())  // older files know none
      for (const json& one : *numbers)
        spec.static_numbers.push_back({one.at("name"), one.at("mean"), one.at("std")});
    spec.open = value.value("open", "");  // older files lack it
    spec.censored = value.at("censored");
    spec.inventory = value.value("inventory", "");                  // older files lack it
    if (const auto text = value.find("text"); text != value.end())  // older files know no texts
      spec.text = {text->at("width"), text->at("encoder")};
    return spec;
  } catch (const json::exception& error) {
    throw data_error("the feature description is damaged", error.what(),
                     "use the program version that wrote it");
  } catch (const Error& error) {
    throw data_error("the feature description is damaged", error.what(),
                     "use the program version that wrote it");
  }
}

FeatureSpec make_features(const DataConfig& config, const Corpus& corpus, std::int64_t train_end) {
  const CorpusInfo& info = corpus.info();
  if (train_end < 1)
    throw input_error("there is nothing to train on before the training cut-off",
                      fmt::format("the corpus starts on {}", format_date(info.axis.start)),
                      "move data.train_until");
  train_end = std::min(train_end, info.steps);
  const std::vector<std::size_t> known = resolve(config.known, info, "data.known");
  const std::vector<std::size_t> past = resolve(config.past, info, "data.past");
  check_known(known, info);
  check_censored(config.censored, corpus, train_end);
  check_open(config, corpus, train_end);
  check_inventory(config.inventory, info);
  FeatureSpec spec;
  spec.context = config.context;
  spec.horizon = config.horizon;
  spec.frequency = info.axis.frequency;
  spec.open = config.open;
  spec.censored = config.censored;
  spec.inventory = config.inventory;
  add_statics(config.statics, corpus, train_end, spec);
  add_columns(corpus, known, train_end, spec.known_numeric, spec.known_categorical);
  for (FeatureColumn& column : spec.known_numeric)
    if (column.name == spec.open) column.scaler = kOpenScaler;
  add_columns(corpus, past, train_end, spec.past_numeric, spec.past_categorical);
  for (const std::string& name : config.calendar)
    for (FeatureColumn& column : calendar_columns(name))
      (column.kind == Kind::numeric ? spec.known_numeric : spec.known_categorical)
          .push_back(std::move(column));
  return spec;
}

FeatureSpec make_raw_features(const DataConfig& config, const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  const std::vector<std::size_t> known = resolve(config.known, info, "data.known");
  check_known(known, info);
  FeatureSpec spec;
  spec.context = config.context;
  spec.horizon = config.horizon;
  spec.frequency = info.axis.frequency;
  const auto add = [&info](const std::vector<std::size_t>& covariates, std::vector<FeatureColumn>& numeric,
                           std::vector<FeatureColumn>& categorical) {
    for (const std::size_t index : covariates) {
      const CovariateInfo& covariate = info.covariates[index];
      (covariate.kind == Kind::numeric ? numeric : categorical)
          .push_back(
              {covariate.name, covariate.kind, covariate.per, {Scaler::Kind::raw}, covariate.vocabulary});
    }
  };
  add(known, spec.known_numeric, spec.known_categorical);
  add(resolve(config.past, info, "data.past"), spec.past_numeric, spec.past_categorical);
  return spec;
}

}  // namespace shelfcast::data
