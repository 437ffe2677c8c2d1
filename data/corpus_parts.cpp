#include "data/corpus_parts.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;

void check_name(const std::string& name, const char* what, std::set<std::string>& seen) {
  if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..")
    throw input_error(fmt::format("\"{}\" cannot name a {}", name, what), "it is empty or holds a slash",
                      "rename it");
  if (!seen.insert(name).second)
    throw input_error(fmt::format("two {}s are named \"{}\"", what, name), {}, "rename one");
}

void check_levels(const CorpusInfo& info) {
  for (const std::string* level : {&info.item_level, &info.store_level, &info.category_level})
    if (!level->empty()) info.static_index(*level);
}

}  // namespace

void check_info(const CorpusInfo& info) {
  std::set<std::string> covariates, statics;
  for (const StaticInfo& fact : info.statics) check_name(fact.name, "static", statics);
  for (const CovariateInfo& covariate : info.covariates) {
    check_name(covariate.name, "covariate", covariates);
    if (covariate.per == "series" || covariate.per == "all") continue;
    if (info.statics[info.static_index(covariate.per)].kind != Kind::categorical)
      throw input_error(
          fmt::format("covariate \"{}\" is per \"{}\", which is a number", covariate.name, covariate.per), {},
          "use a categorical static");
  }
  if (info.steps < 1) throw input_error("the corpus has no time steps", {}, "check the dates of the source");
  check_levels(info);
}

void check_table(const CorpusInfo& info, const SeriesTable& table) {
  if (table.names.empty())
    throw input_error("the corpus has no series", {}, "check the keys and filters of the source");
  std::set<std::string_view> seen;
  for (const std::string& name : table.names)
    if (!seen.insert(name).second)
      throw input_error(fmt::format("two series are named \"{}\"", name), {}, "rename one");
  SHELFCAST_ASSERT(table.codes.size() == info.statics.size() && table.values.size() == info.statics.size());
  for (std::size_t i = 0; i < info.statics.size(); ++i) {
    const bool categorical = info.statics[i].kind == Kind::categorical;
    SHELFCAST_ASSERT((categorical ? table.codes[i].size() : table.values[i].size()) == table.names.size());
    const auto size = static_cast<std::int32_t>(info.statics[i].vocabulary.size());
    for (const std::int32_t code : table.codes[i]) SHELFCAST_ASSERT(code >= -1 && code < size);
  }
}

Hdf5File create_part(const fs::path& path, const std::string& format) {
  Hdf5File file = Hdf5File::create(path);
  file.set_attribute("format", format);
  file.set_attribute("version", std::int64_t{kCorpusVersion});
  return file;
}

FileEntry describe_file(const fs::path& path) {
  return {path.filename().string(), static_cast<std::int64_t>(fs::file_size(path)), digest_file(path)};
}

FileEntry name_by_digest(const fs::path& path) {
  FileEntry entry = describe_file(path);
  const std::string hex = entry.digest.substr(entry.digest.find(':') + 1, 16);
  entry.file = fmt::format("{}-{}.h5", path.stem().string(), hex);
  std::error_code failed;
  fs::rename(path, path.parent_path() / entry.file, failed);
  if (failed) throw io_error("cannot rename " + path.string(), failed.value());
  return entry;
}

FileEntry write_series_part(const fs::path& folder, const CorpusInfo& info, const SeriesTable& table) {
  const fs::path path = folder / "series.h5";
  Hdf5File file = create_part(path, "shelfcast-series");
  file.write_strings("names", table.names);
  for (std::size_t i = 0; i < info.statics.size(); ++i) {
    const StaticInfo& fact = info.statics[i];
    if (fact.kind == Kind::numeric) {
      file.write_vector("static/" + fact.name, std::span<const float>(table.values[i]));
      continue;
    }
    file.write_vector("static/" + fact.name, std::span<const std::int32_t>(table.codes[i]));
    file.write_strings("vocabulary/static/" + fact.name, fact.vocabulary);
  }
  for (const CovariateInfo& covariate : info.covariates)
    if (covariate.kind == Kind::categorical)
      file.write_strings("vocabulary/covariate/" + covariate.name, covariate.vocabulary);
  file.close();
  return name_by_digest(path);
}

FileEntry write_texts_part(const fs::path& folder, const std::vector<Document>& documents) {
  std::vector<std::string> items;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::uint8_t> bytes;
  for (const Document& document : documents) {
    items.push_back(document.item);
    bytes.insert(bytes.end(), document.text.begin(), document.text.end());
    offsets.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  const fs::path path = folder / "texts.h5";
  Hdf5File file = create_part(path, "shelfcast-texts");
  file.write_strings("text/item", items);
  file.write_vector("text/offsets", std::span<const std::int64_t>(offsets));
  file.write_vector("text/bytes", std::span<const std::uint8_t>(bytes));
  file.close();
  return name_by_digest(path);
}

void write_view(const fs::path& path, const Manifest& manifest) {
  const CorpusInfo& info = manifest.info;
  Hdf5File view = create_part(path, "shelfcast-view");
  view.set_attribute("start", format_date(info.axis.start));
  view.set_attribute("frequency", std::string(shelfcast::to_string(info.axis.frequency)));
  std::vector<VirtualSource> sources;
  for (const SegmentEntry& entry : manifest.segments)
    sources.push_back({entry.file.file, entry.first_series, entry.series, entry.first_step, entry.steps,
                       entry.stored_steps});
  view.create_virtual("demand", StoredType::float32, info.series, info.steps, sources);
  for (const CovariateInfo& covariate : info.covariates) {
    const std::string name = dataset_of(covariate);
    if (covariate.per == "series")
      view.create_virtual(name, stored_type(covariate), info.series, info.steps, sources);
    else
      view.link_external(name, manifest.shared->file);
  }
  view.link_external("names", manifest.series.file);
  if (!info.statics.empty()) view.link_external("static", manifest.series.file);
  view.link_external("vocabulary", manifest.series.file);
  if (manifest.texts) view.link_external("text", manifest.texts->file);
  if (manifest.truth) view.link_external("truth", manifest.truth->file);
  view.close();
}

}  // namespace shelfcast::data
