#include "data/ingest/extend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "base/log.h"
#include "data/corpus_append.h"
#include "data/ingest/match.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

float missing_of(Kind kind) { return kind == Kind::numeric ? kNan : -1.0F; }
bool is_missing(float value, Kind kind) { return kind == Kind::numeric ? std::isnan(value) : value < 0; }

float recoded(float code, const Recoding& table) {
  return static_cast<float>(table[static_cast<std::size_t>(code + 1)]);
}

// One row of the panel over its own steps, as far as a covariate goes.
struct TableRow {
  const float* values = nullptr;  // null: the panel has no such series
  std::vector<bool>::const_iterator said{};
};

// One panel meeting one corpus. Old series are those of the corpus, in its order.
class Extender {
 public:
  Extender(const Panel& panel, const Corpus& corpus);
  bool anything_new();
  void write();
  // Cells of old steps that the table holds and that differ from the corpus'.
  std::int64_t count_ignored();

 private:
  std::vector<std::vector<float>> shared_values();
  std::vector<Document> documents() const;
  bool plans_changed();
  bool texts_changed() const;
  void read_panel(std::int64_t row, std::int64_t series);
  template <class Action>
  void for_each_run(std::int64_t first, std::int64_t series, const Action& action);
  void fill(std::int64_t first, std::int64_t series, std::int64_t first_step, PanelRows& rows);
  void merge_covariate(std::size_t column, const TableRow& row, std::span<const float> corpus,
                       std::int64_t first_step, std::span<float> out) const;

  const Panel& panel_;
  const Corpus& corpus_;
  Match match_;
  Extension extension_;
  std::int64_t ignored_ = 0;  // cells of old steps of shared covariates that differ
  PanelRows from_panel_;      // the run at hand, in words of the new state
  Said said_;
};

Extender::Extender(const Panel& panel, const Corpus& corpus)
    : panel_(panel), corpus_(corpus), match_(match(panel, corpus)) {
  extension_.info = match_.info;
  extension_.table = match_.table;
  extension_.first_step = corpus.info().demand_end;
  extension_.shared = shared_values();
  extension_.documents = documents();
}

// [rows, steps] of every covariate that is not per series: what the corpus had, and what the panel adds to
// it.
std::vector<std::vector<float>> Extender::shared_values() {
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
    const std::vector<float>& added = panel_.shared[match_.covariate_of[c]];
    const auto added_rows = static_cast<std::int64_t>(added.size()) / panel_.info.steps;
    for (std::int64_t row = 0; row < added_rows; ++row) {
      const std::int64_t to = for_all ? 0 : match_.static_recodings[level][static_cast<std::size_t>(row) + 1];
      const std::int64_t from = to < old_rows ? extension_.first_step : 0;
      for (std::int64_t step = std::max<std::int64_t>(0, match_.offset);
           step < match_.offset + panel_.info.steps; ++step) {
        float value = added[static_cast<std::size_t>(row * panel_.info.steps + step - match_.offset)];
        if (is_missing(value, covariate.kind)) continue;
        if (covariate.kind == Kind::categorical) value = recoded(value, match_.recodings[c]);
        float& known = shared[c][static_cast<std::size_t>(to * steps + step)];
        if (step >= from)
          known = value;
        else if (known != value)
          ++ignored_;
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

// Rows [row, row + series) of the panel, in words of the new state.
void Extender::read_panel(std::int64_t row, std::int64_t series) {
  panel_.fill(row, series, from_panel_);
  if (panel_.said) panel_.said(row, series, said_);
  said_.covariates.resize(from_panel_.covariates.size());
  for (std::size_t c = 0; c < match_.per_series.size(); ++c) {
    const Kind kind = extension_.info.covariates[match_.per_series[c]].kind;
    std::vector<float>& values = from_panel_.covariates[match_.panel_column[c]];
    if (!panel_.said) {
      auto& said = said_.covariates[match_.panel_column[c]];
      said.resize(values.size());
      std::transform(values.begin(), values.end(), said.begin(),
                     [kind](float value) { return !is_missing(value, kind); });
    }
    if (kind == Kind::categorical)
      for (float& value : values) value = recoded(value, match_.recodings[match_.per_series[c]]);
  }
  if (panel_.said) return;
  said_.demand.resize(from_panel_.demand.size());
  std::transform(from_panel_.demand.begin(), from_panel_.demand.end(), said_.demand.begin(),
                 [](float value) { return !std::isnan(value); });
}

// action(i, run) for series first + i .. first + i + run that stand together in the panel, whose rows are in
// from_panel_ and said_ then; and for one that the panel has not, with a run of 0.
template <class Action>
void Extender::for_each_run(std::int64_t first, std::int64_t series, const Action& action) {
  const std::int64_t most = series_per_block(panel_.info);
  for (std::int64_t i = 0; i < series;) {
    const std::int64_t row = match_.panel_row[static_cast<std::size_t>(first + i)];
    if (row < 0) {
      action(i++, std::int64_t{0});
      continue;
    }
    std::int64_t run = 1;
    while (run < most && i + run < series &&
           match_.panel_row[static_cast<std::size_t>(first + i + run)] == row + run)
      ++run;
    read_panel(row, run);
    action(i, run);
    i += run;
  }
}

// One row of a covariate from first_step on. What the table holds counts before what the corpus knows ahead,
// and that before what fills make of the rest. The corpus does not say which of its values were carried on by
// fill: previous: those that equal the step before are taken for it. Of sums of days not even that is known;
// there the table's own last value is carried on over what the corpus knew. `corpus`: the step before
// first_step and the known ones from there; empty for a new series.
void Extender::merge_covariate(std::size_t column, const TableRow& row, std::span<const float> corpus,
                               std::int64_t first_step, std::span<float> out) const {
  enum class Source { nothing, table, plan } source = Source::nothing;
  const std::size_t covariate = match_.per_series[column];
  const Kind kind = extension_.info.covariates[covariate].kind;
  const Fill rule = panel_.fills.empty() ? Fill::none : panel_.fills[match_.covariate_of[covariate]];
  const float unsaid = rule == Fill::zero ? 0.0F : missing_of(kind);
  float last_known = corpus.empty() ? missing_of(kind) : corpus.front();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t step = first_step + static_cast<std::int64_t>(i) - match_.offset;
    const bool in_table = row.values != nullptr && step >= 0 && step < panel_.info.steps;
    const float value = in_table ? row.values[step] : unsaid;
    const float known = i + 1 < corpus.size() ? corpus[i + 1] : missing_of(kind);
    const bool is_known = !is_missing(known, kind);
    const bool carried =
        rule == Fill::previous && (known == last_known || (panel_.summed && source == Source::table));
    if (in_table && row.said[step]) {
      source = Source::table;
      out[i] = value;
    } else if (is_known && !carried) {
      source = Source::plan;
      out[i] = known;
    } else if (rule != Fill::previous || source == Source::table) {
      out[i] = value;
    } else if (is_known) {
      out[i] = known;
    } else {
      out[i] = source == Source::plan ? last_known : value;
    }
    if (is_known) last_known = known;
  }
}

// Steps [first_step, end) of series [first, first + series) of the new state.
void Extender::fill(std::int64_t first, std::int64_t series, std::int64_t first_step, PanelRows& rows) {
  CorpusInfo shape = extension_.info;
  shape.steps -= first_step;
  clear_rows(shape, series, rows);
  PanelBlock corpus;
  const bool old = first < corpus_.info().series;
  const std::int64_t known = corpus_.info().steps - first_step + 1;  // with the step before
  if (old) corpus_.read(first, series, first_step - 1, known, match_.per_series, corpus);
  for_each_run(first, series, [&](std::int64_t i, std::int64_t run) {
    for (std::int64_t k = 0; k < std::max<std::int64_t>(1, run); ++k) {
      const std::int64_t to = (i + k) * shape.steps, from = k * panel_.info.steps;
      for (std::int64_t step = std::max(match_.offset, first_step);
           run > 0 && step < match_.offset + panel_.info.steps; ++step)
        rows.demand[static_cast<std::size_t>(to + step - first_step)] =
            from_panel_.demand[static_cast<std::size_t>(from + step - match_.offset)];
      for (std::size_t c = 0; c < match_.per_series.size(); ++c) {
        TableRow row;
        if (run > 0)
          row = {from_panel_.covariates[match_.panel_column[c]].data() + from,
                 said_.covariates[match_.panel_column[c]].begin() + from};
        std::span<const float> before;
        if (old)
          before = std::span(corpus.columns[c].values)
                       .subspan(static_cast<std::size_t>((i + k) * known), static_cast<std::size_t>(known));
        merge_covariate(c, row, before, first_step,
                        std::span(rows.covariates[c])
                            .subspan(static_cast<std::size_t>(to), static_cast<std::size_t>(shape.steps)));
      }
    }
  });
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

bool Extender::plans_changed() {
  for (std::size_t c = 0; c < extension_.shared.size(); ++c)
    if (corpus_.info().covariates[c].per != "series" &&
        !std::ranges::equal(extension_.shared[c], corpus_.read_shared(c, 0, corpus_.info().steps), same))
      return true;
  const std::int64_t from = extension_.first_step, ahead = corpus_.info().steps - from;
  const std::int64_t block = series_per_block(panel_.info);
  if (ahead == 0) return false;
  PanelRows rows;
  PanelBlock known;
  for (std::int64_t first = 0; first < corpus_.info().series; first += block) {
    const std::int64_t series = std::min(block, corpus_.info().series - first);
    fill(first, series, from, rows);
    corpus_.read(first, series, from, ahead, match_.per_series, known);
    for (std::size_t c = 0; c < match_.per_series.size(); ++c)
      if (!std::ranges::equal(rows.covariates[c], known.columns[c].values, same)) return true;
  }
  return false;
}

bool Extender::texts_changed() const {
  return !std::ranges::equal(
      extension_.documents, corpus_.documents(),
      [](const Document& a, const Document& b) { return a.item == b.item && a.text == b.text; });
}

bool Extender::anything_new() {
  const CorpusInfo &before = corpus_.info(), &after = extension_.info;
  return match_.demand_end > before.demand_end || after.steps > before.steps ||
         after.series > before.series || texts_changed() || plans_changed();
}

std::int64_t Extender::count_ignored() {
  const std::int64_t begin = std::max<std::int64_t>(0, match_.offset);
  const std::int64_t end = std::min(extension_.first_step, match_.offset + panel_.info.steps),
                     old = end - begin;
  std::int64_t count = ignored_;
  if (old <= 0) return count;
  const std::int64_t block = series_per_block(panel_.info);
  PanelBlock known;
  for (std::int64_t first = 0; first < corpus_.info().series; first += block) {
    const std::int64_t series = std::min(block, corpus_.info().series - first);
    corpus_.read(first, series, begin, old, match_.per_series, known);
    for_each_run(first, series, [&](std::int64_t i, std::int64_t run) {
      const auto compare = [&](const std::vector<float>& table, const std::vector<bool>& said,
                               const std::vector<float>& corpus) {
        for (std::int64_t k = 0; k < run; ++k)
          for (std::int64_t step = 0; step < old; ++step) {
            const auto at = static_cast<std::size_t>(k * panel_.info.steps + begin - match_.offset + step);
            const auto to = static_cast<std::size_t>((i + k) * old + step);
            if (said[at] && !same(table[at], corpus[to])) ++count;
          }
      };
      compare(from_panel_.demand, said_.demand, known.demand);
      if (panel_.summed) return;  // what is carried into a period that lies back is not known
      for (std::size_t c = 0; c < match_.per_series.size(); ++c)
        compare(from_panel_.covariates[match_.panel_column[c]], said_.covariates[match_.panel_column[c]],
                known.columns[c].values);
    });
  }
  return count;
}

void Extender::write() {
  extension_.fill_old = [this](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill(first, series, extension_.first_step, rows);
  };
  extension_.fill_new = [this](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill(corpus_.info().series + first, series, 0, rows);
  };
  append_to_corpus(corpus_, extension_);
}

}  // namespace

FileLock lock_corpus(const std::filesystem::path& folder) try {
  read_manifest(folder);  // a folder that is no corpus gets no lock
  return FileLock(append_lock(folder), std::chrono::milliseconds(0));
} catch (const Error& error) {
  if (error.kind() != ErrorKind::timeout) throw;
  throw input_error(fmt::format("another process is changing {}", folder.string()), "its append.lock is held",
                    "wait for it");
}

void extend_corpus(const Panel& panel, const Corpus& corpus) {
  Extender extender(panel, corpus);
  if (const std::int64_t ignored = extender.count_ignored(); ignored > 0)
    log::warn(
        "{} values of days that {} holds already are other ones in the table: they were ignored; to take "
        "them "
        "over, ingest everything into a new corpus",
        ignored, corpus.folder().string());
  if (extender.anything_new()) extender.write();
}

}  // namespace shelfcast::data
