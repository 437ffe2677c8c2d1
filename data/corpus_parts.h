// The files of a corpus beside its segments, for whoever writes one: names and statics, texts, the view.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus_writer.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"

namespace shelfcast::data {

// Throws Error(input) for names that cannot be, or that stand twice.
void check_info(const CorpusInfo& info);
void check_table(const CorpusInfo& info, const SeriesTable& table);

// A new HDF5 file that says what it is. Throws Error(io).
Hdf5File create_part(const std::filesystem::path& path, const std::string& format);
// Name, size and digest of a finished file.
FileEntry describe_file(const std::filesystem::path& path);
// Renames "<part>.h5" to "<part>-<digest>.h5": a later state of the corpus may have another of the same part
// beside it.
FileEntry name_by_digest(const std::filesystem::path& path);

FileEntry write_series_part(const std::filesystem::path& folder, const CorpusInfo& info,
                            const SeriesTable& table);
FileEntry write_texts_part(const std::filesystem::path& folder, const std::vector<Document>& documents);
// all.h5: everything in one file for h5py. Not in the manifest, for nothing of ours reads it.
void write_view(const std::filesystem::path& path, const Manifest& manifest);

}  // namespace shelfcast::data
