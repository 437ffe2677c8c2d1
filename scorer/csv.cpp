#include "scorer/csv.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::scorer {
namespace {

// The bytes of the UTF-8 character that starts at `at`, or 0 when there is none (overlong forms and
// surrogates included).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

class Parser {
 public:
  Parser(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {
    check_utf8();
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  // The next row with at least one character in it; false at the end.
  bool next(CsvRow& row) {
    while (at_ < text_.size()) {
      row.line = line_;
      row.cells.clear();
      bool quoted = false;
      do {
        row.cells.emplace_back();
        quoted = cell(row.cells.back()) || quoted;
      } while (separator());
      if (row.cells.size() > 1 || quoted || !row.cells.front().empty()) return true;
    }
    return false;
  }

  [[noreturn]] void fail(std::int64_t line, const std::string& what, const std::string& advice = {}) const {
    throw input_error(fmt::format("{}:{}: {}", path_.string(), line, what), {}, advice);
  }

 private:
  void check_utf8() const {
    std::int64_t line = 1;
    for (std::size_t i = 0; i < text_.size();) {
      const std::size_t length = utf8_length(text_, i);
      if (length == 0 || text_[i] == '\0')
        fail(line, "this is not UTF-8 text", "save the table as CSV in UTF-8");
      if (text_[i] == '\n') ++line;
      i += length;
    }
  }
  // Reads one cell up to its separator; true when it was quoted.
  bool cell(std::string& out) {
    if (at_ < text_.size() && text_[at_] == '"') {
      quoted_cell(out);
      return true;
    }
    const std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    out = text_.substr(at_, end - at_);
    at_ = end;
    return false;
  }
  void quoted_cell(std::string& out) {
    const std::int64_t opened = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        out += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        out += text_[++at_];
      } else {
        ++at_;
        if (at_ < text_.size() && std::string_view(",\r\n").find(text_[at_]) == std::string_view::npos)
          fail(line_, "there is text after a closing quote", "write a quote inside a quoted cell twice");
        return;
      }
    }
    fail(opened, "a quote is opened and never closed");
  }
  // Steps over what ends a cell; true when another cell of the same row follows.
  bool separator() {
    if (at_ >= text_.size()) return false;
    if (text_[at_] == ',') return ++at_, true;
    if (text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++line_;
    return false;
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

CsvTable read_csv(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  Parser parser(path, text);
  CsvTable table;
  CsvRow row;
  if (!parser.next(row))
    throw input_error(path.string() + " is empty", {}, "its first line names the columns");
  for (const std::string& name : row.cells) table.header.push_back(trimmed(name));
  if (table.header.size() == 1)
    for (const char separator : {';', '\t'})
      if (table.header[0].find(separator) != std::string::npos)
        parser.fail(row.line,
                    separator == ';' ? "the columns are separated by semicolons"
                                     : "the columns are separated by tabs",
                    "save the table with commas");
  while (parser.next(row)) {
    if (row.cells.size() != table.header.size())
      parser.fail(
          row.line,
          fmt::format("{} cells, but the header names {} columns", row.cells.size(), table.header.size()),
          "quote cells that hold a comma");
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace shelfcast::scorer
