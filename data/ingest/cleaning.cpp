#include "data/ingest/cleaning.h"

#include <algorithm>

#include "data/ingest/date_format.h"

namespace shelfcast::data {

std::string tidy_text(std::string_view text) {
  std::string result;
  bool space = false;
  for (const char c : trimmed(text)) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    if (is_space && space) continue;
    result += is_space ? ' ' : c;
    space = is_space;
  }
  return result;
}

void SpellingCounter::count(std::int32_t item, std::int32_t spelling) {
  const auto at = static_cast<std::size_t>(item);
  if (items_.size() <= at) items_.resize(at + 1);
  auto& spellings = items_[at];
  const auto found = std::find_if(spellings.begin(), spellings.end(),
                                  [&](const Spelling& s) { return s.spelling == spelling; });
  if (found == spellings.end())
    spellings.push_back({spelling, 1});
  else
    ++found->count;
}

std::int32_t SpellingCounter::commonest(std::int32_t item) const {
  const auto at = static_cast<std::size_t>(item);
  if (at >= items_.size() || items_[at].empty()) return -1;
  const auto& spellings = items_[at];
  return std::max_element(spellings.begin(), spellings.end(),
                          [](const Spelling& a, const Spelling& b) { return a.count < b.count; })
      ->spelling;
}

}  // namespace shelfcast::data
