#include "data/corpus_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

Hdf5File create_file(const fs::path& path, const std::string& format) {
  Hdf5File file = Hdf5File::create(path);
  file.set_attribute("format", format);
  file.set_attribute("version", std::int64_t{kCorpusVersion});
  return file;
}

FileEntry describe(const fs::path& path) {
  return {path.filename().string(), static_cast<std::int64_t>(fs::file_size(path)), digest_file(path)};
}

// Renames "<part>.h5" to "<part>-<digest>.h5": a later state of the corpus may have another of the same part
// beside it.
FileEntry name_by_digest(const fs::path& path) {
  FileEntry entry = describe(path);
  const std::string hex = entry.digest.substr(entry.digest.find(':') + 1, 16);
  entry.file = fmt::format("{}-{}.h5", path.stem().string(), hex);
  std::error_code failed;
  fs::rename(path, path.parent_path() / entry.file, failed);
  if (failed) throw io_error("cannot rename " + path.string(), failed.value());
  return entry;
}

void check_name(const std::string& name, const char* what, std::set<std::string>& seen) {
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
    throw input_error(fmt::format("\"{}\" cannot name a {}", name, what), "it is empty or holds a slash",
                      "rename it");
  if (!seen.insert(name).second)
    throw input_error(fmt::format("two {}s are named \"{}\"", what, name), {}, "rename one");
}

void check_levels(const CorpusInfo& info) {
  for (const std::string* level : {&info.item_level, &info.store_level, &info.category_level})
    if (!level->empty()) info.static_index(*level);
}

void check_info(const CorpusInfo& info) {
  std::set<std::string> covariates, statics;
  for (const StaticInfo& fact : info.statics) check_name(fact.name, "static", statics);
  for (const CovariateInfo& covariate : info.covariates) {
    check_name(covariate.name, "covariate", covariates);
    if (covariate.per == "series" || covariate.per == "all") continue;
    if (info.statics[info.static_index(covariate.per)].kind != Kind::categorical)
      throw input_error(
          fmt::format("covariate \"{}\" is per \"{}\", which is a number", covariate.name, covariate.per), {},
          "use a categorical static");
  }
  if (info.steps < 1) throw input_error("the corpus has no time steps", {}, "check the dates of the source");
  check_levels(info);
}

void check_table(const CorpusInfo& info, const SeriesTable& table) {
  if (table.names.empty())
    throw input_error("the corpus has no series", {}, "check the keys and filters of the source");
  std::set<std::string_view> seen;
  for (const std::string& name : table.names)
    if (!seen.insert(name).second)
      throw input_error(fmt::format("two series are named \"{}\"", name), {}, "rename one");
  SHELFCAST_ASSERT(table.codes.size() == info.statics.size() && table.values.size() == info.statics.size());
  for (std::size_t i = 0; i < info.statics.size(); ++i) {
    const bool categorical = info.statics[i].kind == Kind::categorical;
    SHELFCAST_ASSERT((categorical ? table.codes[i].size() : table.values[i].size()) == table.names.size());
    const auto size = static_cast<std::int32_t>(info.statics[i].vocabulary.size());
    for (const std::int32_t code : table.codes[i]) SHELFCAST_ASSERT(code >= -1 && code < size);
  }
}

FileEntry write_series_file(const fs::path& folder, const CorpusInfo& info, const SeriesTable& table) {
  const fs::path path = folder / "series.h5";
  Hdf5File file = create_file(path, "shelfcast-series");
  file.write_strings("names", table.names);
  for (std::size_t i = 0; i < info.statics.size(); ++i) {
    const StaticInfo& fact = info.statics[i];
    if (fact.kind == Kind::numeric) {
      file.write_vector("static/" + fact.name, std::span<const float>(table.values[i]));
      continue;
    }
    file.write_vector("static/" + fact.name, std::span<const std::int32_t>(table.codes[i]));
    file.write_strings("vocabulary/static/" + fact.name, fact.vocabulary);
  }
  for (const CovariateInfo& covariate : info.covariates)
    if (covariate.kind == Kind::categorical)
      file.write_strings("vocabulary/covariate/" + covariate.name, covariate.vocabulary);
  file.close();
  return name_by_digest(path);
}

// Pieces of equal length, none longer than `longest`: a last piece of a few steps would waste most of its
// chunk.
std::int64_t even_chunk(std::int64_t steps, std::int64_t longest) {
  const std::int64_t pieces = (steps + longest - 1) / longest;
  return (steps + pieces - 1) / pieces;
}

// Index of the first value that is infinite, or -1.
std::int64_t first_infinite(std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isinf(values[i])) return static_cast<std::int64_t>(i);
  return -1;
}

// Index of the first value that is no code of a vocabulary of `size` words and not -1, or -1.
std::int64_t first_bad_code(std::span<const float> values, std::size_t size) {
  const float end = static_cast<float>(size);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= -1.0F && values[i] < end && values[i] == std::floor(values[i])))
      return static_cast<std::int64_t>(i);
  return -1;
}

}  // namespace

struct CorpusWriter::Impl {
  AtomicFolder folder;  // first: removed last, after the files in it are closed
  LayoutOptions layout;
  Manifest manifest;
  std::vector<std::size_t> per_series;  // indices of covariates with per == "series"
  std::vector<std::string> names;

  std::optional<Hdf5File> shared, truth;
  std::set<std::size_t> shared_written;
  struct Truth {
    Hdf5Dataset dataset;
    std::int64_t rows = 0;
  };
  std::map<std::string, Truth> truths;

  // The segment being written: its file, one dataset for demand and each per-series covariate, and how far it
  // is.
  std::optional<Hdf5File> segment;
  std::vector<Hdf5Dataset> columns;
  std::int64_t segment_rows = 0, rows_written = 0;
  // Rows waiting until a whole chunk of them is there: chunks are written once.
  std::vector<std::vector<float>> waiting;
  std::int64_t rows_waiting = 0;
  std::int64_t rows_taken = 0;  // over all segments

  Impl(const fs::path& path, CorpusInfo info, const SeriesTable& table, LayoutOptions options);
  CorpusInfo& info() { return manifest.info; }
  PanelLayout panel(std::int64_t rows, StoredType type) const;
  void open_segment();
  void close_segment();
  void write_rows(std::int64_t rows, const std::vector<std::span<const float>>& sources, std::int64_t from);
  void flush_waiting();
  void take(std::int64_t rows, const std::vector<std::span<const float>>& sources);
  void check_values(std::int64_t rows, const std::vector<std::span<const float>>& sources);
  void note_demand_end(std::span<const float> demand);
  void finish_side_files();
  void write_view();
};

CorpusWriter::Impl::Impl(const fs::path& path, CorpusInfo given, const SeriesTable& table,
                         LayoutOptions options)
    : folder(path), layout(options), names(table.names) {
  const auto series = static_cast<std::int64_t>(table.names.size());
  SHELFCAST_ASSERT(given.series == 0 || given.series == series);
  given.series = series;
  given.demand_end = 0;  // found from the numbers
  if (given.name.empty()) given.name = (path.filename().empty() ? path.parent_path() : path).stem().string();
  check_info(given);
  check_table(given, table);
  manifest.info = std::move(given);
  layout.chunk_series = std::clamp<std::int64_t>(layout.chunk_series, 1, series);
  layout.chunk_steps = even_chunk(info().steps, std::max<std::int64_t>(1, layout.chunk_steps));
  // Segments hold whole chunks.
  layout.segment_series =
      std::max(layout.segment_series / layout.chunk_series, std::int64_t{1}) * layout.chunk_series;
  for (std::size_t i = 0; i < info().covariates.size(); ++i)
    if (info().covariates[i].per == "series") per_series.push_back(i);
  waiting.resize(1 + per_series.size());
  manifest.series = write_series_file(folder.staging(), info(), table);
}

PanelLayout CorpusWriter::Impl::panel(std::int64_t rows, StoredType type) const {
  return {
      rows, manifest.info.steps, std::min(rows, layout.chunk_series), layout.chunk_steps, layout.compression,
      type};
}

void CorpusWriter::Impl::open_segment() {
  segment_rows = std::min(layout.segment_series, info().series - rows_taken);
  rows_written = 0;
  const std::string name = fmt::format("segment-{:06}.h5", manifest.segments.size());
  manifest.segments.push_back({{name, 0, {}}, rows_taken, segment_rows, 0, info().steps});
  segment = create_file(folder.staging() / name, "shelfcast-segment");
  segment->set_attribute("first_series", rows_taken);
  segment->set_attribute("first_step", std::int64_t{0});
  columns.push_back(segment->create_dataset("demand", panel(segment_rows, StoredType::float32)));
  for (const std::size_t i : per_series)
    columns.push_back(segment->create_dataset(dataset_of(info().covariates[i]),
                                              panel(segment_rows, stored_type(info().covariates[i]))));
  segment->reserve_space();
}

void CorpusWriter::Impl::close_segment() {
  columns.clear();
  segment->close();
  const fs::path path = segment->path();
  segment.reset();
  manifest.segments.back().file = describe(path);
}

// Writes rows [from, from + rows) of the sources as the segment's next rows.
void CorpusWriter::Impl::write_rows(std::int64_t rows, const std::vector<std::span<const float>>& sources,
                                    std::int64_t from) {
  for (std::size_t i = 0; i < columns.size(); ++i)
    columns[i].write({rows_written, rows, 0, info().steps}, sources[i].data() + from * info().steps);
  rows_written += rows;
}

void CorpusWriter::Impl::flush_waiting() {
  if (rows_waiting == 0) return;
  write_rows(rows_waiting, {waiting.begin(), waiting.end()}, 0);
  rows_waiting = 0;
  for (auto& column : waiting) column.clear();
}

void CorpusWriter::Impl::take(std::int64_t rows, const std::vector<std::span<const float>>& sources) {
  for (std::int64_t from = 0; from < rows;) {
    if (!segment) open_segment();
    const std::int64_t left = std::min(rows - from, segment_rows - rows_written - rows_waiting);
    const std::int64_t whole = left / layout.chunk_series * layout.chunk_series;
    const std::int64_t count =
        rows_waiting == 0 && whole > 0 ? whole : std::min(left, layout.chunk_series - rows_waiting);
    if (rows_waiting == 0 && whole > 0) {
      write_rows(count, sources, from);
    } else {
      for (std::size_t i = 0; i < waiting.size(); ++i) {
        const auto part = sources[i].subspan(static_cast<std::size_t>(from * info().steps),
                                             static_cast<std::size_t>(count * info().steps));
        waiting[i].insert(waiting[i].end(), part.begin(), part.end());
      }
      rows_waiting += count;
    }
    from += count;
    rows_taken += count;
    if (rows_waiting == layout.chunk_series || rows_written + rows_waiting == segment_rows) flush_waiting();
    if (rows_written == segment_rows) close_segment();
  }
}

void CorpusWriter::Impl::check_values(std::int64_t rows, const std::vector<std::span<const float>>& sources) {
  const auto where = [&](std::int64_t index) {
    return fmt::format("series {}, {}", names[static_cast<std::size_t>(rows_taken + index / info().steps)],
                       format_date(info().axis.date_of(index % info().steps)));
  };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    SHELFCAST_ASSERT(static_cast<std::int64_t>(sources[i].size()) == rows * info().steps);
    const CovariateInfo* covariate = i == 0 ? nullptr : &info().covariates[per_series[i - 1]];
    const std::string name = covariate == nullptr ? "demand" : covariate->name;
    if (covariate != nullptr && covariate->kind == Kind::categorical) {
      const std::int64_t bad = first_bad_code(sources[i], covariate->vocabulary.size());
      if (bad >= 0)
        throw Error(ErrorKind::internal, fmt::format("{} of {} is not in its vocabulary", name, where(bad)));
    } else if (const std::int64_t bad = first_infinite(sources[i]); bad >= 0) {
      throw input_error(fmt::format("{} is infinite", name), where(bad),
                        "leave the cell empty if it is not known");
    }
  }
}

void CorpusWriter::Impl::note_demand_end(std::span<const float> demand) {
  const std::int64_t steps = info().steps;
  for (std::size_t row = 0; row < demand.size(); row += static_cast<std::size_t>(steps))
    for (std::int64_t step = steps; step > info().demand_end; --step)
      if (!std::isnan(demand[row + static_cast<std::size_t>(step) - 1])) info().demand_end = step;
}

void CorpusWriter::Impl::finish_side_files() {
  if (shared) {
    shared->close();
    manifest.shared = name_by_digest(shared->path());
  }
  for (const auto& [name, one] : truths)
    if (one.rows != info().series)
      throw input_error(fmt::format("truth \"{}\" has {} of {} series", name, one.rows, info().series));
  if (truth) {
    truths.clear();
    truth->close();
    manifest.truth = describe(truth->path());
  }
}

// all.h5: everything in one file for h5py. Not in the manifest, for nothing of ours reads it.
void CorpusWriter::Impl::write_view() {
  Hdf5File view = create_file(folder.staging() / "all.h5", "shelfcast-view");
  view.set_attribute("start", format_date(info().axis.start));
  view.set_attribute("frequency", std::string(shelfcast::to_string(info().axis.frequency)));
  std::vector<VirtualSource> sources;
  for (const SegmentEntry& entry : manifest.segments)
    sources.push_back({entry.file.file, entry.first_series, entry.series, entry.first_step, entry.steps});
  view.create_virtual("demand", StoredType::float32, info().series, info().steps, sources);
  for (const CovariateInfo& covariate : info().covariates) {
    const std::string name = dataset_of(covariate);
    if (covariate.per == "series")
      view.create_virtual(name, stored_type(covariate), info().series, info().steps, sources);
    else
      view.link_external(name, manifest.shared->file);
  }
  view.link_external("names", manifest.series.file);
  if (!info().statics.empty()) view.link_external("static", manifest.series.file);
  view.link_external("vocabulary", manifest.series.file);
  if (manifest.texts) view.link_external("text", manifest.texts->file);
  if (manifest.truth) view.link_external("truth", manifest.truth->file);
  view.close();
}

CorpusWriter::CorpusWriter(const fs::path& folder, CorpusInfo info, const SeriesTable& table,
                           LayoutOptions layout)
    : impl_(std::make_unique<Impl>(folder, std::move(info), table, layout)) {}

CorpusWriter::~CorpusWriter() = default;

void CorpusWriter::write_shared(std::size_t index, std::span<const float> values) {
  CorpusInfo& info = impl_->info();
  SHELFCAST_ASSERT(index < info.covariates.size() && info.covariates[index].per != "series");
  const CovariateInfo& covariate = info.covariates[index];
  const std::int64_t rows = shared_rows(info, covariate);
  SHELFCAST_ASSERT(static_cast<std::int64_t>(values.size()) == rows * info.steps);
  const bool first_time = impl_->shared_written.insert(index).second;
  SHELFCAST_ASSERT(first_time);
  if (covariate.kind == Kind::categorical)
    SHELFCAST_ASSERT(first_bad_code(values, covariate.vocabulary.size()) < 0);
  else if (first_infinite(values) >= 0)
    throw input_error(covariate.name + " is infinite somewhere", {},
                      "leave the cell empty if it is not known");
  if (!impl_->shared) impl_->shared = create_file(impl_->folder.staging() / "shared.h5", "shelfcast-shared");
  PanelLayout layout{rows, info.steps, 0, 0, 0, stored_type(covariate)};
  if (impl_->layout.compression > 0) layout = impl_->panel(rows, layout.type);
  Hdf5Dataset dataset = impl_->shared->create_dataset(dataset_of(covariate), layout);
  dataset.write({0, rows, 0, info.steps}, values.data());
}

void CorpusWriter::append(std::int64_t series, std::span<const float> demand,
                          std::span<const std::vector<float>> covariates) {
  if (impl_->rows_taken + series > impl_->info().series)
    throw Error(ErrorKind::internal, fmt::format("more than {} series were appended", impl_->info().series));
  SHELFCAST_ASSERT(covariates.size() == impl_->per_series.size());
  std::vector<std::span<const float>> sources{demand};
  for (const auto& values : covariates) sources.emplace_back(values);
  impl_->check_values(series, sources);
  impl_->note_demand_end(demand);
  impl_->take(series, sources);
}

void CorpusWriter::write_documents(const std::vector<Document>& documents) {
  SHELFCAST_ASSERT(!impl_->manifest.texts);
  if (documents.empty()) return;
  std::vector<std::string> items;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::uint8_t> bytes;
  for (const Document& document : documents) {
    items.push_back(document.item);
    bytes.insert(bytes.end(), document.text.begin(), document.text.end());
    offsets.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  const fs::path path = impl_->folder.staging() / "texts.h5";
  Hdf5File file = create_file(path, "shelfcast-texts");
  file.write_strings("text/item", items);
  file.write_vector("text/offsets", std::span<const std::int64_t>(offsets));
  file.write_vector("text/bytes", std::span<const std::uint8_t>(bytes));
  file.close();
  impl_->manifest.texts = name_by_digest(path);
}

void CorpusWriter::append_truth(const std::string& name, std::int64_t series, std::span<const float> values) {
  const CorpusInfo& info = impl_->info();
  SHELFCAST_ASSERT(static_cast<std::int64_t>(values.size()) == series * info.steps);
  if (!impl_->truth) impl_->truth = create_file(impl_->folder.staging() / "truth.h5", "shelfcast-truth");
  auto found = impl_->truths.find(name);
  if (found == impl_->truths.end()) {
    PanelLayout layout = impl_->panel(info.series, StoredType::float32);
    layout.compression = 0;  // rows may come one by one, and a compressed chunk is written once
    Impl::Truth made{impl_->truth->create_dataset("truth/" + name, layout), 0};
    impl_->truth->reserve_space();
    found = impl_->truths.emplace(name, std::move(made)).first;
  }
  SHELFCAST_ASSERT(found->second.rows + series <= info.series);
  found->second.dataset.write({found->second.rows, series, 0, info.steps}, values.data());
  found->second.rows += series;
}

void CorpusWriter::finish() {
  const CorpusInfo& info = impl_->info();
  if (impl_->rows_taken != info.series)
    throw input_error(fmt::format("only {} of {} series were written", impl_->rows_taken, info.series));
  for (std::size_t i = 0; i < info.covariates.size(); ++i)
    if (info.covariates[i].per != "series" && impl_->shared_written.count(i) == 0)
      throw Error(ErrorKind::internal,
                  fmt::format("covariate \"{}\" was never written", info.covariates[i].name));
  if (info.demand_end == 0)
    throw input_error("the corpus has no demand", "every cell is missing",
                      "check the target column of the source");
  impl_->finish_side_files();
  impl_->write_view();
  write_manifest(impl_->folder.staging(), impl_->manifest);
  impl_->folder.commit();
}

}  // namespace shelfcast::data
