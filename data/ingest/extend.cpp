#include "data/ingest/extend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "data/corpus_append.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

float missing_of(Kind kind) { return kind == Kind::numeric ? kNan : -1.0F; }
bool is_missing(float value, Kind kind) { return kind == Kind::numeric ? std::isnan(value) : value < 0; }

// Codes of one vocabulary in another that is made to hold them: code c becomes table[c + 1]; missing stays.
using Recoding = std::vector<std::int32_t>;

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

float recoded(float code, const Recoding& table) {
  return static_cast<float>(table[static_cast<std::size_t>(code + 1)]);
}

[[noreturn]] void does_not_fit(
    const std::string& what, const std::string& why,
    const std::string& advice =
        "map the table as the corpus was mapped, or ingest everything into a new one") {
  throw input_error(what, why, advice);
}

// One panel meeting one corpus. Old series are those of the corpus, in its order.
class Extender {
 public:
  Extender(const Panel& panel, const Continuation& continuation, const Corpus& corpus);
  bool anything_new() const;
  void write();

 private:
  void place_on_axis();
  void match_covariates();
  void match_statics();
  void match_series();
  std::vector<std::vector<float>> shared_values() const;
  std::vector<Document> documents() const;
  void fill(std::int64_t first, std::int64_t series, std::int64_t first_step, PanelRows& rows);
  void read_known_ahead(std::int64_t first, std::int64_t series, PanelRows& rows) const;
  void put_panel_rows(std::int64_t first, std::int64_t series, std::int64_t first_step, PanelRows& rows);
  void go_on(std::int64_t first, std::int64_t series, PanelRows& rows) const;
  void fill_covariates(std::int64_t series, std::int64_t steps, const PanelBlock* before,
                       PanelRows& rows) const;

  const Panel& panel_;
  const Continuation& continuation_;
  const Corpus& corpus_;
  Extension extension_;
  std::int64_t offset_ = 0;                 // the panel's step 0 on the corpus' axis
  std::int64_t demand_end_ = 0;             // of the new state
  std::vector<std::size_t> covariate_of_;   // per covariate of the corpus: the panel's
  std::vector<Recoding> recodings_;         // per covariate of the corpus
  std::vector<std::size_t> per_series_;     // covariates of the corpus per series
  std::vector<std::size_t> panel_column_;   // per per_series_: its place among the panel's rows
  std::vector<Recoding> static_recodings_;  // per static of the corpus
  std::vector<std::size_t> static_of_;      // per static of the corpus: the panel's
  std::vector<std::int64_t> panel_row_;     // per series of the new state: the panel's, or -1
  PanelRows from_panel_;
};

Extender::Extender(const Panel& panel, const Continuation& continuation, const Corpus& corpus)
    : panel_(panel), continuation_(continuation), corpus_(corpus) {
  extension_.info = corpus.info();
  place_on_axis();
  match_statics();
  match_covariates();
  match_series();
}

void Extender::place_on_axis() {
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
  offset_ = *offset;
  demand_end_ = std::max(info.demand_end, offset_ + other.demand_end);
  extension_.first_step = info.demand_end;
  extension_.info.steps = std::max(info.steps, offset_ + other.steps);
  if (offset_ > info.demand_end && panel_.days_left_out > 0)
    does_not_fit(
        fmt::format("the table begins within the {} of {}, which {} does not hold yet",
                    info.axis.frequency == Frequency::weekly ? "week" : "month",
                    format_date(info.axis.date_of(offset_ - 1)), corpus_.folder().string()),
        "its days before the table would be lost, and so would the sum",
        fmt::format("let the table reach back to {}", format_date(info.axis.date_of(info.demand_end))));
  if (offset_ > info.demand_end)
    log::warn("{} ends with {}, the table begins on {}: what lies between is not observed",
              corpus_.folder().string(), format_date(info.axis.date_of(info.demand_end - 1)),
              format_date(other.axis.start));
}

void Extender::match_statics() {
  const CorpusInfo& other = panel_.info;
  for (StaticInfo& fact : extension_.info.statics) {
    const auto found = std::find_if(other.statics.begin(), other.statics.end(),
                                    [&](const StaticInfo& s) { return s.name == fact.name; });
    if (found == other.statics.end() || found->kind != fact.kind)
      does_not_fit(fmt::format("the table has no {} static \"{}\"", to_string(fact.kind), fact.name),
                   fmt::format("{} has", corpus_.folder().string()));
    static_of_.push_back(static_cast<std::size_t>(found - other.statics.begin()));
    static_recodings_.push_back(merge(found->vocabulary, fact.vocabulary));
  }
}

void Extender::match_covariates() {
  const CorpusInfo& other = panel_.info;
  if (other.covariates.size() > extension_.info.covariates.size())
    for (const CovariateInfo& covariate : other.covariates) corpus_.info().covariate_index(covariate.name);
  for (CovariateInfo& covariate : extension_.info.covariates) {
    const auto found = std::find_if(other.covariates.begin(), other.covariates.end(),
                                    [&](const CovariateInfo& c) { return c.name == covariate.name; });
    if (found == other.covariates.end() || found->kind != covariate.kind || found->role != covariate.role ||
        found->per != covariate.per)
      does_not_fit(fmt::format("the table has no {} {} covariate \"{}\" per {}", to_string(covariate.role),
                               to_string(covariate.kind), covariate.name, covariate.per),
                   fmt::format("{} has", corpus_.folder().string()));
    covariate_of_.push_back(static_cast<std::size_t>(found - other.covariates.begin()));
    recodings_.push_back(merge(found->vocabulary, covariate.vocabulary));
    if (covariate.per != "series") continue;
    per_series_.push_back(covariate_of_.size() - 1);
    panel_column_.push_back(static_cast<std::size_t>(
        std::count_if(other.covariates.begin(), found, [](const auto& c) { return c.per == "series"; })));
  }
}

void Extender::match_series() {
  SeriesTable& table = extension_.table;
  table.names = corpus_.series_names();
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < table.names.size(); ++i) places.emplace(table.names[i], i);
  panel_row_.assign(table.names.size(), -1);
  std::vector<std::size_t> added;
  for (std::size_t i = 0; i < panel_.table.names.size(); ++i) {
    const auto found = places.find(panel_.table.names[i]);
    if (found != places.end()) {
      panel_row_[found->second] = static_cast<std::int64_t>(i);
    } else {
      table.names.push_back(panel_.table.names[i]);
      panel_row_.push_back(static_cast<std::int64_t>(i));
      added.push_back(i);
    }
  }
  extension_.info.series = static_cast<std::int64_t>(table.names.size());
  for (std::size_t fact = 0; fact < extension_.info.statics.size(); ++fact) {
    auto& codes = table.codes.emplace_back();
    auto& values = table.values.emplace_back();
    if (extension_.info.statics[fact].kind == Kind::categorical) {
      codes.assign(corpus_.static_codes(fact).begin(), corpus_.static_codes(fact).end());
      for (const std::size_t i : added)
        codes.push_back(
            static_recodings_[fact][static_cast<std::size_t>(panel_.table.codes[static_of_[fact]][i]) + 1]);
    } else {
      values.assign(corpus_.static_values(fact).begin(), corpus_.static_values(fact).end());
      for (const std::size_t i : added) values.push_back(panel_.table.values[static_of_[fact]][i]);
    }
  }
}

bool Extender::anything_new() const {
  const CorpusInfo &before = corpus_.info(), &after = extension_.info;
  return demand_end_ > before.demand_end || after.steps > before.steps || after.series > before.series;
}

// [rows, steps] of every covariate that is not per series: what the corpus had, and what the panel adds to
// it.
std::vector<std::vector<float>> Extender::shared_values() const {
  std::vector<std::vector<float>> shared(extension_.info.covariates.size());
  const std::int64_t steps = extension_.info.steps, old_steps = corpus_.info().steps;
  for (std::size_t c = 0; c < shared.size(); ++c) {
    const CovariateInfo& covariate = extension_.info.covariates[c];
    if (covariate.per == "series") continue;
    const bool for_all = covariate.per == "all";
    const std::size_t level = for_all ? 0 : extension_.info.static_index(covariate.per);
    const std::size_t rows = for_all ? 1 : extension_.info.statics[level].vocabulary.size();
    shared[c].assign(rows * static_cast<std::size_t>(steps), missing_of(covariate.kind));
    const std::vector<float> before = corpus_.read_shared(c, 0, old_steps);
    const auto old_rows = static_cast<std::int64_t>(before.size()) / old_steps;
    for (std::int64_t row = 0; row < old_rows; ++row)
      std::copy_n(before.begin() + row * old_steps, old_steps, shared[c].begin() + row * steps);
    const std::vector<float>& added = panel_.shared[covariate_of_[c]];
    const auto added_rows = static_cast<std::int64_t>(added.size()) / panel_.info.steps;
    for (std::int64_t row = 0; row < added_rows; ++row) {
      const std::int64_t to = for_all ? 0 : static_recodings_[level][static_cast<std::size_t>(row) + 1];
      const std::int64_t from = to < old_rows ? extension_.first_step : 0;
      for (std::int64_t step = std::max(from, offset_); step < offset_ + panel_.info.steps; ++step) {
        const float value = added[static_cast<std::size_t>(row * panel_.info.steps + step - offset_)];
        if (is_missing(value, covariate.kind)) continue;
        shared[c][static_cast<std::size_t>(to * steps + step)] =
            covariate.kind == Kind::numeric ? value : recoded(value, recodings_[c]);
      }
    }
  }
  return shared;
}

// An item's newest text counts.
std::vector<Document> Extender::documents() const {
  std::vector<Document> all = corpus_.documents();
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < all.size(); ++i) places[all[i].item] = i;
  for (const Document& document : panel_.documents) {
    const auto found = places.find(document.item);
    if (found != places.end())
      all[found->second].text = document.text;
    else
      all.push_back(document);
  }
  return all;
}

// Covariates whose future the corpus knew already.
void Extender::read_known_ahead(std::int64_t first, std::int64_t series, PanelRows& rows) const {
  const std::int64_t from = extension_.first_step, ahead = corpus_.info().steps - from;
  const std::int64_t steps = extension_.info.steps - from;
  if (ahead == 0 || per_series_.empty()) return;
  PanelBlock block;
  corpus_.read(first, series, from, ahead, per_series_, block);
  for (std::size_t c = 0; c < per_series_.size(); ++c)
    for (std::int64_t i = 0; i < series; ++i)
      std::copy_n(block.columns[c].values.begin() + i * ahead, ahead, rows.covariates[c].begin() + i * steps);
}

// Rows of the panel over what they say nothing of is left alone. Runs of series that stand together in the
// panel are made together.
void Extender::put_panel_rows(std::int64_t first, std::int64_t series, std::int64_t first_step,
                              PanelRows& rows) {
  const std::int64_t steps = extension_.info.steps - first_step;
  const std::int64_t begin = std::max(offset_, first_step), end = offset_ + panel_.info.steps;
  for (std::int64_t i = 0; i < series;) {
    const std::int64_t row = panel_row_[static_cast<std::size_t>(first + i)];
    std::int64_t run = 1;
    while (row >= 0 && i + run < series && panel_row_[static_cast<std::size_t>(first + i + run)] == row + run)
      ++run;
    if (row >= 0) panel_.fill(row, run, from_panel_);
    for (std::int64_t k = 0; row >= 0 && k < run; ++k)
      for (std::int64_t step = begin; step < end; ++step) {
        const auto from = static_cast<std::size_t>(k * panel_.info.steps + step - offset_);
        const auto to = static_cast<std::size_t>((i + k) * steps + step - first_step);
        rows.demand[to] = from_panel_.demand[from];
        for (std::size_t c = 0; c < per_series_.size(); ++c) {
          const Kind kind = extension_.info.covariates[per_series_[c]].kind;
          const float value = from_panel_.covariates[panel_column_[c]][from];
          if (is_missing(value, kind)) continue;
          rows.covariates[c][to] = kind == Kind::numeric ? value : recoded(value, recodings_[per_series_[c]]);
        }
      }
    i += run;
  }
}

void Extender::fill_covariates(std::int64_t series, std::int64_t steps, const PanelBlock* before,
                               PanelRows& rows) const {
  for (std::size_t c = 0; c < per_series_.size(); ++c) {
    const CovariateInfo& covariate = extension_.info.covariates[per_series_[c]];
    const auto rule = std::find_if(continuation_.fills.begin(), continuation_.fills.end(),
                                   [&](const auto& entry) { return entry.first == covariate.name; });
    if (rule == continuation_.fills.end()) continue;
    for (std::int64_t i = 0; i < series; ++i) {
      float value = before != nullptr ? before->columns[c].values[static_cast<std::size_t>(i)]
                                      : missing_of(covariate.kind);
      if (rule->second == Fill::zero) value = covariate.kind == Kind::numeric ? 0.0F : -1.0F;
      float* row = rows.covariates[c].data() + i * steps;
      for (std::int64_t step = 0; step < steps; ++step) {
        if (is_missing(row[step], covariate.kind)) row[step] = value;
        if (rule->second == Fill::previous) value = row[step];
      }
    }
  }
}

// Where an old series' rows are silent, the map's rules go on from the corpus' last step.
void Extender::go_on(std::int64_t first, std::int64_t series, PanelRows& rows) const {
  const std::int64_t from = extension_.first_step, steps = extension_.info.steps - from;
  PanelBlock before;
  corpus_.read(first, series, from - 1, 1, per_series_, before);
  fill_covariates(series, steps, &before, rows);
  if (!continuation_.gaps_are_zero) return;
  for (std::int64_t i = 0; i < series; ++i) {
    if (std::isnan(before.demand[static_cast<std::size_t>(i)])) continue;  // never observed so far
    for (std::int64_t step = 0; step < demand_end_ - from; ++step)
      if (float& demand = rows.demand[static_cast<std::size_t>(i * steps + step)]; std::isnan(demand))
        demand = 0;
  }
}

// Steps [first_step, end) of series [first, first + series) of the new state.
void Extender::fill(std::int64_t first, std::int64_t series, std::int64_t first_step, PanelRows& rows) {
  CorpusInfo shape = extension_.info;
  shape.steps -= first_step;
  clear_rows(shape, series, rows);
  const bool old = first < corpus_.info().series;
  if (old) read_known_ahead(first, series, rows);
  put_panel_rows(first, series, first_step, rows);
  if (old)
    go_on(first, series, rows);
  else
    fill_covariates(series, shape.steps, nullptr, rows);
}

void Extender::write() {
  extension_.shared = shared_values();
  extension_.documents = documents();
  extension_.fill_old = [this](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill(first, series, extension_.first_step, rows);
  };
  extension_.fill_new = [this](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill(corpus_.info().series + first, series, 0, rows);
  };
  append_to_corpus(corpus_, extension_);
}

FileLock lock_or_explain(const std::filesystem::path& folder) try {
  return FileLock(append_lock(folder), std::chrono::milliseconds(0));
} catch (const Error& error) {
  if (error.kind() != ErrorKind::timeout) throw;
  throw input_error(fmt::format("another process is changing {}", folder.string()), "its append.lock is held",
                    "wait for it");
}

}  // namespace

Continuation Continuation::of(const LongMap& map) {
  Continuation continuation{map.gaps == Gaps::zero, {}};
  for (const LongMap::Covariate& covariate : map.covariates)
    if (covariate.per == "series" && covariate.fill != Fill::none)
      continuation.fills.emplace_back(covariate.name, covariate.fill);
  return continuation;
}

void extend_corpus(const Panel& panel, const Continuation& continuation,
                   const std::filesystem::path& folder) {
  read_manifest(folder);  // a folder that is no corpus gets no lock
  const FileLock lock = lock_or_explain(folder);
  const Corpus corpus(folder);
  Extender extender(panel, continuation, corpus);
  if (extender.anything_new()) extender.write();
}

}  // namespace shelfcast::data
