#include "data/ingest/csv_quotes.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace shelfcast::data {
namespace {

// A bit for each of 64 bytes, set where it is a quotation mark.
std::uint64_t marks_among(const char* bytes) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kMarks = 0x2222222222222222, kLowBits = 0x7F7F7F7F7F7F7F7F;
  std::uint64_t marks = 0;
  for (int shift = 0; shift < 64; shift += 8, bytes += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof(word));
    word ^= kMarks;
    // The high bit of each byte that is zero now; the product gathers the eight in its highest byte.
    const std::uint64_t found = ~(((word & kLowBits) + kLowBits) | word | kLowBits);
    marks |= ((found >> 7) * 0x0102040810204080 >> 56) << shift;
  }
  return marks;
}

// Calls use(pointer) for each quotation mark, in order. A memchr for each would take three times as long
// where every cell is quoted.
template <typename Use>
void for_each_mark(const char* begin, const char* end, Use&& use) {
  for (const char* at = begin; at < end; at += 64) {
    char last[64] = {};
    const bool whole = end - at >= 64;
    if (!whole) std::copy(at, end, last);
    for (std::uint64_t marks = marks_among(whole ? at : last); marks != 0; marks &= marks - 1)
      use(at + std::countr_zero(marks));
  }
}

}  // namespace

void CsvQuotes::pass(std::string_view bytes) {
  if (bytes.empty() || stray_at_ >= 0) return;
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const bool has_order_mark = bytes_ == 0 && bytes.starts_with(kByteOrderMark);
  const char* const begin = bytes.data() + (has_order_mark ? kByteOrderMark.size() : 0);
  const char* const end = bytes.data() + bytes.size();
  State state = state_;
  const char* opened = nullptr;  // the latest quoted cell, when it opened in this piece
  const char* after = begin;     // the mark that may have ended it
  const auto opened_at = [&] { return opened == nullptr ? opened_at_ : bytes_ + (opened - bytes.data()); };
  const auto spans_lines = [&](const char* until) {
    return (opened == nullptr && spans_lines_) ||
           std::find(opened == nullptr ? begin : opened, until, '\n') != until;
  };
  const auto close = [&] {
    state = State::plain;
    if (!ends_cell(*after) && stray_at_ < 0 && spans_lines(after)) stray_at_ = opened_at();
  };
  for_each_mark(begin, end, [&](const char* mark) {
    if (state == State::after_mark && mark == after) {
      state = State::quoted;
      return;
    }
    if (state == State::after_mark) close();
    if (state == State::quoted) {
      state = State::after_mark;
      after = mark + 1;
    } else if (ends_cell(mark == begin ? previous_ : mark[-1])) {
      state = State::quoted;
      opened = mark;
    }
  });
  if (state == State::after_mark && after != end) close();
  state_ = state;
  previous_ = begin == end ? previous_ : end[-1];
  if (state_ != State::plain) {
    spans_lines_ = spans_lines(end);
    opened_at_ = opened_at();
  }
  bytes_ += static_cast<std::int64_t>(bytes.size());
  if (state_ != State::plain && bytes_ - opened_at_ >= longest_ && stray_at_ < 0) stray_at_ = opened_at_;
}

void CsvQuotes::finish() {
  if (state_ == State::quoted && stray_at_ < 0) stray_at_ = opened_at_;
}

}  // namespace shelfcast::data
