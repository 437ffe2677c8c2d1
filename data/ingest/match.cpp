#include "data/ingest/match.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

Recoding merge(const std::vector<std::string>& from, std::vector<std::string>& into) {
  std::unordered_map<std::string, std::int32_t> places;
  for (std::size_t i = 0; i < into.size(); ++i) places.emplace(into[i], static_cast<std::int32_t>(i));
  Recoding table{-1};
  for (const std::string& value : from) {
    const auto [place, is_new] = places.emplace(value, static_cast<std::int32_t>(into.size()));
    if (is_new) into.push_back(value);
    table.push_back(place->second);
  }
  return table;
}

[[noreturn]] void does_not_fit(
    const std::string& what, const std::string& why,
    const std::string& advice =
        "map the table as the corpus was mapped, or ingest everything into a new one") {
  throw input_error(what, why, advice);
}

class Matcher {
 public:
  Matcher(const Panel& panel, const Corpus& corpus) : panel_(panel), corpus_(corpus) {
    fit_.info = corpus.info();
    place_on_axis();
    match_statics();
    match_covariates();
    match_series();
  }
  Match take() { return std::move(fit_); }

 private:
  void place_on_axis();
  void match_statics();
  void match_covariates();
  void match_series();

  const Panel& panel_;
  const Corpus& corpus_;
  Match fit_;
  std::vector<std::size_t> static_of_;  // per static of the corpus: the panel's
};

void Matcher::place_on_axis() {
  const CorpusInfo &info = corpus_.info(), &other = panel_.info;
  if (info.axis.frequency != other.axis.frequency)
    does_not_fit(fmt::format("{} has frequency {}, the table {}", corpus_.folder().string(),
                             to_string(info.axis.frequency), to_string(other.axis.frequency)),
                 "steps must be of one length");
  const auto offset = info.axis.step_of(other.axis.start);
  if (!offset)
    does_not_fit(
        fmt::format("{} begins no step of {}", format_date(other.axis.start), corpus_.folder().string()),
        fmt::format("its steps are counted from {}", format_date(info.axis.start)));
  fit_.offset = *offset;
  fit_.demand_end = std::max(info.demand_end, fit_.offset + other.demand_end);
  fit_.info.steps = std::max(info.steps, fit_.offset + other.steps);
}

void Matcher::match_statics() {
  const CorpusInfo& other = panel_.info;
  for (StaticInfo& fact : fit_.info.statics) {
    const auto found = std::find_if(other.statics.begin(), other.statics.end(),
                                    [&](const StaticInfo& s) { return s.name == fact.name; });
    if (found == other.statics.end() || found->kind != fact.kind)
      does_not_fit(fmt::format("the table has no {} static \"{}\"", to_string(fact.kind), fact.name),
                   fmt::format("{} has", corpus_.folder().string()));
    static_of_.push_back(static_cast<std::size_t>(found - other.statics.begin()));
    fit_.static_recodings.push_back(merge(found->vocabulary, fact.vocabulary));
  }
}

void Matcher::match_covariates() {
  const CorpusInfo& other = panel_.info;
  if (other.covariates.size() > fit_.info.covariates.size())
    for (const CovariateInfo& covariate : other.covariates) corpus_.info().covariate_index(covariate.name);
  for (CovariateInfo& covariate : fit_.info.covariates) {
    const auto found = std::find_if(other.covariates.begin(), other.covariates.end(),
                                    [&](const CovariateInfo& c) { return c.name == covariate.name; });
    if (found == other.covariates.end() || found->kind != covariate.kind || found->role != covariate.role ||
        found->per != covariate.per)
      does_not_fit(fmt::format("the table has no {} {} covariate \"{}\" per {}", to_string(covariate.role),
                               to_string(covariate.kind), covariate.name, covariate.per),
                   fmt::format("{} has", corpus_.folder().string()));
    fit_.covariate_of.push_back(static_cast<std::size_t>(found - other.covariates.begin()));
    fit_.recodings.push_back(merge(found->vocabulary, covariate.vocabulary));
    if (covariate.per != "series") continue;
    fit_.per_series.push_back(fit_.covariate_of.size() - 1);
    fit_.panel_column.push_back(static_cast<std::size_t>(
        std::count_if(other.covariates.begin(), found, [](const auto& c) { return c.per == "series"; })));
  }
}

void Matcher::match_series() {
  SeriesTable& table = fit_.table;
  table.names = corpus_.series_names();
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < table.names.size(); ++i) places.emplace(table.names[i], i);
  fit_.panel_row.assign(table.names.size(), -1);
  std::vector<std::size_t> added;
  for (std::size_t i = 0; i < panel_.table.names.size(); ++i) {
    const auto found = places.find(panel_.table.names[i]);
    if (found != places.end()) {
      fit_.panel_row[found->second] = static_cast<std::int64_t>(i);
    } else {
      table.names.push_back(panel_.table.names[i]);
      fit_.panel_row.push_back(static_cast<std::int64_t>(i));
      added.push_back(i);
    }
  }
  fit_.info.series = static_cast<std::int64_t>(table.names.size());
  for (std::size_t fact = 0; fact < fit_.info.statics.size(); ++fact) {
    auto& codes = table.codes.emplace_back();
    auto& values = table.values.emplace_back();
    if (fit_.info.statics[fact].kind == Kind::categorical) {
      codes.assign(corpus_.static_codes(fact).begin(), corpus_.static_codes(fact).end());
      for (const std::size_t i : added)
        codes.push_back(
            fit_.static_recodings[fact]
                                 [static_cast<std::size_t>(panel_.table.codes[static_of_[fact]][i]) + 1]);
    } else {
      values.assign(corpus_.static_values(fact).begin(), corpus_.static_values(fact).end());
      for (const std::size_t i : added) values.push_back(panel_.table.values[static_of_[fact]][i]);
    }
  }
}

}  // namespace

Match match(const Panel& panel, const Corpus& corpus) { return Matcher(panel, corpus).take(); }

}  // namespace shelfcast::data
