#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/progress.h"
#include "data/corpus.h"
#include "data/manifest.h"
#include "trainer/commands/commands.h"

namespace shelfcast::trainer {
namespace {

using data::Corpus;
using data::CorpusInfo;
using data::Kind;

enum class Verify { no, yes };

constexpr std::int64_t kBlockSeries = 256;  // series read at a time
constexpr std::size_t kWordsShown = 6;      // words of a vocabulary that are shown

void field(const std::string& name, const std::string& value) { fmt::print("  {:<13}{}\n", name, value); }

// Rows of cells as columns of equal width.
void table(const std::string& title, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths.resize(std::max(widths.size(), i + 1));
      widths[i] = std::max(widths[i], row[i].size());
    }
  fmt::print("\n{}\n", title);
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    fmt::print("  {}\n", line);
  }
}

std::string words(const std::vector<std::string>& vocabulary) {
  const std::size_t shown = std::min(kWordsShown, vocabulary.size());
  std::string text = fmt::format(
      "{}", fmt::join(vocabulary.begin(), vocabulary.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  return vocabulary.size() > shown ? text + ", ..." : text;
}

struct DemandSummary {
  double cells = 0, observed = 0, zeros = 0, negative = 0, sum = 0;
  float largest = 0.0F;
  std::int64_t silent_series = 0;  // without a single observation

  void add(const float* row, std::int64_t steps) {
    const double before = observed;
    for (std::int64_t t = 0; t < steps; ++t) {
      if (std::isnan(row[t])) continue;
      observed += 1;
      zeros += row[t] == 0.0F;
      negative += row[t] < 0.0F;
      sum += static_cast<double>(row[t]);
      largest = std::max(largest, row[t]);
    }
    cells += static_cast<double>(steps);
    silent_series += observed == before;
  }
};

// Reads the demand once, block by block: memory does not grow with the corpus.
DemandSummary summarise(const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  DemandSummary summary;
  data::PanelBlock block;
  Progress progress("read", info.series, "series");
  for (std::int64_t first = 0; first < info.series; first += kBlockSeries) {
    const std::int64_t series = std::min(kBlockSeries, info.series - first);
    corpus.read(first, series, 0, info.demand_end, {}, block);
    for (std::int64_t i = 0; i < series; ++i)
      summary.add(block.demand.data() + i * info.demand_end, info.demand_end);
    progress.update(first + series);
  }
  return summary;
}

std::string percent(double part, double whole) {
  return fmt::format("{:.1f} %", whole > 0 ? 100.0 * part / whole : 0.0);
}

void print_overview(const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  const DemandSummary demand = summarise(corpus);
  const std::string last = format_date(info.axis.date_of(info.demand_end - 1));
  fmt::print("{}\n", corpus.folder().string());
  field("name", info.name);
  field("series",
        fmt::format("{}{}", info.series,
                    demand.silent_series > 0
                        ? fmt::format(", {} of them without any demand observed", demand.silent_series)
                        : ""));
  field("demand",
        fmt::format("{} to {}, {} steps of frequency {}, aggregated by {}", format_date(info.axis.start),
                    last, info.demand_end, to_string(info.axis.frequency), info.aggregation));
  if (info.steps > info.demand_end)
    field("known ahead", fmt::format("to {}, {} steps more", format_date(info.axis.date_of(info.steps - 1)),
                                     info.steps - info.demand_end));
  field("missing", percent(demand.cells - demand.observed, demand.cells) + " of all cells");
  field("zeros",
        percent(demand.zeros, demand.observed) + " of those observed" +
            (demand.negative > 0 ? fmt::format(", {} negative", percent(demand.negative, demand.observed))
                                 : ""));
  field("mean", fmt::format("{:.4g} a step, at most {:.6g}",
                            demand.observed > 0 ? demand.sum / demand.observed : 0.0, demand.largest));
  for (const auto& [name, level] : {std::pair<std::string, std::string>{"items", info.item_level},
                                    {"stores", info.store_level},
                                    {"categories", info.category_level}})
    if (!level.empty())
      field(name, fmt::format("{} ({})", info.statics[info.static_index(level)].vocabulary.size(), level));
  if (!info.notes.empty()) field("notes", info.notes);
}

void print_columns(const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  std::vector<std::vector<std::string>> rows{{"name", "role", "kind", "per", "values"}};
  for (const auto& one : info.covariates)
    rows.push_back({one.name, data::to_string(one.role), data::to_string(one.kind), one.per,
                    one.kind == Kind::numeric
                        ? ""
                        : fmt::format("{}: {}", one.vocabulary.size(), words(one.vocabulary))});
  if (!info.covariates.empty()) table("covariates", rows);
  rows = {{"name", "kind", "values"}};
  for (const auto& one : info.statics)
    rows.push_back({one.name, data::to_string(one.kind),
                    one.kind == Kind::numeric
                        ? ""
                        : fmt::format("{}: {}", one.vocabulary.size(), words(one.vocabulary))});
  if (!info.statics.empty()) table("statics", rows);
}

void print_texts(const Corpus& corpus) {
  const std::vector<data::Document> documents = corpus.documents();
  std::size_t bytes = 0, empty = 0;
  for (const auto& one : documents) {
    bytes += one.text.size();
    empty += one.text.empty();
  }
  fmt::print("\n");
  field("texts", documents.empty() ? "none"
                                   : fmt::format("{}, {} in all{}", documents.size(),
                                                 format_bytes(static_cast<double>(bytes)),
                                                 empty > 0 ? fmt::format(", {} empty", empty) : ""));
  if (const auto truths = corpus.truths(); !truths.empty())
    field("truths", fmt::format("{}", fmt::join(truths, ", ")));
  const auto [rows, steps] = corpus.chunk_shape();
  field("chunks",
        fmt::format("{} series x {} steps, {} segments", rows, steps, corpus.manifest().segments.size()));
}

void print_files(const Corpus& corpus, Verify verify) {
  std::vector<std::vector<std::string>> rows{{"file", "size", "digest"}};
  for (const data::FileEntry& file : corpus.manifest().files())
    rows.push_back({file.file, format_bytes(static_cast<double>(file.bytes)), file.digest});
  rows.push_back({"manifest.json", "", corpus.digest()});
  table(verify == Verify::yes ? "files (every byte matches its digest)" : "files", rows);
}

}  // namespace

void run(const InspectCommand& options, parallel::Launch&) {
  if (log::identity().rank != 0) return;
  const Corpus corpus(options.corpus);
  const Verify verify = options.verify ? Verify::yes : Verify::no;
  if (verify == Verify::yes) corpus.verify();
  print_overview(corpus);
  print_columns(corpus);
  print_texts(corpus);
  print_files(corpus, verify);
}

}  // namespace shelfcast::trainer
