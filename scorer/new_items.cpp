#include "scorer/new_items.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "base/json_file.h"
#include "scorer/bundle_files.h"
#include "scorer/csv.h"
#include "scorer/text_encoder.h"

namespace shelfcast::scorer {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

using Json = nlohmann::json;

// A static of the model; code 0 = unknown, i + 1 = vocabulary[i].
struct Fact {
  std::string name;
  std::unordered_map<std::string, std::int32_t> codes;
};

// A static that is a number; the model reads (x - mean) / std and whether it is missing.
struct NumericFact {
  std::string name;
  float mean = 0.0F, std = 1.0F;
};

// What features.json tells of the model's columns.
struct Columns {
  std::vector<Fact> facts;
  std::vector<NumericFact> numbers;
  std::vector<std::string> known_per, known_codes_per;  // "series", "all" or a level such as "store"
};

Columns read_columns(const Bundle& bundle) {
  const std::filesystem::path path = bundle.folder() / files::kFeatures;
  const Json json = read_json(path);
  Columns columns;
  try {
    for (const Json& one : json.at("statics")) {
      Fact& fact = columns.facts.emplace_back(Fact{one.at("name"), {}});
      for (const Json& name : one.at("vocabulary"))
        fact.codes.emplace(name.get<std::string>(), static_cast<std::int32_t>(fact.codes.size()) + 1);
    }
    if (json.contains("static_numbers"))  // older files lack it
      for (const Json& one : json.at("static_numbers"))
        columns.numbers.push_back({one.at("name"), one.at("mean"), one.at("std")});
    for (const Json& one : json.at("known_numeric")) columns.known_per.push_back(one.at("per"));
    for (const Json& one : json.at("known_categorical")) columns.known_codes_per.push_back(one.at("per"));
  } catch (const Json::exception& error) {
    throw data_error(path.string() + " cannot be read", error.what(), "export the bundle again");
  }
  const ModelConfig& config = bundle.model().config();
  if (columns.facts.size() != config.static_cardinalities.size() ||
      std::ssize(columns.numbers) != config.static_numbers ||
      std::ssize(columns.known_per) != config.known_numeric ||
      columns.known_codes_per.size() != config.known_cardinalities.size())
    throw data_error(path.string() + " describes another model than model/model.json", {},
                     "export the bundle again");
  return columns;
}

std::unordered_map<std::string, std::int64_t> first_of_each(const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::int64_t> index;
  for (std::size_t i = 0; i < names.size(); ++i) index.emplace(names[i], static_cast<std::int64_t>(i));
  return index;
}

}  // namespace

class NewItemsReader {
 public:
  NewItemsReader(const std::filesystem::path& path, const Bundle& bundle, NewItems& items)
      : path_(path),
        bundle_(bundle),
        config_(bundle.model().config()),
        columns_(read_columns(bundle)),
        table_(read_csv(path)),
        series_(first_of_each(bundle.names().series)),
        stores_(first_of_each(bundle.names().store)),
        item_series_(first_of_each(bundle.names().item)),
        items_(items) {
    find_columns();
  }

  void read(int threads) {
    if (table_.rows.empty())
      throw input_error(path_.string() + " has no rows", {}, "write one row a new series");
    const std::int64_t steps = config_.context + config_.horizon;
    items_.context_ = unset(config_.context, kMissing);
    items_.past_.assign(static_cast<std::size_t>(config_.past_numeric), unset(config_.context, kMissing));
    items_.past_codes_.assign(config_.past_cardinalities.size(), unset(config_.context, 0));
    items_.known_.assign(columns_.known_per.size(), unset(steps, kMissing));
    items_.known_codes_.assign(columns_.known_codes_per.size(), unset(steps, 0));
    for (std::size_t i = 0; i < table_.rows.size(); ++i) {
      read_names(table_.rows[i]);
      read_facts(table_.rows[i]);
      share_known(table_.rows[i], static_cast<std::int64_t>(i));
    }
    if (config_.text_width > 0) read_texts(threads);
    point_inputs();
    check_codes(items_.inputs_, config_);
  }

 private:
  // `steps` values a row, of a table in which nothing is known yet.
  template <typename T>
  std::vector<T> unset(std::int64_t steps, T value) const {
    return std::vector<T>(table_.rows.size() * static_cast<std::size_t>(steps), value);
  }

  [[noreturn]] void fail(const CsvRow& row, const std::string& problem, const std::string& why,
                         const std::string& advice) const {
    throw input_error(fmt::format("{}:{}: {}", path_.string(), row.line, problem), why, advice);
  }

  void find_columns() {
    std::vector<std::string> known = {"series", "store", "item", "like"};
    if (config_.text_width > 0) known.emplace_back("text");
    for (const Fact& fact : columns_.facts) known.push_back(fact.name);
    for (const NumericFact& fact : columns_.numbers) known.push_back(fact.name);
    for (std::size_t i = 0; i < table_.header.size(); ++i) {
      const std::string& name = table_.header[i];
      if (std::ranges::find(known, name) == known.end())
        throw input_error(fmt::format("{}: the model reads no column \"{}\"", path_.string(), name),
                          fmt::format("it reads {}", fmt::join(known, ", ")), "leave the column out");
      if (!at_.emplace(name, i).second)
        throw input_error(fmt::format("{}: column \"{}\" is there twice", path_.string(), name));
    }
    if (!at_.contains("series") && !(at_.contains("store") && at_.contains("item")))
      throw input_error(path_.string() + " has no column \"series\"",
                        fmt::format("its columns are {}", fmt::join(table_.header, ", ")),
                        "name each row's series, or its store and item");
  }

  const std::string& cell(const CsvRow& row, const std::string& name) const {
    static const std::string kEmpty;
    const auto found = at_.find(name);
    return found == at_.end() ? kEmpty : row.cells[found->second];
  }

  void read_names(const CsvRow& row) {
    const std::string &store = cell(row, "store"), &item = cell(row, "item");
    std::string name = cell(row, "series");
    if (name.empty() && (store.empty() || item.empty()))
      fail(row, "the series has no name", {}, "fill in series, or store and item");
    if (name.empty()) name = store + "/" + item;
    if (series_.contains(name))
      fail(row, fmt::format("series \"{}\" is in the bundle", name), "it is not new", "remove the row");
    if (const auto [first, fresh] = lines_.emplace(name, row.line); !fresh)
      fail(row, fmt::format("series \"{}\" is here a second time", name),
           fmt::format("its first row is line {}", first->second), "keep one row a series");
    items_.names_.series.push_back(name);
    items_.names_.store.push_back(store);
    items_.names_.item.push_back(item);
  }

  void read_facts(const CsvRow& row) {
    bool unknown = false;
    for (const Fact& fact : columns_.facts) {
      const auto found = fact.codes.find(cell(row, fact.name));
      unknown = unknown || found == fact.codes.end();
      items_.statics_.push_back(found == fact.codes.end() ? 0 : found->second);
    }
    for (const NumericFact& fact : columns_.numbers) {
      const std::string& text = cell(row, fact.name);
      float value = 0.0F;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (!text.empty() &&
          (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)))
        fail(row, fmt::format("\"{}\" is no number", text), fmt::format("{} is one", fact.name),
             "write a number, or leave the cell empty");
      unknown = unknown || text.empty();
      items_.static_numbers_.push_back(text.empty() ? 0.0F : (value - fact.mean) / fact.std);
      items_.static_numbers_.push_back(text.empty() ? 1.0F : 0.0F);
    }
    items_.unknown_facts_ += unknown ? 1 : 0;
  }

  // A series of the bundle with the value of level `per` that the new series in this row has; -1 = none.
  std::int64_t same_value(const std::string& per, const CsvRow& row, std::int64_t index) const {
    const auto named = [&](const auto& rows, const char* column) {
      const std::string& name = cell(row, column);
      const auto found = rows.find(name);
      return name.empty() || found == rows.end() ? std::int64_t{-1} : found->second;
    };
    const SeriesNames& names = bundle_.names();
    const auto fact = std::ranges::find(columns_.facts, per, &Fact::name);
    const bool is_fact = fact != columns_.facts.end();
    const bool item = per == (names.item_level.empty() ? "item" : names.item_level);
    // Bundles that do not say what they call a store: what is no item and no fact is one.
    const bool store =
        names.store_level.empty() ? per == "store" || (!item && !is_fact) : per == names.store_level;
    std::int64_t same = item ? named(item_series_, "item") : store ? named(stores_, "store") : -1;
    if (same >= 0 || !is_fact) return same;
    const std::int64_t facts = std::ssize(columns_.facts), place = fact - columns_.facts.begin();
    const std::int32_t code = items_.statics_[static_cast<std::size_t>(index * facts + place)];
    const ModelInputs& inputs = bundle_.inputs();
    for (std::int64_t other = 0; code != 0 && same < 0 && other < inputs.series; ++other)
      if (inputs.statics.row(other)[place] == code) same = other;
    return same;
  }

  // Columns known ahead come from a series of the bundle.
  void share_known(const CsvRow& row, std::int64_t index) {
    const std::string& like = cell(row, "like");
    std::int64_t series = -1;
    if (!like.empty()) {
      const auto found = series_.find(like);
      if (found == series_.end()) {
        const std::string near = nearest_name(like, bundle_.names().series);
        fail(row, fmt::format("the bundle has no series \"{}\"", like), "like must name one of its series",
             near.empty() ? "" : "did you mean \"" + near + "\"?");
      }
      series = found->second;
    }
    const auto source = [&](const std::string& per) {
      if (per == "all") return std::int64_t{0};
      return series >= 0 || per == "series" ? series : same_value(per, row, index);
    };
    const ModelInputs& inputs = bundle_.inputs();
    const std::int64_t steps = config_.context + config_.horizon;
    for (std::size_t i = 0; i < columns_.known_per.size(); ++i)
      if (const std::int64_t from = source(columns_.known_per[i]); from >= 0)
        std::copy_n(inputs.known[i].row(from), steps, items_.known_[i].begin() + index * steps);
    for (std::size_t i = 0; i < columns_.known_codes_per.size(); ++i)
      if (const std::int64_t from = source(columns_.known_codes_per[i]); from >= 0)
        std::copy_n(inputs.known_codes[i].row(from), steps, items_.known_codes_[i].begin() + index * steps);
  }

  void read_texts(int threads) {
    std::vector<std::string> texts;
    for (const CsvRow& row : table_.rows) {
      const std::string& text = cell(row, "text");
      items_.text_row_.push_back(text.empty() ? -1 : static_cast<std::int32_t>(texts.size()));
      if (!text.empty()) texts.push_back(text);
    }
    items_.without_text_ = std::ssize(table_.rows) - std::ssize(texts);
    if (texts.empty()) return;
    const TextEncoder encoder(bundle_.folder() / files::kText, config_, ops_for(best_isa()));
    encoder.check(bundle_.folder() / files::kGoldenTexts, bundle_.inputs().text, bundle_.inputs().texts,
                  threads);
    items_.text_ = encoder.encode(texts, threads);
  }

  template <typename T>
  static std::vector<Rows<T>> rows(const std::vector<std::vector<T>>& columns, std::int64_t steps) {
    std::vector<Rows<T>> all;
    for (const std::vector<T>& column : columns) all.push_back({column.data(), steps});
    return all;
  }

  void point_inputs() {
    ModelInputs& inputs = items_.inputs_;
    const std::int64_t steps = config_.context + config_.horizon;
    inputs.series = std::ssize(table_.rows);
    inputs.context = {items_.context_.data(), config_.context};
    inputs.past = rows(items_.past_, config_.context);
    inputs.past_codes = rows(items_.past_codes_, config_.context);
    inputs.known = rows(items_.known_, steps);
    inputs.known_codes = rows(items_.known_codes_, steps);
    inputs.statics = {items_.statics_.data(), std::ssize(columns_.facts)};
    inputs.static_numbers = {items_.static_numbers_.data(), 2 * config_.static_numbers};
    inputs.texts = config_.text_width > 0 ? std::ssize(items_.text_) / config_.text_width : 0;
    inputs.text = {items_.text_.data(), config_.text_width};
    inputs.text_row = {items_.text_row_.data(), 1};
  }

  const std::filesystem::path& path_;
  const Bundle& bundle_;
  const ModelConfig& config_;
  Columns columns_;
  CsvTable table_;
  // A row of the bundle for each name.
  std::unordered_map<std::string, std::int64_t> series_, stores_, item_series_;
  std::unordered_map<std::string, std::int64_t> lines_;
  std::unordered_map<std::string, std::size_t> at_;
  NewItems& items_;
};

NewItems::NewItems(const std::filesystem::path& table, const Bundle& bundle, int threads) {
  NewItemsReader(table, bundle, *this).read(threads);
}

SeriesNames all_names(const Bundle& bundle, const NewItems& items) {
  SeriesNames names = bundle.names();
  const auto append = [](std::vector<std::string>& all, const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  append(names.series, items.names().series);
  if (!names.store.empty()) append(names.store, items.names().store);
  if (!names.item.empty()) append(names.item, items.names().item);
  return names;
}

Forecasts forecast(const Bundle& bundle, const NewItems& items, const std::vector<std::int64_t>& which,
                   int threads, const std::function<void(std::int64_t)>& progress) {
  const std::int64_t known = bundle.info().series;
  std::vector<std::int64_t> old, fresh;
  for (const std::int64_t series : which)
    series < known ? old.push_back(series) : fresh.push_back(series - known);
  if (fresh.empty()) return forecast(bundle.model(), bundle.inputs(), old, threads, progress);
  Forecasts of_new = forecast(bundle.model(), items.inputs(), fresh, threads, progress);
  if (old.empty()) return of_new;
  const Forecasts of_old = forecast(bundle.model(), bundle.inputs(), old, threads, [&](std::int64_t done) {
    if (progress) progress(std::ssize(fresh) + done);
  });
  Forecasts all{std::ssize(which), of_new.levels, of_new.horizon, {}, {}, {}};
  std::int64_t next_old = 0, next_new = 0;
  for (const std::int64_t series : which) {
    const Forecasts& from = series < known ? of_old : of_new;
    const std::int64_t row = series < known ? next_old++ : next_new++;
    const auto append = [row](std::vector<float>& to, const std::vector<float>& values, std::int64_t width) {
      to.insert(to.end(), values.begin() + row * width, values.begin() + (row + 1) * width);
    };
    append(all.quantiles_bqh, from.quantiles_bqh, all.levels * all.horizon);
    append(all.mean_bh, from.mean_bh, all.horizon);
    append(all.scale_b, from.scale_b, 1);
  }
  return all;
}

}  // namespace shelfcast::scorer
