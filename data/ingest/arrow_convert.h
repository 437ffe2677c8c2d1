// Cells of Arrow arrays as plain numbers, days and dictionary codes. Included only inside data/ingest.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/ingest/date_format.h"
#include "data/ingest/table_reader.h"

namespace arrow {
class Array;
}

namespace shelfcast::data {

// Distinct strings, numbered in order of appearance.
class StringPool {
 public:
  // The number of `text`; kMissingCode for an empty one.
  std::int32_t intern(std::string_view text);
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> codes_;
  std::vector<std::string> strings_;
};

// A cell that is not what was asked for. `row` counts from 0 in the array; `text` is the cell.
struct BadCell {
  std::int64_t row = 0;
  std::string text;
};

// Append-free: each resizes its output to the array's length. Throw BadCell, or Error(input) for a type that
// cannot be read. White space at the ends of texts does not count.
void convert_text(const arrow::Array& array, StringPool& pool, std::vector<std::int32_t>& codes);
void convert_numbers(const arrow::Array& array, std::vector<double>& numbers);
void convert_dates(const arrow::Array& array, const DateParser& parser, std::vector<std::int32_t>& days);

// "12", " 1.5e3", "true" (1), "false" (0); NaN for "", "NA", "NaN", "null" and the like; nullopt for anything
// else.
std::optional<double> parse_number(std::string_view text);

}  // namespace shelfcast::data
