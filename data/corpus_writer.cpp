#include "data/corpus_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "data/corpus_parts.h"
#include "data/segment_writer.h"

namespace shelfcast::data {

namespace fs = std::filesystem;

struct CorpusWriter::Impl {
  AtomicFolder folder;  // first: removed last, after the files in it are closed
  LayoutOptions layout;
  Manifest manifest;
  std::vector<std::string> names;
  std::optional<SegmentWriter> segments;

  std::optional<Hdf5File> shared, truth;
  std::set<std::size_t> shared_written;
  struct Truth {
    Hdf5Dataset dataset;
    std::int64_t rows = 0;
  };
  std::map<std::string, Truth> truths;

  Impl(const fs::path& path, CorpusInfo info, const SeriesTable& table, LayoutOptions options);
  CorpusInfo& info() { return manifest.info; }
  void note_demand_end(std::span<const float> demand);
  void finish_side_files();
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
  manifest.series = write_series_part(folder.staging(), info(), table);
  segments.emplace(folder.staging(), info(), names, PanelRegion{0, series, 0, info().steps}, 0, layout);
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
    manifest.truth = describe_file(truth->path());
  }
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
  if (!impl_->shared) impl_->shared = create_part(impl_->folder.staging() / "shared.h5", "shelfcast-shared");
  PanelLayout layout{rows, info.steps, 0, 0, 0, stored_type(covariate)};
  if (impl_->layout.compression > 0) layout = impl_->segments->panel(rows, layout.type);
  Hdf5Dataset dataset = impl_->shared->create_dataset(dataset_of(covariate), layout);
  dataset.write({0, rows, 0, info.steps}, values.data());
}

void CorpusWriter::append(std::int64_t series, std::span<const float> demand,
                          std::span<const std::vector<float>> covariates) {
  impl_->segments->append(series, demand, covariates);
  impl_->note_demand_end(demand);
}

void CorpusWriter::write_documents(const std::vector<Document>& documents) {
  SHELFCAST_ASSERT(!impl_->manifest.texts);
  if (!documents.empty()) impl_->manifest.texts = write_texts_part(impl_->folder.staging(), documents);
}

void CorpusWriter::append_truth(const std::string& name, std::int64_t series, std::span<const float> values) {
  const CorpusInfo& info = impl_->info();
  SHELFCAST_ASSERT(static_cast<std::int64_t>(values.size()) == series * info.steps);
  if (!impl_->truth) impl_->truth = create_part(impl_->folder.staging() / "truth.h5", "shelfcast-truth");
  auto found = impl_->truths.find(name);
  if (found == impl_->truths.end()) {
    PanelLayout layout = impl_->segments->panel(info.series, StoredType::float32);
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
  if (impl_->segments->rows_taken() != info.series)
    throw input_error(
        fmt::format("only {} of {} series were written", impl_->segments->rows_taken(), info.series));
  for (std::size_t i = 0; i < info.covariates.size(); ++i)
    if (info.covariates[i].per != "series" && impl_->shared_written.count(i) == 0)
      throw Error(ErrorKind::internal,
                  fmt::format("covariate \"{}\" was never written", info.covariates[i].name));
  if (info.demand_end == 0)
    throw input_error("the corpus has no demand", "every cell is missing",
                      "check the target column of the source");
  impl_->manifest.segments = impl_->segments->take();
  impl_->finish_side_files();
  write_view(impl_->folder.staging() / "all.h5", impl_->manifest);
  write_manifest(impl_->folder.staging(), impl_->manifest);
  impl_->folder.commit();
}

}  // namespace shelfcast::data
