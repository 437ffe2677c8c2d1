// manifest.json of a corpus: what the corpus is, which files it is made of, and what each must look like.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/hdf5_file.h"

namespace shelfcast::data {

inline constexpr int kCorpusVersion = 1;

struct FileEntry {
  std::string file;  // name inside the corpus folder
  std::int64_t bytes = 0;
  std::string digest;
};

// A block of series by a block of time in a file of its own.
struct SegmentEntry {
  FileEntry file;
  std::int64_t first_series = 0, series = 0;
  std::int64_t first_step = 0, steps = 0;
  std::int64_t stored_steps = 0;  // columns of the file; those beyond `steps` belong to a later segment
};

// Everything in manifest.json. Vocabularies are not: they stand in the series file and fill `info` when it is
// opened.
struct Manifest {
  CorpusInfo info;
  FileEntry series;                 // names, statics, vocabularies
  std::optional<FileEntry> shared;  // covariates that are not per series
  std::optional<FileEntry> texts;
  std::optional<FileEntry> truth;
  std::vector<SegmentEntry> segments;

  std::vector<FileEntry> files() const;
};

// Throws Error(input) when `folder` is no corpus, Error(data) when its manifest is damaged or of another
// version. `digest`, where given, receives the digest of the file's bytes.
Manifest read_manifest(const std::filesystem::path& folder, std::string* digest = nullptr);
// Swaps manifest.json atomically. Throws Error(io).
void write_manifest(const std::filesystem::path& folder, const Manifest& manifest);

// "known/price": where a covariate's numbers stand, in a segment or in the shared file.
std::string dataset_of(const CovariateInfo& covariate);
// float32 for numbers; the smallest integer that holds every code for categories.
StoredType stored_type(const CovariateInfo& covariate);
// Rows of a covariate that is not per series: 1, or the values of the static it is per.
std::int64_t shared_rows(const CorpusInfo& info, const CovariateInfo& covariate);

// "known" and "past"; "numeric" and "categorical".
const char* to_string(Role role);
const char* to_string(Kind kind);

}  // namespace shelfcast::data
