#include "scorer/bundle.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/files.h"
#include "scorer/bundle_files.h"

namespace shelfcast::scorer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
constexpr const char* kAdvice = "copy or export the bundle again";

[[noreturn]] void damaged(const fs::path& path, const std::string& what) {
  throw data_error(path.string() + " " + what, {}, kAdvice);
}

Json read_json(const fs::path& path) {
  Json json = Json::parse(read_file(path), nullptr, false);
  if (json.is_discarded() || !json.is_object()) damaged(path, "is not a JSON object");
  return json;
}

// Runs `read`, turning the JSON library's exceptions into ours.
template <typename Read>
auto reading(const fs::path& path, Read read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    throw data_error(path.string() + " cannot be read", error.what(), kAdvice);
  }
}

// bundle.json, which vouches for itself: "digest" is that of all its other fields.
Json read_description(const fs::path& folder) {
  const fs::path path = folder / files::kDescription;
  if (!fs::is_directory(folder))
    throw input_error("there is no bundle " + folder.string(), {},
                      "make one with: shelfcast export RUN --out FOLDER");
  if (!fs::exists(path))
    throw input_error(folder.string() + " is not a bundle", "it has no bundle.json",
                      "make one with: shelfcast export RUN --out FOLDER");
  Json json = read_json(path);
  return reading(path, [&] {
    if (const int format = json.at("format"); format != files::kFormat)
      throw data_error(fmt::format("{} has format {}", path.string(), format),
                       fmt::format("this program reads format {}", files::kFormat),
                       "use the shelfcast-score of the release that exported it");
    const std::string digest = json.at("digest");
    json.erase("digest");
    if (digest_text(json.dump()) != digest) damaged(path, "was changed since it was exported");
    return std::move(json);
  });
}

void check_files(const fs::path& folder, const Json& description) {
  const fs::path path = folder / files::kDescription;
  const Json& listed = reading(path, [&]() -> const Json& { return description.at("files"); });
  for (const std::string name : files::kDigested)
    if (!listed.contains(name)) damaged(path, "does not list " + name);
  for (const auto& item : listed.items()) {
    const std::string& name = item.key();
    const Json& is = item.value();
    const fs::path file = folder / name;
    if (!fs::exists(file)) damaged(file, "is missing");
    const auto bytes = reading(path, [&] { return is.at("bytes").get<std::uintmax_t>(); });
    if (fs::file_size(file) != bytes)
      damaged(file, fmt::format("is damaged: {} bytes instead of {}", fs::file_size(file), bytes));
    if (digest_file(file) != reading(path, [&] { return is.at("digest").get<std::string>(); }))
      damaged(file, "is damaged: its digest is not that of bundle.json");
  }
}

Date read_date(const fs::path& path, const Json& json, const char* field) {
  const auto day = parse_date(json.at(field).get<std::string>());
  if (!day) damaged(path, fmt::format("holds no date in \"{}\"", field));
  return *day;
}

BundleInfo read_info(const fs::path& path, const Json& json) {
  return reading(path, [&] {
    BundleInfo info;
    json.at("name").get_to(info.name);
    json.at("created_by").get_to(info.created_by);
    const Date first_day = read_date(path, json, "first_day");
    info.axis = {first_day, parse_frequency(json.at("frequency").get<std::string>())};
    if (json.contains("start")) {  // older bundles lack it
      info.axis.start = read_date(path, json, "start");
      json.at("first_step").get_to(info.first_step);
      if (info.date_of(0) != first_day)
        damaged(path, fmt::format("begins on {} and, by its axis, on {}", format_date(first_day),
                                  format_date(info.date_of(0))));
    }
    json.at("series").get_to(info.series);
    json.at("context").get_to(info.context);
    json.at("horizon").get_to(info.horizon);
    json.at("levels").get_to(info.levels);
    // Older bundles lack it: orders were made as if all demand were whole.
    info.demand = json.value("whole_demand", true) ? DemandKind::counts : DemandKind::continuous;
    for (const Json& gap : json.value("future_gaps", Json::array()))
      info.future_gaps.push_back({gap.at("column"), gap.at("missing"), gap.at("cells")});
    info.unobserved_series = json.value("unobserved_series", std::int64_t{0});
    return info;
  });
}

const StoredTensor& tensor(const SafetensorsFile& file, const std::string& name, DType dtype,
                           const std::vector<std::int64_t>& shape) {
  const StoredTensor& stored = file.at(name);
  if (stored.dtype != dtype || stored.shape != shape)
    damaged(file.path(), "holds " + name + " in another shape");
  return stored;
}

template <typename T>
std::vector<T> copy(const StoredTensor& stored) {
  std::vector<T> values(stored.bytes.size() / sizeof(T));
  std::copy_n(stored.bytes.data(), values.size() * sizeof(T), reinterpret_cast<std::byte*>(values.data()));
  return values;
}

// Numbers in place; one row for all series where there is only one.
template <typename T>
Rows<T> rows(const SafetensorsFile& file, const std::string& name, std::int64_t series, std::int64_t width) {
  constexpr DType kType = std::is_same_v<T, float> ? DType::f32 : DType::i32;
  const StoredTensor& stored = file.at(name);
  const bool shared = stored.shape == std::vector<std::int64_t>{1, width};
  if (!shared) tensor(file, name, kType, {series, width});
  if (stored.dtype != kType || reinterpret_cast<std::uintptr_t>(stored.bytes.data()) % sizeof(T) != 0)
    damaged(file.path(), "holds " + name + " in another form");
  return {reinterpret_cast<const T*>(stored.bytes.data()), shared ? 0 : width};
}

template <typename T>
std::vector<Rows<T>> columns(const SafetensorsFile& file, const std::string& name, std::int64_t count,
                             std::int64_t series, std::int64_t width) {
  std::vector<Rows<T>> all;
  for (std::int64_t i = 0; i < count; ++i)
    all.push_back(rows<T>(file, fmt::format("{}.{}", name, i), series, width));
  return all;
}

}  // namespace

double golden_tolerance(double scale, double value) { return 1e-4 * scale + 1e-6 * std::abs(value); }
double count_step(double count) { return std::max(1.0, 1e-3 * count); }

Bundle::Bundle(const fs::path& folder, Isa isa, GoldenCheck golden) : folder_(folder) {
  const Json description = read_description(folder_);
  check_files(folder_, description);
  info_ = read_info(folder_ / files::kDescription, description);
  model_ = std::make_unique<DemandModel>(folder_ / files::kModel, ops_for(isa));
  const ModelConfig& config = model_->config();
  if (config.context != info_.context || config.horizon != info_.horizon || config.quantiles != info_.levels)
    damaged(folder_ / files::kDescription, "describes another model than model/model.json");
  read_names();
  read_inputs();
  read_copula();
  read_golden();
  if (golden == GoldenCheck::run) check_golden();
}

void Bundle::read_names() {
  const fs::path path = folder_ / files::kNames;
  const Json json = read_json(path);
  reading(path, [&] {
    json.at("series").get_to(names_.series);
    json.at("store").get_to(names_.store);
    json.at("item").get_to(names_.item);
    names_.store_level = json.value("store_level", "");
    names_.item_level = json.value("item_level", "");
  });
  const auto fits = [&](const auto& names) { return std::ssize(names) == info_.series; };
  if (!fits(names_.series) || (!names_.store.empty() && !fits(names_.store)) ||
      (!names_.item.empty() && !fits(names_.item)))
    damaged(path, "names another number of series than bundle.json");
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : names_.series)
    if (!seen.insert(name).second) damaged(path, "names series \"" + name + "\" twice");
}

void Bundle::read_inputs() {
  arrays_ = std::make_unique<SafetensorsFile>(folder_ / files::kArrays);
  const ModelConfig& config = model_->config();
  const std::int64_t n = info_.series, past = config.context, span = config.context + config.horizon;
  inputs_.series = n;
  inputs_.context = rows<float>(*arrays_, "context", n, past);
  inputs_.past = columns<float>(*arrays_, "past", config.past_numeric, n, past);
  inputs_.known = columns<float>(*arrays_, "known", config.known_numeric, n, span);
  inputs_.past_codes =
      columns<std::int32_t>(*arrays_, "past_codes", std::ssize(config.past_cardinalities), n, past);
  inputs_.known_codes =
      columns<std::int32_t>(*arrays_, "known_codes", std::ssize(config.known_cardinalities), n, span);
  if (!config.static_cardinalities.empty())
    inputs_.statics = rows<std::int32_t>(*arrays_, "statics", n, std::ssize(config.static_cardinalities));
  if (config.static_numbers > 0)
    inputs_.static_numbers = rows<float>(*arrays_, "static_numbers", n, 2 * config.static_numbers);
  if (config.text_width > 0) {
    const StoredTensor& texts = arrays_->at("text");
    inputs_.texts = texts.shape.empty() ? 0 : texts.shape[0];
    inputs_.text = rows<float>(*arrays_, "text", inputs_.texts, config.text_width);
    inputs_.text_row = rows<std::int32_t>(*arrays_, "text_row", n, 1);
  }
  check_codes(inputs_, config);
}

void Bundle::read_copula() {
  const SafetensorsFile file(folder_ / files::kCopula);
  copula_.correlation.size = static_cast<int>(info_.horizon);
  copula_.correlation.values =
      copy<double>(tensor(file, "correlation", DType::f64, {info_.horizon, info_.horizon}));
  const std::int64_t levels = std::ssize(Recalibration::kLevels),
                     lengths = file.at("recalibration_days").elements();
  const auto days = copy<std::int32_t>(tensor(file, "recalibration_days", DType::i32, {lengths}));
  const auto values = copy<double>(tensor(file, "recalibration", DType::f64, {lengths, levels}));
  for (std::int64_t i = 0; i < lengths; ++i)
    copula_.recalibration.set(days[i], {values.begin() + i * levels, values.begin() + (i + 1) * levels});
}

void Bundle::read_golden() {
  const SafetensorsFile file(folder_ / files::kGolden);
  const std::int64_t count = file.at("series").elements(), levels = std::ssize(info_.levels);
  golden_.series = copy<std::int64_t>(tensor(file, "series", DType::i64, {count}));
  golden_.quantiles_gqh = copy<float>(tensor(file, "quantiles", DType::f32, {count, levels, info_.horizon}));
  golden_.mean_gh = copy<float>(tensor(file, "mean", DType::f32, {count, info_.horizon}));
  for (const std::int64_t index : golden_.series)
    if (index < 0 || index >= info_.series) damaged(file.path(), "names a series that is not there");
  if (count == 0) damaged(file.path(), "holds no golden case");
}

void Bundle::check_golden() const {
  const Forecasts got = forecast(*model_, inputs_, golden_.series, 1);
  const auto check = [&](const std::vector<float>& values, const std::vector<float>& expected,
                         const char* what, double steps) {
    const std::size_t width = values.size() / golden_.series.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t g = i / width;
      const double difference = std::abs(static_cast<double>(values[i]) - expected[i]),
                   scale = got.scale_b[g];
      // Not a number differs, too.
      if (!(difference <= golden_tolerance(scale, expected[i]) + steps * count_step(expected[i])))
        throw data_error(
            fmt::format("the bundle {} forecasts something else here than where it was exported",
                        folder_.string()),
            fmt::format("{} of series \"{}\", step {}: {} instead of {}, {:.2g} of the series' scale {:.4g}",
                        what, names_.series[golden_.series[g]], i % info_.horizon + 1, values[i], expected[i],
                        difference / scale, scale),
            "export the bundle again; if it stays, report it with the output of lscpu");
    }
  };
  // Rounding may take a count to its neighbour.
  check(got.quantiles_bqh, golden_.quantiles_gqh, "a quantile", model_->config().counts_written ? 1.0 : 0.0);
  check(got.mean_bh, golden_.mean_gh, "the mean", 0.0);
}

}  // namespace shelfcast::scorer
