// Follows the quotation marks of a CSV, so that a stray one cannot swallow the rows after it.
#pragma once

#include <cstdint>
#include <string_view>

namespace shelfcast::data {

// As Arrow's parser has it, a cell is quoted when it begins with a mark, and within it two marks stand for
// one. Arrow takes the file's end for the end of an open cell, so that one stray mark silently makes a single
// cell of all that follows. Costs one look at the bytes, 64 at a time.
class CsvQuotes {
 public:
  // A quoted cell of `longest` bytes counts as one that does not end.
  CsvQuotes(char separator, std::int64_t longest) : separator_(separator), longest_(longest) {}

  // The file's bytes, piece by piece, from its start.
  void pass(std::string_view bytes);
  // Nothing follows.
  void finish();
  // The place in the file, in bytes, of the first mark that cannot have been meant: its cell does not end, or
  // ends lines later in the middle of a text, at the mark that opens another. -1 = none so far.
  std::int64_t stray_at() const { return stray_at_; }

 private:
  enum class State { plain, quoted, after_mark };  // after_mark: the cell's end, or the first of two

  bool ends_cell(char c) const { return c == separator_ || c == '\n' || c == '\r'; }

  char separator_;
  std::int64_t longest_;
  State state_ = State::plain;
  char previous_ = '\n';    // the last byte passed
  std::int64_t bytes_ = 0;  // passed
  std::int64_t stray_at_ = -1;
  // Of the cell that is open, when it is: where it opened, and whether it holds a line's end so far.
  std::int64_t opened_at_ = 0;
  bool spans_lines_ = false;
};

}  // namespace shelfcast::data
