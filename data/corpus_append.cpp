#include "data/corpus_append.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "data/corpus_parts.h"
#include "data/segment_writer.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

// Numbers of demand and covariates held at a time.
constexpr std::int64_t kNumbersPerBlock = 8 << 20;

constexpr std::string_view kSegment = "segment-";

// The number in "segment-000012.h5"; -1 for other names.
std::int64_t number_of(const std::string& file) {
  std::int64_t number = -1;
  if (file.starts_with(kSegment) && file.ends_with(".h5"))
    std::from_chars(file.data() + kSegment.size(), file.data() + file.size() - 3, number);
  return number;
}

// New files are made here and moved into the corpus when they are whole. A name of its own for the step that
// a crash may leave behind.
class Staging {
 public:
  explicit Staging(fs::path path) : path_(std::move(path)) {
    remove();
    std::error_code failed;
    fs::create_directory(path_, failed);
    if (failed) throw io_error("cannot make " + path_.string(), failed.value());
  }
  ~Staging() { remove(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const fs::path& path() const { return path_; }

 private:
  void remove() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path path_;
};

class Appender {
 public:
  Appender(const Corpus& corpus, const Extension& extension, LayoutOptions layout)
      : corpus_(corpus),
        extension_(extension),
        layout_(layout),
        staging_(corpus.folder() / "append.partial") {}
  void run();

 private:
  void cut_old_segments();
  void write_region(PanelRegion region, const Extension::Fill& fill);
  FileEntry write_shared() const;
  void move_into_corpus();
  void remove_orphans() const;

  const Corpus& corpus_;
  const Extension& extension_;
  LayoutOptions layout_;
  Staging staging_;
  Manifest manifest_;
  std::int64_t next_number_ = 0;
};

// What old segments held of the steps that are written anew (covariates known ahead) no longer counts.
void Appender::cut_old_segments() {
  for (SegmentEntry segment : corpus_.manifest().segments) {
    next_number_ = std::max(next_number_, number_of(segment.file.file) + 1);
    segment.steps = std::min(segment.steps, extension_.first_step - segment.first_step);
    if (segment.steps > 0) manifest_.segments.push_back(segment);
  }
}

void Appender::write_region(PanelRegion region, const Extension::Fill& fill) {
  if (region.series == 0 || region.steps == 0) return;
  SegmentWriter writer(staging_.path(), manifest_.info, extension_.table.names, region, next_number_,
                       layout_);
  const auto columns = static_cast<std::int64_t>(manifest_.info.covariates.size()) + 1;
  const std::int64_t block =
      std::clamp<std::int64_t>(kNumbersPerBlock / (region.steps * columns), 1, layout_.segment_series);
  Progress progress("append", region.series, "series");
  PanelRows rows;
  for (std::int64_t first = 0; first < region.series; first += block) {
    const std::int64_t count = std::min(block, region.series - first);
    fill(first, count, rows);
    writer.append(count, rows.demand, rows.covariates);
    for (std::size_t i = 0; i < rows.demand.size(); ++i)
      if (!std::isnan(rows.demand[i]))
        manifest_.info.demand_end = std::max(
            manifest_.info.demand_end, region.first_step + static_cast<std::int64_t>(i) % region.steps + 1);
    progress.update(first + count);
  }
  for (SegmentEntry& segment : writer.take()) {
    next_number_ = std::max(next_number_, number_of(segment.file.file) + 1);
    manifest_.segments.push_back(std::move(segment));
  }
}

FileEntry Appender::write_shared() const {
  const fs::path path = staging_.path() / "shared.h5";
  Hdf5File file = create_part(path, "shelfcast-shared");
  for (std::size_t i = 0; i < manifest_.info.covariates.size(); ++i) {
    const CovariateInfo& covariate = manifest_.info.covariates[i];
    if (covariate.per == "series") continue;
    const std::int64_t rows = shared_rows(manifest_.info, covariate);
    SHELFCAST_ASSERT(static_cast<std::int64_t>(extension_.shared[i].size()) == rows * manifest_.info.steps);
    Hdf5Dataset dataset = file.create_dataset(dataset_of(covariate),
                                              {rows, manifest_.info.steps, 0, 0, 0, stored_type(covariate)});
    dataset.write({0, rows, 0, manifest_.info.steps}, extension_.shared[i].data());
  }
  file.close();
  return name_by_digest(path);
}

void Appender::move_into_corpus() {
  flush_folder(staging_.path());
  for (const auto& entry : fs::directory_iterator(staging_.path())) {
    if (entry.path().filename() == "all.h5") continue;  // last, after the manifest
    std::error_code failed;
    fs::rename(entry.path(), corpus_.folder() / entry.path().filename(), failed);
    if (failed) throw io_error("cannot write into " + corpus_.folder().string(), failed.value());
  }
}

// Segments that a crash left behind: of numbers that no manifest knows.
void Appender::remove_orphans() const {
  for (const auto& entry : fs::directory_iterator(corpus_.folder()))
    if (number_of(entry.path().filename().string()) >= next_number_) {
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
}

void Appender::run() {
  const Manifest& old = corpus_.manifest();
  manifest_.info = extension_.info;
  manifest_.info.demand_end = old.info.demand_end;
  check_info(manifest_.info);
  check_table(manifest_.info, extension_.table);
  cut_old_segments();
  manifest_.series = write_series_part(staging_.path(), manifest_.info, extension_.table);
  const bool shares = std::any_of(manifest_.info.covariates.begin(), manifest_.info.covariates.end(),
                                  [](const CovariateInfo& covariate) { return covariate.per != "series"; });
  if (shares) manifest_.shared = write_shared();
  if (!extension_.documents.empty())
    manifest_.texts = write_texts_part(staging_.path(), extension_.documents);
  const std::int64_t steps = manifest_.info.steps, series = manifest_.info.series;
  write_region({0, old.info.series, extension_.first_step, steps - extension_.first_step},
               extension_.fill_old);
  write_region({old.info.series, series - old.info.series, 0, steps}, extension_.fill_new);
  write_view(staging_.path() / "all.h5", manifest_);
  move_into_corpus();
  // Flushes the folder, too: the new files have their names for good before the manifest speaks of them.
  const std::string before = read_file(corpus_.folder() / "manifest.json");
  write_file_atomically(kept_manifest(corpus_.folder(), digest_text(before)), before);
  write_manifest(corpus_.folder(), manifest_);
  std::error_code failed;
  fs::rename(staging_.path() / "all.h5", corpus_.folder() / "all.h5", failed);
  if (failed) throw io_error("cannot write into " + corpus_.folder().string(), failed.value());
  remove_orphans();
}

}  // namespace

fs::path kept_manifest(const fs::path& corpus, const std::string& digest) {
  constexpr std::size_t kName = 5;  // "xxh3:"
  return corpus / fmt::format("manifest-{}.json", digest.size() < kName ? "" : digest.substr(kName, 16));
}

fs::path append_lock(const fs::path& corpus) { return corpus / "append.lock"; }

void append_to_corpus(const Corpus& corpus, const Extension& extension, LayoutOptions layout) {
  SHELFCAST_ASSERT(extension.first_step >= 0 && extension.first_step <= corpus.info().steps &&
                   extension.info.steps >= corpus.info().steps &&
                   extension.info.series >= corpus.info().series);
  Appender(corpus, extension, layout).run();
}

}  // namespace shelfcast::data
