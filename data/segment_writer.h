// Writes a block of the panel as segment files: rows come in order, chunks are written once and whole.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/corpus_writer.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"

namespace shelfcast::data {

// Series [first_series, first_series + series) by steps [first_step, first_step + steps).
struct PanelRegion {
  std::int64_t first_series = 0, series = 0;
  std::int64_t first_step = 0, steps = 0;
};

// Memory: one chunk of rows. `info` and `names` (all series of the corpus, for messages) must outlive it.
class SegmentWriter {
 public:
  // Files are named segment-<number>.h5, counted from `first_number`.
  SegmentWriter(std::filesystem::path folder, const CorpusInfo& info, const std::vector<std::string>& names,
                PanelRegion region, std::int64_t first_number, LayoutOptions layout);

  // The next `series` rows of the region: demand [series, steps] and, in the order of info.covariates with
  // per == "series", one [series, steps] array each. Throws Error(input) for an infinite number, Error(io).
  void append(std::int64_t series, std::span<const float> demand,
              std::span<const std::vector<float>> covariates);
  std::int64_t rows_taken() const { return rows_taken_; }
  // The finished segments; all rows must have come.
  std::vector<SegmentEntry> take();

  // How a dataset over `rows` series is laid out.
  PanelLayout panel(std::int64_t rows, StoredType type) const;

 private:
  using Sources = std::vector<std::span<const float>>;
  void open();
  void close();
  void write_rows(std::int64_t rows, const Sources& sources, std::int64_t from);
  void flush_waiting();
  void check(const Sources& sources) const;

  std::filesystem::path folder_;
  const CorpusInfo& info_;
  const std::vector<std::string>& names_;
  PanelRegion region_;
  std::int64_t next_number_;
  LayoutOptions layout_;
  std::vector<std::size_t> per_series_;  // indices of covariates with per == "series"
  std::vector<SegmentEntry> segments_;

  // The segment being written: its file, one dataset for demand and each per-series covariate.
  std::optional<Hdf5File> file_;
  std::vector<Hdf5Dataset> columns_;
  std::int64_t segment_rows_ = 0, rows_written_ = 0;
  // Rows waiting until a whole chunk of them is there.
  std::vector<std::vector<float>> waiting_;
  std::int64_t rows_waiting_ = 0;
  std::int64_t rows_taken_ = 0;  // over all segments
};

// Index of the first value that is infinite, or -1.
std::int64_t first_infinite(std::span<const float> values);
// Index of the first value that is no code of a vocabulary of `size` words and not -1, or -1.
std::int64_t first_bad_code(std::span<const float> values, std::size_t size);

}  // namespace shelfcast::data
