// A corpus opened for reading: an HDF5 panel of many series under a manifest (docs/corpus-format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dates.h"

namespace shelfcast::data {

struct Manifest;  // data/manifest.h

// Whether a covariate's future is known when a forecast is made (price, promotion, event) or not (stock,
// customers).
enum class Role { known, past };
enum class Kind { numeric, categorical };

// One covariate of the panel. Its rows are one per series ("series"), one for all ("all"), or one per value
// of the static level named here ("state"): `per` says which.
struct CovariateInfo {
  std::string name;
  Role role = Role::known;
  Kind kind = Kind::numeric;
  std::string per = "series";
  std::vector<std::string> vocabulary;  // categorical only: code c >= 0 means vocabulary[c]; missing is -1
};

// One fact per series: store, item, every level of the category hierarchy (categorical), or a number (store
// size).
struct StaticInfo {
  std::string name;
  Kind kind = Kind::categorical;
  std::vector<std::string> vocabulary;
};

// A corpus as it is to be read: its folder and, where another column than demand is to be forecast, that one.
struct CorpusSource {
  // Implicit: a folder alone is a corpus of demand.
  CorpusSource(std::filesystem::path path, std::string column = {})  // NOLINT(google-explicit-constructor)
      : folder(std::move(path)), target(std::move(column)) {}
  CorpusSource(const std::string& path) : folder(path) {}  // NOLINT(google-explicit-constructor)

  std::filesystem::path folder;
  std::string target;  // a numeric covariate with a row per series; empty = demand

  bool operator==(const CorpusSource&) const = default;
};

// What the manifest says: everything but the numbers.
struct CorpusInfo {
  std::string name;
  std::string target = "demand";  // what stands in the place of demand
  TimeAxis axis;
  std::int64_t steps = 0;       // length of the time axis; known covariates may go on after the last demand
  std::int64_t demand_end = 0;  // one after the last step on which any demand is observed
  std::int64_t series = 0;
  std::string aggregation = "sum";  // how one step's demand was made from its source rows
  std::vector<CovariateInfo> covariates;
  std::vector<StaticInfo> statics;
  // Names of the statics that play these parts in reports; empty = there is none.
  std::string item_level, store_level, category_level;
  // How the steps of a demand not in the source were read: kept in the data card.
  std::string notes;

  // Index by name; throws Error(input) naming the nearest name there is.
  std::size_t covariate_index(const std::string& covariate) const;
  std::size_t static_index(const std::string& static_name) const;
};

// A rectangle of the panel in memory: series [first_series, first_series + series) by steps [first_step,
// first_step + steps), row-major.
struct PanelBlock {
  std::int64_t first_series = 0, series = 0;
  std::int64_t first_step = 0, steps = 0;
  std::vector<float> demand;  // [series, steps], NaN = not observed

  // The covariates asked for, in the order asked. Row of series i (absolute): rows == 1 ? 0 : row_of[i -
  // first_series].
  struct Column {
    std::vector<float>
        values;  // [rows, steps]; categorical codes are stored as floats (exact below 2^24), -1 = missing
    std::vector<std::int32_t> row_of;  // empty when rows == 1 or when rows are the block's series in order
    std::int64_t rows = 0;
  };
  std::vector<Column> columns;

  // The steps of column number `column` for series `index` (absolute).
  std::span<const float> row(std::size_t column, std::int64_t index) const;
};

// One product text.
struct Document {
  std::string item;  // a value of the item level
  std::string text;  // UTF-8
};

// Opening checks every file against the manifest (present, size, version, shapes), so that a truncated
// segment is found now and never trained on; verify() also reads and compares every digest. Throws
// Error(data) naming file, dataset and remedy; Error(io) for locks and permissions. Not thread-safe: HDF5
// handles belong to the thread that reads (one reader thread per process).
//
// With a target the corpus is seen as if that covariate were the demand, and demand a past covariate of the
// name "demand" in its place. Throws Error(input) for a target that is not there, is categorical or has no
// row per series, and where a covariate is called "demand" already.
class Corpus {
 public:
  explicit Corpus(CorpusSource source);
  ~Corpus();
  Corpus(Corpus&&) noexcept;
  Corpus& operator=(Corpus&&) noexcept;

  const CorpusSource& source() const;
  const std::filesystem::path& folder() const { return source().folder; }
  const CorpusInfo& info() const;
  // Digest of the manifest: names this state of the corpus in run folders and reports.
  const std::string& digest() const;

  // One name per series, unique.
  const std::vector<std::string>& series_names() const;
  // One code per series for a categorical static.
  std::span<const std::int32_t> static_codes(std::size_t index) const;
  // One number per series for a numeric static (NaN = missing).
  std::span<const float> static_values(std::size_t index) const;
  std::vector<Document> documents() const;

  // Reads a block with the covariates at `covariates` (indices into info().covariates) into `block`, reusing
  // its memory.
  void read(std::int64_t first_series, std::int64_t series, std::int64_t first_step, std::int64_t steps,
            std::span<const std::size_t> covariates, PanelBlock& block) const;

  // A covariate that is not per series, for all its rows at once: [rows, steps].
  std::vector<float> read_shared(std::size_t covariate, std::int64_t first_step, std::int64_t steps) const;

  // Known truths of a synthetic corpus ("uncensored", ...); none for real ones.
  std::vector<std::string> truths() const;
  // A rectangle of one of them, [series, steps]. Throws Error(input) naming the nearest name there is.
  void read_truth(const std::string& name, std::int64_t first_series, std::int64_t series,
                  std::int64_t first_step, std::int64_t steps, std::vector<float>& values) const;

  // The files the corpus is made of, with sizes and digests.
  const Manifest& manifest() const;
  // Series and steps in one HDF5 chunk of demand.
  std::pair<std::int64_t, std::int64_t> chunk_shape() const;

  // Compares every file's bytes with its digest in the manifest. Throws Error(data) naming the first that
  // differs.
  void verify() const;

 private:
  struct Files;
  std::unique_ptr<Files> files_;
};

}  // namespace shelfcast::data
