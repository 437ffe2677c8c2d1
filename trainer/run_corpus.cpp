#include "trainer/run_corpus.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "data/corpus_append.h"

namespace shelfcast::trainer {
namespace {

std::filesystem::path note_of(const RunFolder& folder) { return folder.path() / "corpus.json"; }

}  // namespace

void note_corpus(const RunFolder& folder, const std::string& digest) {
  write_file_atomically(note_of(folder), nlohmann::json{{"digest", digest}}.dump() + "\n");
}

void check_corpus(const RunFolder& folder, const std::filesystem::path& corpus, const std::string& digest) {
  if (!std::filesystem::exists(note_of(folder))) return;
  const std::string then = read_json(note_of(folder), "damaged file").value("digest", std::string());
  if (then == digest) return;
  const std::filesystem::path kept = data::kept_manifest(corpus, then);
  const bool appended = std::filesystem::exists(kept);
  throw data_error(
      fmt::format("the corpus {} is not what {} was started on", corpus.string(), folder.path().string()),
      fmt::format("its digest is {}, the run began with {}{}", digest, then,
                  appended ? ": it was appended to since" : ""),
      appended
          ? fmt::format("copy its {} over its manifest.json, which brings the old state back, or start a "
                        "new run",
                        kept.filename().string())
          : "bring the old one back, or start a new run");
}

}  // namespace shelfcast::trainer
