// New tables and the corpus that they extend.
#pragma once

#include <filesystem>

#include "base/file_lock.h"
#include "data/ingest/panel.h"

namespace shelfcast::data {

// Keeps other processes from changing the corpus while it is held. Throws Error(input) when one does so now,
// or when `folder` holds no corpus.
FileLock lock_corpus(const std::filesystem::path& folder);

// Adds the steps after the corpus' last observed demand, and series it does not have, so that the corpus
// becomes what one ingest of all tables together would have made of it (its series in the order in which they
// came). `panel` is one of go_on_from (data/ingest/past.h). It may repeat older steps: they stay as they are,
// and the log says how many of its values differ. Covariates and statics must be the corpus' own; a static of
// a series that is there stays what it was. Nothing new: the corpus is not touched. Killed at any point it
// leaves the old corpus or the new. The caller holds lock_corpus(). Throws Error(input) when the panel does
// not fit the corpus; Error(io).
void extend_corpus(const Panel& panel, const Corpus& corpus);

}  // namespace shelfcast::data
