#include "data/ingest/csv_quotes.h"

#include <algorithm>

namespace shelfcast::data {

void CsvQuotes::mark_stray() {
  if (stray_line_ == 0) stray_line_ = opened_line_;
}

void CsvQuotes::decide(char after_mark) {
  if (after_mark == '"') return;
  state_ = State::plain;
  if (line_ > opened_line_ && !ends_cell(after_mark)) mark_stray();
}

void CsvQuotes::pass(std::string_view bytes) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (bytes_ == 0 && bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  while (!bytes.empty()) {
    if (state_ == State::after_mark) decide(bytes.front());
    const std::size_t mark = bytes.find('"');
    const std::string_view before = bytes.substr(0, mark);
    line_ += std::count(before.begin(), before.end(), '\n');
    bytes_ += static_cast<std::int64_t>(before.size());
    if (!before.empty()) previous_ = before.back();
    if (mark == std::string_view::npos) break;
    if (state_ != State::plain) {
      state_ = state_ == State::quoted ? State::after_mark : State::quoted;
    } else if (ends_cell(previous_)) {
      state_ = State::quoted;
      opened_at_ = bytes_;
      opened_line_ = line_;
    }
    previous_ = '"';
    ++bytes_;
    bytes.remove_prefix(mark + 1);
  }
  if (state_ != State::plain && bytes_ - opened_at_ >= longest_) mark_stray();
}

void CsvQuotes::finish() {
  if (state_ == State::quoted) mark_stray();
}

}  // namespace shelfcast::data
