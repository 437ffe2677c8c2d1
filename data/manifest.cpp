#include "data/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::data {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "shelfcast-corpus";

json to_json(const FileEntry& entry) {
  return {{"file", entry.file}, {"bytes", entry.bytes}, {"digest", entry.digest}};
}

FileEntry file_from(const json& value) {
  FileEntry entry{value.at("file"), value.at("bytes"), value.at("digest")};
  if (entry.file.empty() || entry.file.find('/') != std::string::npos || entry.bytes < 0)
    throw data_error(fmt::format("bad file entry \"{}\"", entry.file));
  return entry;
}

json to_json(const SegmentEntry& segment) {
  json value = to_json(segment.file);
  value["first_series"] = segment.first_series;
  value["series"] = segment.series;
  value["first_step"] = segment.first_step;
  value["steps"] = segment.steps;
  if (segment.stored_steps != segment.steps) value["stored_steps"] = segment.stored_steps;
  return value;
}

SegmentEntry segment_from(const json& value, const CorpusInfo& info) {
  SegmentEntry segment{
      file_from(value),   value.at("first_series"),
      value.at("series"), value.at("first_step"),
      value.at("steps"),  value.value("stored_steps", value.at("steps").get<std::int64_t>())};
  if (segment.first_series < 0 || segment.series < 1 || segment.first_series + segment.series > info.series ||
      segment.first_step < 0 || segment.steps < 1 || segment.first_step + segment.steps > info.steps ||
      segment.stored_steps < segment.steps)
    throw data_error(fmt::format("segment {} lies outside the corpus", segment.file.file));
  return segment;
}

// Every cell of the panel must lie in exactly one segment. Segments lie inside the panel, so it is enough
// that they do not overlap and that their areas add up.
void check_tiling(const Manifest& manifest) {
  std::vector<const SegmentEntry*> order;
  std::int64_t area = 0;
  for (const SegmentEntry& segment : manifest.segments) {
    order.push_back(&segment);
    area += segment.series * segment.steps;
  }
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->first_series < b->first_series; });
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t j = i + 1;
         j < order.size() && order[j]->first_series < order[i]->first_series + order[i]->series; ++j)
      if (order[j]->first_step < order[i]->first_step + order[i]->steps &&
          order[i]->first_step < order[j]->first_step + order[j]->steps)
        throw data_error(fmt::format("segments {} and {} overlap", order[i]->file.file, order[j]->file.file));
  if (area != manifest.info.series * manifest.info.steps) throw data_error("segments do not cover the panel");
}

CovariateInfo covariate_from(const json& value) {
  CovariateInfo covariate{value.at("name"), Role::known, Kind::numeric, value.at("per"), {}};
  const std::string role = value.at("role"), kind = value.at("kind");
  if (role != "known" && role != "past") throw data_error(fmt::format("unknown role \"{}\"", role));
  if (kind != "numeric" && kind != "categorical") throw data_error(fmt::format("unknown kind \"{}\"", kind));
  covariate.role = role == "known" ? Role::known : Role::past;
  covariate.kind = kind == "numeric" ? Kind::numeric : Kind::categorical;
  return covariate;
}

CorpusInfo info_from(const json& value) {
  CorpusInfo info;
  info.name = value.at("name");
  const auto start = parse_date(value.at("start").get<std::string>());
  if (!start) throw data_error("the start is not a date");
  info.axis = {*start, parse_frequency(value.at("frequency").get<std::string>())};
  info.steps = value.at("steps");
  info.demand_end = value.at("demand_end");
  info.series = value.at("series");
  info.aggregation = value.at("aggregation");
  info.notes = value.at("notes");
  for (const json& covariate : value.at("covariates")) info.covariates.push_back(covariate_from(covariate));
  for (const json& fact : value.at("statics"))
    info.statics.push_back(
        {fact.at("name"), fact.at("kind") == "numeric" ? Kind::numeric : Kind::categorical, {}});
  info.item_level = value.at("levels").at("item");
  info.store_level = value.at("levels").at("store");
  info.category_level = value.at("levels").at("category");
  if (info.steps < 1 || info.series < 1 || info.demand_end < 0 || info.demand_end > info.steps)
    throw data_error("impossible sizes");
  return info;
}

json to_json(const CorpusInfo& info) {
  json covariates = json::array(), statics = json::array();
  for (const CovariateInfo& covariate : info.covariates)
    covariates.push_back({{"name", covariate.name},
                          {"role", to_string(covariate.role)},
                          {"kind", to_string(covariate.kind)},
                          {"per", covariate.per}});
  for (const StaticInfo& fact : info.statics)
    statics.push_back({{"name", fact.name}, {"kind", to_string(fact.kind)}});
  return {{"name", info.name},
          {"start", format_date(info.axis.start)},
          {"frequency", shelfcast::to_string(info.axis.frequency)},
          {"steps", info.steps},
          {"demand_end", info.demand_end},
          {"series", info.series},
          {"aggregation", info.aggregation},
          {"notes", info.notes},
          {"covariates", covariates},
          {"statics", statics},
          {"levels",
           {{"item", info.item_level}, {"store", info.store_level}, {"category", info.category_level}}}};
}

void read_files(const json& value, Manifest& manifest) {
  const json& files = value.at("files");
  manifest.series = file_from(files.at("series"));
  if (files.contains("shared")) manifest.shared = file_from(files.at("shared"));
  if (files.contains("texts")) manifest.texts = file_from(files.at("texts"));
  if (files.contains("truth")) manifest.truth = file_from(files.at("truth"));
  for (const json& segment : value.at("segments"))
    manifest.segments.push_back(segment_from(segment, manifest.info));
}

Manifest parse(const std::string& text) {
  const json value = json::parse(text);
  if (!value.is_object() || value.value("format", "") != kFormat)
    throw data_error("it is not a corpus manifest");
  if (const int version = value.at("version"); version != kCorpusVersion)
    throw data_error(
        fmt::format("it has format version {}, this program reads version {}", version, kCorpusVersion));
  Manifest manifest;
  manifest.info = info_from(value.at("corpus"));
  read_files(value, manifest);
  check_tiling(manifest);
  return manifest;
}

}  // namespace

std::vector<FileEntry> Manifest::files() const {
  std::vector<FileEntry> all{series};
  for (const auto* extra : {&shared, &texts, &truth})
    if (*extra) all.push_back(**extra);
  for (const SegmentEntry& segment : segments) all.push_back(segment.file);
  return all;
}

Manifest read_manifest(const std::filesystem::path& folder, std::string* digest) {
  const std::filesystem::path path = folder / "manifest.json";
  if (!std::filesystem::exists(folder))
    throw input_error("there is no corpus " + folder.string(), {},
                      "make one with shelfcast ingest or shelfcast synth");
  if (!std::filesystem::exists(path))
    throw input_error(folder.string() + " is not a corpus", "it has no manifest.json",
                      "name the folder that shelfcast ingest or shelfcast synth made");
  const std::string text = read_file(path);
  if (digest != nullptr) *digest = digest_text(text);
  try {
    return parse(text);
  } catch (const json::exception& error) {
    throw data_error("cannot read " + path.string(), error.what(), "copy it again or make the corpus again");
  } catch (const Error& error) {
    throw data_error("cannot read " + path.string(), error.what(), "copy it again or make the corpus again");
  }
}

void write_manifest(const std::filesystem::path& folder, const Manifest& manifest) {
  json files{{"series", to_json(manifest.series)}}, segments = json::array();
  if (manifest.shared) files["shared"] = to_json(*manifest.shared);
  if (manifest.texts) files["texts"] = to_json(*manifest.texts);
  if (manifest.truth) files["truth"] = to_json(*manifest.truth);
  for (const SegmentEntry& segment : manifest.segments) segments.push_back(to_json(segment));
  const json value{{"format", kFormat},
                   {"version", kCorpusVersion},
                   {"corpus", to_json(manifest.info)},
                   {"files", files},
                   {"segments", segments}};
  std::string text;
  try {
    text = value.dump(2) + "\n";
  } catch (const json::exception& error) {
    throw input_error("a name of the corpus is not UTF-8", error.what(), "convert the source table to UTF-8");
  }
  write_file_atomically(folder / "manifest.json", text);
}

std::string dataset_of(const CovariateInfo& covariate) {
  return std::string(to_string(covariate.role)) + "/" + covariate.name;
}

StoredType stored_type(const CovariateInfo& covariate) {
  if (covariate.kind == Kind::numeric) return StoredType::float32;
  if (covariate.vocabulary.size() <= 0x7F) return StoredType::int8;
  return covariate.vocabulary.size() <= 0x7FFF ? StoredType::int16 : StoredType::int32;
}

std::int64_t shared_rows(const CorpusInfo& info, const CovariateInfo& covariate) {
  if (covariate.per == "all") return 1;
  return static_cast<std::int64_t>(info.statics[info.static_index(covariate.per)].vocabulary.size());
}

const char* to_string(Role role) { return role == Role::known ? "known" : "past"; }
const char* to_string(Kind kind) { return kind == Kind::numeric ? "numeric" : "categorical"; }

}  // namespace shelfcast::data
