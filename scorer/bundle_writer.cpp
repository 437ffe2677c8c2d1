#include "scorer/bundle_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "scorer/bundle_files.h"

namespace shelfcast::scorer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

void require(bool condition, const std::string& what) {
  if (!condition)
    throw input_error("the bundle's " + what + " do not fit the model", {},
                      "this is for the exporter to fix");
}

void check_contents(const BundleContents& c, const ModelConfig& m) {
  const std::int64_t n = std::ssize(c.names.series), span = m.context + m.horizon;
  const std::int64_t golden = std::ssize(c.golden.series), levels = std::ssize(m.quantiles);
  if (n == 0) throw input_error("a bundle needs at least one series");
  require(c.names.store.empty() || std::ssize(c.names.store) == n, "store names");
  require(c.names.item.empty() || std::ssize(c.names.item) == n, "item names");
  require(std::ssize(c.context_bt) == n * m.context, "contexts");
  require(std::ssize(c.past_bnt) == n * m.past_numeric * m.context, "past columns");
  require(std::ssize(c.known_bnu) == n * m.known_numeric * span, "known columns");
  require(std::ssize(c.past_codes_bct) == n * std::ssize(m.past_cardinalities) * m.context, "past codes");
  require(std::ssize(c.known_codes_bcu) == n * std::ssize(m.known_cardinalities) * span, "known codes");
  require(std::ssize(c.statics_bs) == n * std::ssize(m.static_cardinalities), "statics");
  require(std::ssize(c.static_numbers_bn) == n * 2 * m.static_numbers, "static numbers");
  require(std::ssize(c.text_row_b) == (m.text_width > 0 ? n : 0), "texts of series");
  require(m.text_width > 0 ? std::ssize(c.text_kw) % m.text_width == 0 : c.text_kw.empty(), "texts");
  require(c.text.empty() == (m.text_width == 0), "text model");
  require(c.golden_texts.size() == c.golden_text_rows.size(), "golden texts");
  require(c.copula.correlation.size == m.horizon &&
              std::ssize(c.copula.correlation.values) == m.horizon * m.horizon,
          "correlations");
  require(golden > 0, "golden cases");
  require(std::ssize(c.golden.quantiles_gqh) == golden * levels * m.horizon, "golden quantiles");
  require(std::ssize(c.golden.mean_gh) == golden * m.horizon, "golden means");
}

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  return DType::i64;
}

template <typename T>
TensorToStore to_store(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
  return {std::move(name), dtype_of<T>(), std::move(shape), std::as_bytes(values)};
}

// Tensors cut out of an array [series, count, width], one a column; a column that is the same for all series
// is kept once. Owns the copies that the tensors point to.
template <typename T>
class Columns {
 public:
  Columns(const std::string& name, std::span<const T> all, std::int64_t series, std::int64_t width) {
    const std::int64_t count = std::ssize(all) / (series * width);
    for (std::int64_t i = 0; i < count; ++i) {
      std::vector<T> column;
      for (std::int64_t b = 0; b < series; ++b) {
        const auto row = all.subspan((b * count + i) * width, width);
        column.insert(column.end(), row.begin(), row.end());
      }
      const bool shared = all_rows_equal(column, series, width);
      if (shared) column.resize(static_cast<std::size_t>(width));
      copies_.push_back(std::move(column));
      tensors_.push_back(
          to_store<T>(fmt::format("{}.{}", name, i), {shared ? 1 : series, width}, copies_.back()));
    }
  }
  const std::vector<TensorToStore>& tensors() const { return tensors_; }

 private:
  static bool all_rows_equal(const std::vector<T>& column, std::int64_t series, std::int64_t width) {
    for (std::int64_t b = 1; b < series; ++b)
      if (!std::equal(column.begin(), column.begin() + width, column.begin() + b * width)) return false;
    return true;
  }
  std::vector<std::vector<T>>
      copies_;  // moving the outer vector's elements keeps their numbers where they are
  std::vector<TensorToStore> tensors_;
};

void write_arrays(const fs::path& path, const BundleContents& c, const ModelConfig& m) {
  const std::int64_t n = std::ssize(c.names.series), span = m.context + m.horizon;
  const Columns<float> past("past", c.past_bnt, n, m.context), known("known", c.known_bnu, n, span);
  const Columns<std::int32_t> past_codes("past_codes", c.past_codes_bct, n, m.context);
  const Columns<std::int32_t> known_codes("known_codes", c.known_codes_bcu, n, span);
  std::vector<TensorToStore> tensors = {to_store("context", {n, m.context}, c.context_bt)};
  for (const auto* part : {&past.tensors(), &known.tensors(), &past_codes.tensors(), &known_codes.tensors()})
    tensors.insert(tensors.end(), part->begin(), part->end());
  if (!m.static_cardinalities.empty())
    tensors.push_back(to_store("statics", {n, std::ssize(m.static_cardinalities)}, c.statics_bs));
  if (m.static_numbers > 0)
    tensors.push_back(to_store("static_numbers", {n, 2 * m.static_numbers}, c.static_numbers_bn));
  if (m.text_width > 0) {
    tensors.push_back(to_store("text", {std::ssize(c.text_kw) / m.text_width, m.text_width}, c.text_kw));
    tensors.push_back(to_store("text_row", {n, 1}, c.text_row_b));
  }
  write_safetensors(path, tensors);
}

void write_copula(const fs::path& path, const CopulaParameters& copula, std::int64_t horizon) {
  std::vector<std::int32_t> days;
  std::vector<double> values;
  for (const auto& [length, map] : copula.recalibration.maps()) {
    days.push_back(length);
    values.insert(values.end(), map.begin(), map.end());
  }
  const std::int64_t lengths = std::ssize(days), levels = std::ssize(Recalibration::kLevels);
  write_safetensors(path, std::vector<TensorToStore>{
                              to_store("correlation", {horizon, horizon},
                                       std::span<const double>(copula.correlation.values)),
                              to_store("recalibration_days", {lengths}, std::span<const std::int32_t>(days)),
                              to_store("recalibration", {lengths, levels}, std::span<const double>(values))});
}

void write_golden(const fs::path& path, const GoldenCases& golden, const ModelConfig& m) {
  const std::int64_t count = std::ssize(golden.series);
  write_safetensors(path, std::vector<TensorToStore>{
                              to_store("series", {count}, std::span<const std::int64_t>(golden.series)),
                              to_store("quantiles", {count, std::ssize(m.quantiles), m.horizon},
                                       std::span<const float>(golden.quantiles_gqh)),
                              to_store("mean", {count, m.horizon}, std::span<const float>(golden.mean_gh))});
}

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("cannot make " + folder.string(), failed.value());
}

// By our own writer: std::filesystem says "Input/output error" where a disk is full.
void copy_into_bundle(const fs::path& from, const fs::path& to) {
  const MappedFile file(from);
  write_file_atomically(to, {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
}

void copy_model(const fs::path& from, const fs::path& to) {
  make_folder(to / "tower");
  for (const char* name :
       {"model.json", "tower/config.json", "tower/model.safetensors", "fusion.safetensors"})
    copy_into_bundle(from / name, to / name);
}

// Weights, configuration and tokenizer; whatever else lies in a published folder is left there.
bool belongs_to_text_model(const fs::path& file) {
  const std::string name = file.filename().string();
  return name == "config.json" || name == "vocab.txt" || name.starts_with("tokenizer") ||
         name == "special_tokens_map.json" || name.ends_with(".safetensors") ||
         name.ends_with(".safetensors.index.json");
}

void copy_text_model(const BundleContents& c, const fs::path& folder) {
  if (c.text.empty()) return;
  make_folder(folder / files::kText);
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(c.text, failed))
    if (belongs_to_text_model(entry.path()))
      copy_into_bundle(entry.path(), folder / files::kText / entry.path().filename());
  if (failed) throw io_error("cannot read the text model " + c.text.string(), failed.value());
  write_file_atomically(folder / files::kGoldenTexts,
                        Json{{"texts", c.golden_texts}, {"rows", c.golden_text_rows}}.dump(1) + "\n");
}

std::string names_json(const SeriesNames& names) {
  try {
    return Json{{"series", names.series},
                {"store", names.store},
                {"item", names.item},
                {"store_level", names.store_level},
                {"item_level", names.item_level}}
        .dump();
  } catch (const Json::exception& error) {
    throw input_error("a name of a series, store or item is not UTF-8", error.what(),
                      "convert the corpus' source");
  }
}

// Last of all: vouches for every other file, and for itself.
void write_description(const fs::path& folder, const BundleContents& c, const ModelConfig& m) {
  Json listed = Json::object();
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      listed[fs::relative(entry.path(), folder).generic_string()] = {{"bytes", entry.file_size()},
                                                                     {"digest", digest_file(entry.path())}};
  Json gaps = Json::array();
  for (const FutureGap& gap : c.future_gaps)
    gaps.push_back({{"column", gap.column}, {"missing", gap.missing}, {"cells", gap.cells}});
  Json json = {{"format", files::kFormat},
               {"name", c.name},
               {"created_by", c.created_by},
               {"first_day", format_date(c.axis.date_of(c.first_step))},
               {"frequency", to_string(c.axis.frequency)},
               {"start", format_date(c.axis.start)},
               {"first_step", c.first_step},
               {"series", c.names.series.size()},
               {"context", m.context},
               {"horizon", m.horizon},
               {"levels", m.quantiles},
               {"whole_demand", c.demand == DemandKind::counts},
               {"future_gaps", gaps},
               {"unobserved_series", c.unobserved_series},
               {"files", listed}};
  json["digest"] = digest_text(json.dump());
  write_file_atomically(folder / files::kDescription, json.dump(1) + "\n");
}

}  // namespace

void write_bundle(const fs::path& folder, const BundleContents& contents) {
  AtomicFolder target(folder);
  const fs::path& staging = target.staging();
  copy_model(contents.model, staging / files::kModel);
  const ModelConfig config = read_model_config(staging / files::kModel / "model.json");
  check_contents(contents, config);
  copy_text_model(contents, staging);
  write_file_atomically(staging / files::kFeatures, contents.features);
  write_file_atomically(staging / files::kNames, names_json(contents.names));
  write_arrays(staging / files::kArrays, contents, config);
  write_copula(staging / files::kCopula, contents.copula, config.horizon);
  write_golden(staging / files::kGolden, contents.golden, config);
  write_description(staging, contents, config);
  const Bundle as_a_reader_sees_it(staging);
  target.commit();
}

}  // namespace shelfcast::scorer
