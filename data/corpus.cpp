#include "data/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/about.h"
#include "base/error.h"
#include "base/files.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAgain = "copy it again or make the corpus again";
constexpr std::size_t kOpenSegments =
    32;  // files kept open: descriptors are scarce, segments may be thousands

template <typename Items>
std::size_t index_by_name(const Items& items, const std::string& name, const char* what) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].name == name) return i;
    names.push_back(items[i].name);
  }
  const std::string nearest = nearest_name(name, names);
  throw input_error(fmt::format("the corpus has no {} \"{}\"", what, name),
                    names.empty() ? "it has none" : fmt::format("it has {}", fmt::join(names, ", ")),
                    nearest.empty() ? "" : fmt::format("did you mean \"{}\"?", nearest));
}

// Present and of the size the manifest says.
void check_size(const fs::path& path, const FileEntry& entry) {
  std::error_code failed;
  const auto bytes = fs::file_size(path, failed);
  if (failed == std::errc::no_such_file_or_directory)
    throw data_error(path.string() + " is missing", {}, kAgain);
  if (failed) throw io_error("cannot read " + path.string(), failed.value());
  if (static_cast<std::int64_t>(bytes) == entry.bytes) return;
  const char* what = static_cast<std::int64_t>(bytes) < entry.bytes ? " is truncated" : " has grown";
  throw data_error(path.string() + what,
                   fmt::format("{} bytes where the manifest says {}", bytes, entry.bytes), kAgain);
}

Hdf5File open_checked(const fs::path& folder, const FileEntry& entry, const char* format) {
  const fs::path path = folder / entry.file;
  check_size(path, entry);
  Hdf5File file = Hdf5File::open(path);
  if (file.text_attribute("format") != format)
    throw data_error(path.string() + " is not part of a corpus", fmt::format("its format is not {}", format),
                     kAgain);
  if (const auto version = file.integer_attribute("version"); version != kCorpusVersion)
    throw data_error(fmt::format("{} has format version {}", path.string(), version.value_or(0)),
                     fmt::format("this program reads version {}", kCorpusVersion), kAgain);
  return file;
}

// One segment with its datasets; `covariates` is indexed like CorpusInfo::covariates (empty for those not per
// series). The file is declared first so that it closes last.
struct OpenSegment {
  Hdf5File file;
  Hdf5Dataset demand;
  std::vector<Hdf5Dataset> covariates;
  std::uint64_t used = 0;
};

}  // namespace

std::size_t CorpusInfo::covariate_index(const std::string& covariate) const {
  if (covariate == target && covariate != "demand")
    throw input_error(fmt::format("\"{}\" is what data.target forecasts", covariate),
                      "its history is read in the place of demand's",
                      "leave it out here; demand is a column");
  return index_by_name(covariates, covariate, "covariate");
}

std::size_t CorpusInfo::static_index(const std::string& static_name) const {
  return index_by_name(statics, static_name, "static");
}

std::span<const float> PanelBlock::row(std::size_t column, std::int64_t index) const {
  const Column& from = columns[column];
  const auto length = static_cast<std::size_t>(steps),
             in_block = static_cast<std::size_t>(index - first_series);
  std::size_t at = from.rows == 1 ? 0 : in_block;
  if (from.rows != 1 && !from.row_of.empty()) at = static_cast<std::size_t>(from.row_of[in_block]);
  return std::span(from.values).subspan(at * length, length);
}

struct Corpus::Files {
  CorpusSource source;
  fs::path folder;
  std::string digest;  // before the manifest: reading that fills it
  Manifest manifest;
  CorpusInfo seen;                    // the manifest's with the target in demand's place
  std::optional<std::size_t> target;  // covariate that is seen as demand
  std::vector<std::string> names;
  std::vector<std::vector<std::int32_t>> codes;
  std::vector<std::vector<float>> values;
  std::optional<Hdf5File> shared_file, truth_file;
  std::vector<Hdf5Dataset> shared;  // indexed like covariates
  std::vector<std::unique_ptr<OpenSegment>> open;
  std::uint64_t uses = 0;

  explicit Files(CorpusSource from);
  void load_series();
  void see_target();
  void check_vocabularies();
  void open_shared();
  OpenSegment& segment(std::size_t index);
  void close_oldest();
  void read_column(std::size_t covariate, const PanelBlock& block, PanelBlock::Column& column);
  void read_shared_rows(std::size_t covariate, const PanelBlock& block, PanelBlock::Column& column);
  template <typename DatasetOf>
  void read_cells(const PanelBlock& block, float* to, DatasetOf dataset_of_segment);
};

Corpus::Files::Files(CorpusSource from)
    : source(std::move(from)), folder(source.folder), manifest(read_manifest(folder, &digest)) {
  open.resize(manifest.segments.size());
  load_series();
  see_target();
  open_shared();
  if (manifest.texts) open_checked(folder, *manifest.texts, "shelfcast-texts");
  if (manifest.truth) truth_file = open_checked(folder, *manifest.truth, "shelfcast-truth");
  for (std::size_t i = 0; i < manifest.segments.size(); ++i) segment(i);
}

void Corpus::Files::load_series() {
  const Hdf5File file = open_checked(folder, manifest.series, "shelfcast-series");
  const std::size_t series = static_cast<std::size_t>(manifest.info.series);
  const auto check = [&](std::size_t length, const std::string& name) {
    if (length == series) return;
    throw data_error(fmt::format("{}, dataset {} has the wrong shape", file.path().string(), name),
                     fmt::format("{} where the manifest says {} series", length, series), kAgain);
  };
  names = file.read_strings("names");
  check(names.size(), "names");
  for (StaticInfo& fact : manifest.info.statics) {
    const std::string name = "static/" + fact.name;
    codes.emplace_back();
    values.emplace_back();
    if (fact.kind == Kind::categorical) {
      codes.back() = file.read_int32(name);
      fact.vocabulary = file.read_strings("vocabulary/static/" + fact.name);
    } else {
      values.back() = file.read_floats(name);
    }
    check(std::max(codes.back().size(), values.back().size()), name);
  }
  for (CovariateInfo& covariate : manifest.info.covariates)
    if (covariate.kind == Kind::categorical)
      covariate.vocabulary = file.read_strings("vocabulary/covariate/" + covariate.name);
  check_vocabularies();
}

void Corpus::Files::see_target() {
  seen = manifest.info;
  if (source.target.empty()) return;
  target = about("data.target", [&] { return seen.covariate_index(source.target); });
  CovariateInfo& covariate = seen.covariates[*target];
  const auto refuse = [&](const std::string& why) {
    throw input_error(fmt::format("data.target: \"{}\" cannot be forecast", source.target), why,
                      "name a column of numbers that differ from series to series");
  };
  if (covariate.kind == Kind::categorical) refuse("it is categorical");
  if (covariate.per != "series")
    refuse(fmt::format("it has one row per {}, not one per series", covariate.per));
  if (std::ranges::find(seen.covariates, "demand", &CovariateInfo::name) != seen.covariates.end())
    refuse("demand would take its place, and there is a covariate of that name");
  covariate = {"demand", Role::past, Kind::numeric, "series", {}};
  seen.target = source.target;
}

// A code outside its vocabulary would index past the end of a table later.
void Corpus::Files::check_vocabularies() {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto size = static_cast<std::int32_t>(manifest.info.statics[i].vocabulary.size());
    for (const std::int32_t code : codes[i])
      if (code < -1 || code >= size)
        throw data_error(
            fmt::format("{}, dataset static/{} holds code {}", (folder / manifest.series.file).string(),
                        manifest.info.statics[i].name, code),
            fmt::format("its vocabulary has {} values", size), kAgain);
  }
}

void Corpus::Files::open_shared() {
  const CorpusInfo& info = manifest.info;
  shared.resize(info.covariates.size());
  if (manifest.shared) shared_file = open_checked(folder, *manifest.shared, "shelfcast-shared");
  for (std::size_t i = 0; i < info.covariates.size(); ++i) {
    const CovariateInfo& covariate = info.covariates[i];
    if (covariate.per == "series") continue;
    if (!shared_file)
      throw data_error(folder.string() + " has no file of shared covariates",
                       fmt::format("covariate {} needs one", covariate.name), kAgain);
    shared[i] = shared_file->dataset(dataset_of(covariate), shared_rows(info, covariate), info.steps);
  }
}

OpenSegment& Corpus::Files::segment(std::size_t index) {
  std::unique_ptr<OpenSegment>& slot = open[index];
  if (!slot) {
    close_oldest();
    const SegmentEntry& entry = manifest.segments[index];
    slot = std::make_unique<OpenSegment>(
        OpenSegment{open_checked(folder, entry.file, "shelfcast-segment"), {}, {}, 0});
    slot->demand = slot->file.dataset("demand", entry.series, entry.stored_steps);
    slot->covariates.resize(manifest.info.covariates.size());
    for (std::size_t i = 0; i < slot->covariates.size(); ++i)
      if (manifest.info.covariates[i].per == "series")
        slot->covariates[i] =
            slot->file.dataset(dataset_of(manifest.info.covariates[i]), entry.series, entry.stored_steps);
  }
  slot->used = ++uses;
  return *slot;
}

void Corpus::Files::close_oldest() {
  std::size_t count = 0;
  std::unique_ptr<OpenSegment>* oldest = nullptr;
  for (auto& slot : open) {
    if (!slot) continue;
    ++count;
    if (oldest == nullptr || slot->used < (*oldest)->used) oldest = &slot;
  }
  if (count >= kOpenSegments) oldest->reset();
}

// Reads the block's cells from every segment that overlaps it, each straight to its place.
template <typename DatasetOf>
void Corpus::Files::read_cells(const PanelBlock& block, float* to, DatasetOf dataset_of_segment) {
  for (std::size_t i = 0; i < manifest.segments.size(); ++i) {
    const SegmentEntry& entry = manifest.segments[i];
    const std::int64_t first_row = std::max(block.first_series, entry.first_series);
    const std::int64_t end_row =
        std::min(block.first_series + block.series, entry.first_series + entry.series);
    const std::int64_t first_column = std::max(block.first_step, entry.first_step);
    const std::int64_t end_column = std::min(block.first_step + block.steps, entry.first_step + entry.steps);
    if (first_row >= end_row || first_column >= end_column) continue;
    const Rectangle part{first_row - entry.first_series, end_row - first_row, first_column - entry.first_step,
                         end_column - first_column};
    float* place = to + (first_row - block.first_series) * block.steps + (first_column - block.first_step);
    dataset_of_segment(segment(i)).read(part, place, block.steps);
  }
}

void Corpus::Files::read_column(std::size_t covariate, const PanelBlock& block, PanelBlock::Column& column) {
  const CovariateInfo& info = manifest.info.covariates[covariate];
  if (info.per != "series") return read_shared_rows(covariate, block, column);
  column.rows = block.series;
  column.row_of.clear();
  column.values.resize(static_cast<std::size_t>(block.series * block.steps));
  read_cells(block, column.values.data(), [&](OpenSegment& segment) -> Hdf5Dataset& {
    return covariate == target ? segment.demand : segment.covariates[covariate];
  });
}

// Reads the rows that the block's series need, once each, in runs; a series without a value of the level
// (code -1) gets a row of missing values at the end.
void Corpus::Files::read_shared_rows(std::size_t covariate, const PanelBlock& block,
                                     PanelBlock::Column& column) {
  const CovariateInfo& info = manifest.info.covariates[covariate];
  std::vector<std::int32_t> needed{0};
  column.row_of.clear();
  if (info.per != "all") {
    const auto& level = codes[manifest.info.static_index(info.per)];
    column.row_of.assign(level.begin() + block.first_series,
                         level.begin() + block.first_series + block.series);
    needed = column.row_of;
    std::sort(needed.begin(), needed.end());
    needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
    const bool some_missing = !needed.empty() && needed.front() < 0;
    if (some_missing) std::rotate(needed.begin(), needed.begin() + 1, needed.end());
    const auto sorted_end = needed.end() - (some_missing ? 1 : 0);
    for (std::int32_t& row : column.row_of)
      row =
          row < 0
              ? static_cast<std::int32_t>(needed.size() - 1)
              : static_cast<std::int32_t>(std::lower_bound(needed.begin(), sorted_end, row) - needed.begin());
  }
  column.rows = static_cast<std::int64_t>(needed.size());
  column.values.resize(needed.size() * static_cast<std::size_t>(block.steps));
  for (std::size_t i = 0; i < needed.size();) {
    float* to = column.values.data() + static_cast<std::int64_t>(i) * block.steps;
    if (needed[i] < 0) {
      const float missing = info.kind == Kind::categorical ? -1.0F : std::numeric_limits<float>::quiet_NaN();
      std::fill_n(to, block.steps, missing);
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    while (end < needed.size() && needed[end] == needed[end - 1] + 1) ++end;
    shared[covariate].read({needed[i], static_cast<std::int64_t>(end - i), block.first_step, block.steps}, to,
                           block.steps);
    i = end;
  }
  if (column.rows == 1) column.row_of.clear();
}

Corpus::Corpus(CorpusSource source) : files_(std::make_unique<Files>(std::move(source))) {}
Corpus::~Corpus() = default;
Corpus::Corpus(Corpus&&) noexcept = default;
Corpus& Corpus::operator=(Corpus&&) noexcept = default;

const CorpusSource& Corpus::source() const { return files_->source; }
const CorpusInfo& Corpus::info() const { return files_->seen; }
const std::string& Corpus::digest() const { return files_->digest; }
const std::vector<std::string>& Corpus::series_names() const { return files_->names; }
const Manifest& Corpus::manifest() const { return files_->manifest; }

std::span<const std::int32_t> Corpus::static_codes(std::size_t index) const {
  return files_->codes.at(index);
}
std::span<const float> Corpus::static_values(std::size_t index) const { return files_->values.at(index); }

std::pair<std::int64_t, std::int64_t> Corpus::chunk_shape() const {
  const Hdf5Dataset& demand = files_->segment(0).demand;
  return {demand.chunk_rows(), demand.chunk_columns()};
}

std::vector<Document> Corpus::documents() const {
  std::vector<Document> documents;
  if (!files_->manifest.texts) return documents;
  const Hdf5File file = open_checked(files_->folder, *files_->manifest.texts, "shelfcast-texts");
  const std::vector<std::string> items = file.read_strings("text/item");
  const std::vector<std::int64_t> offsets = file.read_int64("text/offsets");
  const std::vector<std::uint8_t> bytes = file.read_bytes("text/bytes");
  bool sound = offsets.size() == items.size() + 1 && offsets.front() == 0 &&
               offsets.back() == static_cast<std::int64_t>(bytes.size());
  sound = sound && std::is_sorted(offsets.begin(), offsets.end());
  if (!sound)
    throw data_error(file.path().string() + ", dataset text/offsets does not fit its bytes", {}, kAgain);
  for (std::size_t i = 0; i < items.size(); ++i)
    documents.push_back({items[i], std::string(bytes.begin() + offsets[i], bytes.begin() + offsets[i + 1])});
  return documents;
}

void Corpus::read(std::int64_t first_series, std::int64_t series, std::int64_t first_step, std::int64_t steps,
                  std::span<const std::size_t> covariates, PanelBlock& block) const {
  SHELFCAST_ASSERT(first_series >= 0 && series >= 0 && first_series + series <= info().series);
  SHELFCAST_ASSERT(first_step >= 0 && steps >= 0 && first_step + steps <= info().steps);
  block.first_series = first_series;
  block.series = series;
  block.first_step = first_step;
  block.steps = steps;
  block.demand.resize(static_cast<std::size_t>(series * steps));
  files_->read_cells(block, block.demand.data(), [&](OpenSegment& segment) -> Hdf5Dataset& {
    return files_->target ? segment.covariates[*files_->target] : segment.demand;
  });
  block.columns.resize(covariates.size());
  for (std::size_t i = 0; i < covariates.size(); ++i)
    files_->read_column(covariates[i], block, block.columns[i]);
}

std::vector<float> Corpus::read_shared(std::size_t covariate, std::int64_t first_step,
                                       std::int64_t steps) const {
  SHELFCAST_ASSERT(covariate < info().covariates.size() && info().covariates[covariate].per != "series");
  const Hdf5Dataset& dataset = files_->shared[covariate];
  std::vector<float> values(static_cast<std::size_t>(dataset.rows() * steps));
  dataset.read({0, dataset.rows(), first_step, steps}, values.data(), steps);
  return values;
}

std::vector<std::string> Corpus::truths() const {
  // Truths are of demand.
  return files_->truth_file && !files_->target ? files_->truth_file->names("truth")
                                               : std::vector<std::string>{};
}

void Corpus::read_truth(const std::string& name, std::int64_t first_series, std::int64_t series,
                        std::int64_t first_step, std::int64_t steps, std::vector<float>& values) const {
  const std::vector<std::string> known = truths();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw input_error(fmt::format("the corpus holds no truth \"{}\"", name),
                      known.empty() ? "only synthetic corpora do, of demand"
                                    : fmt::format("it holds {}", fmt::join(known, ", ")));
  const Hdf5Dataset dataset = files_->truth_file->dataset("truth/" + name, info().series, info().steps);
  values.resize(static_cast<std::size_t>(series * steps));
  dataset.read({first_series, series, first_step, steps}, values.data(), steps);
}

void Corpus::verify() const {
  for (const FileEntry& entry : files_->manifest.files()) {
    const fs::path path = files_->folder / entry.file;
    check_size(path, entry);
    if (digest_file(path) != entry.digest)
      throw data_error(path.string() + " is damaged", "its digest differs from the manifest's", kAgain);
  }
}

}  // namespace shelfcast::data
