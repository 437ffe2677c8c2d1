// A corpus that grows: new steps and new series as files beside the old ones, then one swap of the manifest.
#pragma once

#include <functional>
#include <vector>

#include "data/corpus_writer.h"

namespace shelfcast::data {

// What a corpus is to become. Its old series keep their places, and everything its vocabularies held keeps
// its code.
struct Extension {
  CorpusInfo info;              // of the new state, with vocabularies; demand_end is found from the numbers
  SeriesTable table;            // all series, the old ones first
  std::int64_t first_step = 0;  // what is new of the old series begins here; earlier steps stay as they are
  std::vector<std::vector<float>> shared;  // per covariate: [rows, steps] when not per series, else empty
  std::vector<Document> documents;         // all of them
  using Fill = std::function<void(std::int64_t first, std::int64_t series, PanelRows& rows)>;
  Fill fill_old;  // of old series: steps [first_step, info.steps)
  Fill fill_new;  // of series that are new (counted from the first of them): all steps
};

// Writes the new files and swaps the manifest; what the corpus was stays readable under the manifest that is
// kept as manifest-<digest>.json. Killed at any point it leaves the old state or the new, and nothing that a
// second call would trip over. A known truth does not go along. The caller holds append_lock(). Throws
// Error(io) (a full disk), Error(input) for an infinite number: then the corpus is as before.
void append_to_corpus(const Corpus& corpus, const Extension& extension, LayoutOptions layout = {});

// Where the manifest with this digest lies once another has taken its place.
std::filesystem::path kept_manifest(const std::filesystem::path& corpus, const std::string& digest);

// The lock of whoever changes a corpus.
std::filesystem::path append_lock(const std::filesystem::path& corpus);

}  // namespace shelfcast::data
