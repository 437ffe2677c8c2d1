#include "data/ingest/arrow_convert.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.h"

namespace shelfcast::data {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Not text as a name would have it ("NA" is a region), but what programs write for a missing number.
constexpr std::array<std::string_view, 8> kMissingNumbers = {"na",   "n/a",  "nan", "null",
                                                             "none", "#n/a", "-",   "?"};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

[[noreturn]] void unsupported(const arrow::Array& array, std::string_view as) {
  throw input_error(fmt::format("a column of type {} cannot be read as {}", array.type()->ToString(), as));
}

// Calls use(row, value) for each present cell of a fixed-width array.
template <typename ArrayType, typename Use>
void for_each(const arrow::Array& array, Use&& use) {
  const auto& typed = static_cast<const ArrayType&>(array);
  for (std::int64_t row = 0; row < typed.length(); ++row) {
    if (!typed.IsNull(row)) use(row, typed.Value(row));
  }
}

// use(row, value) for integer and floating arrays; false for other types.
template <typename Use>
bool for_each_number(const arrow::Array& array, Use&& use) {
  switch (array.type_id()) {
    case arrow::Type::INT8:
      for_each<arrow::Int8Array>(array, use);
      return true;
    case arrow::Type::INT16:
      for_each<arrow::Int16Array>(array, use);
      return true;
    case arrow::Type::INT32:
      for_each<arrow::Int32Array>(array, use);
      return true;
    case arrow::Type::INT64:
      for_each<arrow::Int64Array>(array, use);
      return true;
    case arrow::Type::UINT8:
      for_each<arrow::UInt8Array>(array, use);
      return true;
    case arrow::Type::UINT16:
      for_each<arrow::UInt16Array>(array, use);
      return true;
    case arrow::Type::UINT32:
      for_each<arrow::UInt32Array>(array, use);
      return true;
    case arrow::Type::UINT64:
      for_each<arrow::UInt64Array>(array, use);
      return true;
    case arrow::Type::FLOAT:
      for_each<arrow::FloatArray>(array, use);
      return true;
    case arrow::Type::DOUBLE:
      for_each<arrow::DoubleArray>(array, use);
      return true;
    case arrow::Type::BOOL:
      for_each<arrow::BooleanArray>(array, use);
      return true;
    default:
      return false;
  }
}

// use(row, text) for plain string arrays; false for other types.
template <typename Use>
bool for_each_string(const arrow::Array& array, Use&& use) {
  const auto visit = [&](const auto& typed) {
    for (std::int64_t row = 0; row < typed.length(); ++row) {
      if (!typed.IsNull(row)) use(row, std::string_view(typed.GetView(row)));
    }
    return true;
  };
  switch (array.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return visit(static_cast<const arrow::BinaryArray&>(array));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return visit(static_cast<const arrow::LargeBinaryArray&>(array));
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return visit(static_cast<const arrow::BinaryViewArray&>(array));
    default:
      return false;
  }
}

// Calls use(row, dictionary index) for each present cell of a dictionary-encoded array.
template <typename Use>
void for_each_index(const arrow::DictionaryArray& array, Use&& use) {
  for_each_number(*array.indices(),
                  [&](std::int64_t row, auto index) { use(row, static_cast<std::int64_t>(index)); });
}

// Converts a dictionary's values once, then copies them to the rows that refer to them. A bad value is
// reported for the first row that has it.
template <typename Value, typename Convert>
void through_dictionary(const arrow::DictionaryArray& array, std::vector<Value>& out, Convert&& convert) {
  std::vector<Value> values;
  const auto row_of = [&](std::int64_t wanted) {
    std::int64_t first = array.length();
    for_each_index(array, [&](std::int64_t row, std::int64_t index) {
      if (index == wanted && row < first) first = row;
    });
    return first;
  };
  try {
    convert(*array.dictionary(), values);
  } catch (BadCell& bad) {
    bad.row = row_of(bad.row);
    throw;
  }
  for_each_index(array, [&](std::int64_t row, std::int64_t index) {
    out[static_cast<std::size_t>(row)] = values[static_cast<std::size_t>(index)];
  });
}

// The text a CSV would have: all digits of a whole number, however large. No integer goes through double,
// which tells them apart only up to 2^53.
template <typename Number>
std::string number_text(Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return {};
    if (value == std::trunc(value)) return fmt::format("{:.0f}", value == 0 ? 0 : value);  // -0 is 0
  }
  return fmt::format("{}", value);
}

// Numbers as names (store 17): repeated values are looked up by value, not by text.
class NumberNames {
 public:
  NumberNames(StringPool& pool, std::vector<std::int32_t>& codes) : pool_(pool), codes_(codes) {}

  template <typename Number>
  void operator()(std::int64_t row, Number value) {
    const auto [found, fresh] = known_.try_emplace(bits_of(value), kMissingCode);
    if (fresh) found->second = pool_.intern(number_text(value));
    codes_[static_cast<std::size_t>(row)] = found->second;
  }

 private:
  // Different for different values of one type.
  template <typename Number>
  static std::uint64_t bits_of(Number value) {
    if constexpr (std::is_floating_point_v<Number>)
      return std::bit_cast<std::uint64_t>(static_cast<double>(value));
    else
      return static_cast<std::uint64_t>(value);
  }

  StringPool& pool_;
  std::vector<std::int32_t>& codes_;
  std::unordered_map<std::uint64_t, std::int32_t> known_;
};

// Whether Arrow's compute kernels could be registered, which has to happen once.
const arrow::Status& compute_status() {
  static const arrow::Status status = arrow::compute::Initialize();
  return status;
}

// Instants as the clock of their column's zone shows them: a day is a local one.
std::shared_ptr<arrow::Array> local_times(const arrow::Array& instants, const std::string& zone) {
  const auto local = [&]() -> arrow::Result<arrow::Datum> {
    ARROW_RETURN_NOT_OK(compute_status());
    return arrow::compute::CallFunction("local_timestamp", {arrow::MakeArray(instants.data())});
  }();
  if (local.ok()) return local->make_array();
  throw input_error(fmt::format("times of zone \"{}\" cannot be read as dates", zone),
                    local.status().message(),
                    "install the zones of the world (Debian: tzdata), or write the column as dates");
}

// use(row, days since 1970) for date and timestamp arrays; false for other types.
template <typename Use>
bool for_each_day(const arrow::Array& array, Use&& use) {
  const auto per_day = [&](std::int64_t units) {
    return [&use, units](std::int64_t row, std::int64_t value) {
      const std::int64_t day = value / units - (value % units < 0 ? 1 : 0);
      use(row, static_cast<std::int32_t>(day));
    };
  };
  switch (array.type_id()) {
    case arrow::Type::DATE32:
      for_each<arrow::Date32Array>(array, per_day(1));
      return true;
    case arrow::Type::DATE64:
      for_each<arrow::Date64Array>(array, per_day(86'400'000));
      return true;
    case arrow::Type::TIMESTAMP: {
      constexpr std::array<std::int64_t, 4> kUnitsPerSecond = {1, 1'000, 1'000'000, 1'000'000'000};
      const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
      const auto use_days = per_day(86'400 * kUnitsPerSecond[static_cast<std::size_t>(type.unit())]);
      if (type.timezone().empty() || type.timezone() == "UTC")  // read without knowing the world's zones
        for_each<arrow::TimestampArray>(array, use_days);
      else
        for_each<arrow::TimestampArray>(*local_times(array, type.timezone()), use_days);
      return true;
    }
    default:
      return false;
  }
}

std::int32_t day_or_throw(const DateParser& parser, std::string_view text, std::int64_t row) {
  if (trimmed(text).empty()) return kMissingDay;
  const auto date = parser(text);
  if (!date) throw BadCell{row, std::string(text)};
  return static_cast<std::int32_t>(date->time_since_epoch().count());
}

}  // namespace

std::int32_t StringPool::intern(std::string_view text) {
  if (text.empty()) return kMissingCode;
  const auto found = codes_.find(text);
  if (found != codes_.end()) return found->second;
  const auto code = static_cast<std::int32_t>(strings_.size());
  strings_.emplace_back(text);
  codes_.emplace(text, code);
  return code;
}

std::optional<double> parse_number(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return kNan;
  if (text.front() == '+' && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  const std::string word = lower(text);
  if (word == "true") return 1.0;
  if (word == "false") return 0.0;
  for (const auto missing : kMissingNumbers) {
    if (word == missing) return kNan;
  }
  return std::nullopt;
}

void convert_text(const arrow::Array& array, StringPool& pool, std::vector<std::int32_t>& codes) {
  codes.assign(static_cast<std::size_t>(array.length()), kMissingCode);
  const auto put = [&](std::int64_t row, std::string_view text) {
    codes[static_cast<std::size_t>(row)] = pool.intern(trimmed(text));
  };
  if (array.type_id() == arrow::Type::DICTIONARY) {
    through_dictionary(
        static_cast<const arrow::DictionaryArray&>(array), codes,
        [&](const arrow::Array& values, std::vector<std::int32_t>& out) { convert_text(values, pool, out); });
    return;
  }
  if (array.type_id() == arrow::Type::NA || for_each_string(array, put)) return;
  if (array.type_id() == arrow::Type::BOOL) {
    for_each<arrow::BooleanArray>(array,
                                  [&](std::int64_t row, bool value) { put(row, value ? "true" : "false"); });
    return;
  }
  if (for_each_number(array, NumberNames(pool, codes))) return;
  const bool dates = for_each_day(array, [&](std::int64_t row, std::int32_t day) {
    put(row, format_date(Date{std::chrono::days{day}}));
  });
  if (!dates) unsupported(array, "text");
}

void convert_numbers(const arrow::Array& array, std::vector<double>& numbers) {
  numbers.assign(static_cast<std::size_t>(array.length()), kNan);
  if (array.type_id() == arrow::Type::DICTIONARY) {
    through_dictionary(
        static_cast<const arrow::DictionaryArray&>(array), numbers,
        [](const arrow::Array& values, std::vector<double>& out) { convert_numbers(values, out); });
    return;
  }
  const auto put = [&](std::int64_t row, auto value) {
    numbers[static_cast<std::size_t>(row)] = static_cast<double>(value);
  };
  if (array.type_id() == arrow::Type::NA || for_each_number(array, put)) return;
  if (array.type_id() == arrow::Type::DECIMAL128) {
    const auto scale = static_cast<const arrow::Decimal128Type&>(*array.type()).scale();
    for_each<arrow::Decimal128Array>(array, [&](std::int64_t row, const std::uint8_t* bytes) {
      put(row, arrow::Decimal128(bytes).ToDouble(scale));
    });
    return;
  }
  const bool strings = for_each_string(array, [&](std::int64_t row, std::string_view text) {
    const auto value = parse_number(text);
    if (!value) throw BadCell{row, std::string(text)};
    put(row, *value);
  });
  if (!strings) unsupported(array, "numbers");
}

void convert_dates(const arrow::Array& array, const DateParser& parser, std::vector<std::int32_t>& days) {
  days.assign(static_cast<std::size_t>(array.length()), kMissingDay);
  if (array.type_id() == arrow::Type::DICTIONARY) {
    through_dictionary(static_cast<const arrow::DictionaryArray&>(array), days,
                       [&](const arrow::Array& values, std::vector<std::int32_t>& out) {
                         convert_dates(values, parser, out);
                       });
    return;
  }
  const auto put = [&](std::int64_t row, std::int32_t day) { days[static_cast<std::size_t>(row)] = day; };
  if (array.type_id() == arrow::Type::NA || for_each_day(array, put)) return;
  const auto put_text = [&](std::int64_t row, std::string_view text) {
    put(row, day_or_throw(parser, text, row));
  };
  if (for_each_string(array, put_text)) return;
  const bool numbers = for_each_number(array, [&](std::int64_t row, auto value) {
    put_text(row, number_text(value));  // 20240131
  });
  if (!numbers) unsupported(array, "dates");
}

}  // namespace shelfcast::data
