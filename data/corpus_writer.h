// Writing a corpus: series tables first, then blocks of series in order; the manifest appears last,
// atomically.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/corpus.h"

namespace shelfcast::data {

struct SeriesTable {
  std::vector<std::string> names;                // [series], unique
  std::vector<std::vector<std::int32_t>> codes;  // per static: [series] codes (empty for numeric statics)
  std::vector<std::vector<float>> values;  // per static: [series] numbers (empty for categorical statics)
};

// Rows of consecutive series over a stretch of time, row-major.
struct PanelRows {
  std::vector<float> demand;  // [series, steps], NaN = not observed
  std::vector<std::vector<float>>
      covariates;  // per covariate with per == "series", in order: [series, steps]
};

struct LayoutOptions {
  std::int64_t segment_series = 4096;  // series per segment file
  std::int64_t chunk_series =
      16;  // HDF5 chunk: series x steps, so that a training window is one or two chunks
  std::int64_t chunk_steps = 2048;
  int compression = 0;  // 0 none, 1..9 gzip level
};

// Streams a corpus to disk: memory is bounded by one block, whatever the size. The folder appears under its
// final name only at finish(); when anything throws before, nothing is left. Throws Error(input) if `folder`
// exists.
class CorpusWriter {
 public:
  CorpusWriter(const std::filesystem::path& folder, CorpusInfo info, const SeriesTable& table,
               LayoutOptions layout = {});
  ~CorpusWriter();

  // Covariates that are not per series: `values` is [rows, steps]. Call once for each such covariate, before
  // append.
  void write_shared(std::size_t covariate, std::span<const float> values);
  // The next `series` rows of the panel over the whole time axis: demand [series, steps] and, in the order of
  // info.covariates with per == "series", one [series, steps] array each.
  void append(std::int64_t series, std::span<const float> demand,
              std::span<const std::vector<float>> covariates);
  void write_documents(const std::vector<Document>& documents);
  // A known truth kept beside for synthetic corpora: dataset `truth/<name>` [series, steps] in its own file.
  void append_truth(const std::string& name, std::int64_t series, std::span<const float> values);
  // Closes, checksums, writes all.h5 and the manifest, renames. Throws Error(input) when series are missing
  // or demand is empty everywhere.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shelfcast::data
