#include "data/ingest/long_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <regex>
#include <unordered_map>

#include "base/error.h"
#include "base/log.h"
#include "data/ingest/cleaning.h"

namespace shelfcast::data {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A first or last date farther than this from all others is more often a typing error than a date.
constexpr std::int64_t kLoneDateSteps = 400;

// Which requested column each part of the map is: a column is read once for each type it is wanted as.
struct Layout {
  std::vector<ColumnRequest> requests;
  std::vector<std::size_t> keys, covariates, statics, filters;
  std::size_t date = 0, target = 0, text = 0;

  std::size_t want(const std::string& column, ColumnType type, const std::string& format = {}) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].name != column) continue;
      if (requests[i].type == type) return i;
      throw input_error(fmt::format("column \"{}\" is mapped both as text and as a number or a date", column),
                        "", "map it once, or copy the column");
    }
    requests.push_back({column, type, format});
    return requests.size() - 1;
  }
  // As whatever it is wanted already, else as text.
  std::size_t want_as_is(const std::string& column) {
    const auto found = std::find_if(requests.begin(), requests.end(),
                                    [&](const ColumnRequest& request) { return request.name == column; });
    if (found == requests.end()) return want(column, ColumnType::text);
    return static_cast<std::size_t>(found - requests.begin());
  }
};

ColumnType type_of(Kind kind) { return kind == Kind::numeric ? ColumnType::number : ColumnType::text; }

ColumnType type_of(LongMap::RowFilter::Rule rule) {
  using Rule = LongMap::RowFilter::Rule;
  return rule == Rule::positive || rule == Rule::not_negative ? ColumnType::number : ColumnType::text;
}

Layout layout_of(const LongMap& map) {
  Layout layout;
  for (const auto& key : map.series) layout.keys.push_back(layout.want(key, ColumnType::text));
  layout.date = layout.want(map.date, ColumnType::date, map.date_format);
  layout.target = layout.want(map.target, ColumnType::number);
  for (const auto& covariate : map.covariates)
    layout.covariates.push_back(layout.want(covariate.column, type_of(covariate.kind)));
  for (const auto& fact : map.statics) layout.statics.push_back(layout.want(fact.column, type_of(fact.kind)));
  for (const auto& filter : map.keep_rows) {
    const bool any_type = filter.rule == LongMap::RowFilter::Rule::present;
    layout.filters.push_back(any_type ? layout.want_as_is(filter.column)
                                      : layout.want(filter.column, type_of(filter.rule)));
  }
  if (!map.text.empty()) layout.text = layout.want(map.text, ColumnType::text);
  return layout;
}

bool is_present(const TableColumn& column, ColumnType type, std::size_t row) {
  switch (type) {
    case ColumnType::text:
      return column.codes[row] != kMissingCode;
    case ColumnType::number:
      return !std::isnan(column.numbers[row]);
    case ColumnType::date:
      return column.days[row] != kMissingDay;
  }
  return false;
}

struct KeyHash {
  std::size_t operator()(const std::vector<std::int32_t>& key) const {
    std::size_t hash = 0;
    for (const std::int32_t code : key)
      hash = (hash ^ static_cast<std::uint32_t>(code)) * 0x9E3779B97F4A7C15ull;
    return hash ^ (hash >> 29);
  }
};

class RowCollector {
 public:
  RowCollector(const std::vector<std::filesystem::path>& files, const LongMap& map, std::optional<Date> until)
      : map_(map), until_(until), layout_(layout_of(map)) {
    rows_.reader = std::make_unique<TableReader>(files, layout_.requests);
    rows_.covariates.resize(map.covariates.size());
    rows_.codes.resize(map.statics.size());
    rows_.values.resize(map.statics.size());
    fact_row_.resize(map.statics.size());
    for (const auto& filter : map.keep_rows) patterns_.push_back(pattern_of(filter));
    matches_.resize(map.keep_rows.size());
    for (std::size_t fact = 0; fact < map.statics.size(); ++fact) {
      if (map.statics[fact].name == map.item_level) item_ = fact;
    }
  }

  LongRows collect() {
    TableBatch batch;
    while (rows_.reader->next(batch)) {
      for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); ++row) append(batch, row);
    }
    if (rows_.series.empty() && rows_.dropped == 0 && until_) {
      throw input_error(fmt::format("nothing is left until {}", format_date(*until_)),
                        "the table's rows are all of later days", "choose a later day");
    }
    if (rows_.series.empty()) {
      throw input_error("no row is left to read",
                        fmt::format("keep_rows and negative leave out all {}", rows_.dropped));
    }
    finish();
    return std::move(rows_);
  }

 private:
  static std::regex pattern_of(const LongMap::RowFilter& filter) {
    try {
      return std::regex(filter.pattern);
    } catch (const std::regex_error&) {
      throw input_error(fmt::format("keep_rows: \"{}\" is not a regular expression", filter.pattern));
    }
  }

  static std::string fill_in_or_leave_out(const std::string& column) {
    return fmt::format("fill it in, or leave such rows out with keep_rows: {{{}: present}}", column);
  }

  void append(const TableBatch& batch, std::size_t row) {
    const std::int32_t day = batch.columns[layout_.date].days[row];
    if (until_ && day != kMissingDay && Date{std::chrono::days{day}} > *until_) return;
    const std::int64_t source = batch.first_row + static_cast<std::int64_t>(row);
    const auto target = static_cast<float>(batch.columns[layout_.target].numbers[row]);
    if (!kept(batch, row) || (target < 0 && !keep_negative(source, target))) {
      ++rows_.dropped;
      return;
    }
    if (day == kMissingDay) {
      throw input_error(fmt::format("{} has no date", rows_.reader->place(source)),
                        "column \"" + map_.date + "\" is empty", fill_in_or_leave_out(map_.date));
    }
    const std::int32_t series = series_of(batch, row, source);
    rows_.series.push_back(series);
    rows_.day.push_back(day);
    rows_.target.push_back(target);
    rows_.source.push_back(source);
    for (std::size_t c = 0; c < map_.covariates.size(); ++c) {
      const TableColumn& column = batch.columns[layout_.covariates[c]];
      const bool numeric = map_.covariates[c].kind == Kind::numeric;
      rows_.covariates[c].push_back(numeric ? static_cast<float>(column.numbers[row])
                                            : static_cast<float>(column.codes[row]));
    }
    for (std::size_t fact = 0; fact < map_.statics.size(); ++fact)
      note_fact(fact, batch, row, static_cast<std::size_t>(series), source);
    note_text(batch, row, static_cast<std::size_t>(series));
  }

  bool kept(const TableBatch& batch, std::size_t row) {
    using Rule = LongMap::RowFilter::Rule;
    for (std::size_t f = 0; f < map_.keep_rows.size(); ++f) {
      const TableColumn& column = batch.columns[layout_.filters[f]];
      switch (map_.keep_rows[f].rule) {
        case Rule::positive:
          if (!(column.numbers[row] > 0)) return false;
          break;
        case Rule::not_negative:
          if (!(column.numbers[row] >= 0)) return false;
          break;
        case Rule::present:
          if (!is_present(column, layout_.requests[layout_.filters[f]].type, row)) return false;
          break;
        case Rule::matches:
          if (!matches(f, column.codes[row])) return false;
          break;
      }
    }
    return true;
  }

  // Patterns are tried once for each distinct text.
  bool matches(std::size_t filter, std::int32_t code) {
    if (code == kMissingCode) return false;
    auto& known = matches_[filter];
    const auto& texts = rows_.reader->dictionary(layout_.filters[filter]);
    while (known.size() <= static_cast<std::size_t>(code))
      known.push_back(std::regex_search(texts[known.size()], patterns_[filter]));
    return known[static_cast<std::size_t>(code)];
  }

  bool keep_negative(std::int64_t source, float target) const {
    if (map_.negative == Negative::error) {
      throw input_error(fmt::format("{}: \"{}\" is {}", rows_.reader->place(source), map_.target, target),
                        "a negative target, perhaps a return",
                        "say what it means: target: {column: ..., negative: drop} (or clip, keep)");
    }
    return map_.negative != Negative::drop;
  }

  std::int32_t series_of(const TableBatch& batch, std::size_t row, std::int64_t source) {
    key_.clear();
    for (std::size_t k = 0; k < layout_.keys.size(); ++k) {
      const std::int32_t code = batch.columns[layout_.keys[k]].codes[row];
      if (code == kMissingCode) {
        throw input_error(fmt::format("{} has no \"{}\"", rows_.reader->place(source), map_.series[k]),
                          "it is part of the series' key", fill_in_or_leave_out(map_.series[k]));
      }
      key_.push_back(code);
    }
    const auto [found, fresh] = series_.try_emplace(key_, static_cast<std::int32_t>(rows_.names.size()));
    if (fresh) rows_.names.push_back(name_of(key_));
    return found->second;
  }

  std::string name_of(const std::vector<std::int32_t>& key) const {
    std::string name;
    for (std::size_t k = 0; k < key.size(); ++k) {
      name +=
          (k == 0 ? "" : "/") + rows_.reader->dictionary(layout_.keys[k])[static_cast<std::size_t>(key[k])];
    }
    return name;
  }

  // A fact is the same in all rows of a series that have it.
  void note_fact(std::size_t fact, const TableBatch& batch, std::size_t row, std::size_t series,
                 std::int64_t source) {
    const TableColumn& column = batch.columns[layout_.statics[fact]];
    auto& first_row = fact_row_[fact];
    const auto note = [&](auto& known, auto value, bool present, auto missing) {
      if (known.size() <= series) known.resize(series + 1, missing), first_row.resize(series + 1, 0);
      if (!present || known[series] == value) return;
      const bool was_missing = known[series] != known[series] || known[series] == missing;
      if (!was_missing) fact_differs(fact, series, first_row[series], source);
      known[series] = value;
      first_row[series] = source;
    };
    if (map_.statics[fact].kind == Kind::categorical) {
      note(rows_.codes[fact], column.codes[row], column.codes[row] != kMissingCode, kMissingCode);
    } else {
      const auto value = static_cast<float>(column.numbers[row]);
      note(rows_.values[fact], value, !std::isnan(value), kNan);
    }
  }

  [[noreturn]] void fact_differs(std::size_t fact, std::size_t series, std::int64_t first,
                                 std::int64_t second) const {
    throw input_error(
        fmt::format("\"{}\" of series {} differs between {} and {}", map_.statics[fact].column,
                    rows_.names[series], rows_.reader->place(first), rows_.reader->place(second)),
        "a static is one value per series", "make it a covariate, or add it to the series' key");
  }

  void note_text(const TableBatch& batch, std::size_t row, std::size_t series) {
    if (map_.text.empty()) return;
    const std::int32_t raw = batch.columns[layout_.text].codes[row];
    const std::int32_t item = rows_.codes[item_][series];
    if (raw == kMissingCode || item == kMissingCode) return;
    const auto& texts = rows_.reader->dictionary(layout_.text);
    while (tidied_.size() <= static_cast<std::size_t>(raw)) {
      const std::string tidy = tidy_text(texts[tidied_.size()]);
      if (tidy.empty()) {
        tidied_.push_back(kMissingCode);
        continue;
      }
      const auto [found, fresh] = spellings_.try_emplace(tidy, static_cast<std::int32_t>(spellings_.size()));
      if (fresh) spelling_texts_.push_back(tidy);
      tidied_.push_back(found->second);
    }
    const std::int32_t spelling = tidied_[static_cast<std::size_t>(raw)];
    if (spelling != kMissingCode) counter_.count(item, spelling);
  }

  void finish() {
    warn_of_lone_date();
    for (std::size_t fact = 0; fact < map_.statics.size(); ++fact) {
      const bool numeric = map_.statics[fact].kind == Kind::numeric;
      rows_.static_vocabularies.push_back(numeric ? std::vector<std::string>{}
                                                  : rows_.reader->dictionary(layout_.statics[fact]));
    }
    if (!map_.text.empty()) collect_documents();
    for (std::size_t fact = 0; fact < map_.statics.size(); ++fact)
      drop_unused(rows_.codes[fact], rows_.static_vocabularies[fact]);
    for (std::size_t c = 0; c < map_.covariates.size(); ++c) {
      const bool numeric = map_.covariates[c].kind == Kind::numeric;
      rows_.covariate_vocabularies.push_back(numeric ? std::vector<std::string>{}
                                                     : rows_.reader->dictionary(layout_.covariates[c]));
      if (!numeric) drop_unused(rows_.covariates[c], rows_.covariate_vocabularies[c]);
    }
  }

  // One 2042 for 2024 makes thousands of steps in which nothing was sold.
  void warn_of_lone_date() const {
    const auto& days = rows_.day;
    const auto [first, last] = std::minmax_element(days.begin(), days.end());
    std::int32_t second = *last, last_but_one = *first;
    for (const std::int32_t day : days) {
      if (day > *first) second = std::min(second, day);
      if (day < *last) last_but_one = std::max(last_but_one, day);
    }
    const auto steps = [&](std::int32_t from, std::int32_t to) {
      const TimeAxis axis{Date{std::chrono::days{from}}, map_.frequency};
      return axis.step_at_or_before(Date{std::chrono::days{to}});
    };
    const auto warn = [&](std::int32_t day, std::int64_t away) {
      const auto row = static_cast<std::size_t>(std::find(days.begin(), days.end(), day) - days.begin());
      log::warn("{}: {} is {} steps ({}) away from every other date: is it right?", rows_.place(row),
                format_date(Date{std::chrono::days{day}}), away, to_string(map_.frequency));
    };
    if (const auto away = steps(last_but_one, *last); away > kLoneDateSteps)
      warn(*last, away);
    else if (const auto before = steps(*first, second); before > kLoneDateSteps)
      warn(*first, before);
  }

  // Rows that were left out may have been the only ones with some values.
  template <class Code>
  static void drop_unused(std::vector<Code>& codes, std::vector<std::string>& vocabulary) {
    std::vector<Code> renumbered(vocabulary.size(), kMissingCode);
    std::vector<std::string> used;
    for (Code& code : codes) {
      if (code == kMissingCode) continue;
      auto& number = renumbered[static_cast<std::size_t>(code)];
      if (number == kMissingCode) {
        number = static_cast<Code>(used.size());
        used.push_back(std::move(vocabulary[static_cast<std::size_t>(code)]));
      }
      code = number;
    }
    vocabulary = std::move(used);
  }

  void collect_documents() {
    const auto& items = rows_.static_vocabularies[item_];
    for (std::size_t item = 0; item < items.size(); ++item) {
      const std::int32_t spelling = counter_.commonest(static_cast<std::int32_t>(item));
      if (spelling < 0) continue;
      rows_.documents.push_back({items[item], spelling_texts_[static_cast<std::size_t>(spelling)]});
    }
  }

  const LongMap& map_;
  std::optional<Date> until_;
  Layout layout_;
  LongRows rows_;
  std::vector<std::regex> patterns_;
  std::vector<std::vector<bool>> matches_;           // per filter, per code
  std::vector<std::vector<std::int64_t>> fact_row_;  // per static, per series: the row that said so
  std::unordered_map<std::vector<std::int32_t>, std::int32_t, KeyHash> series_;
  std::vector<std::int32_t> key_;
  std::size_t item_ = 0;
  SpellingCounter counter_;
  std::vector<std::int32_t> tidied_;  // per raw text: its spelling
  std::unordered_map<std::string, std::int32_t> spellings_;
  std::vector<std::string> spelling_texts_;
};

}  // namespace

LongRows read_long_rows(const std::filesystem::path& path, const LongMap& map, std::optional<Date> until) {
  return read_long_rows(table_files(path), map, until);
}

LongRows read_long_rows(const std::vector<std::filesystem::path>& files, const LongMap& map,
                        std::optional<Date> until) {
  return RowCollector(files, map, until).collect();
}

}  // namespace shelfcast::data
