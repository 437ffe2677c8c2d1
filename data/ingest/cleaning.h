// Small repairs of real data: one text out of many spellings, rows that are left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shelfcast::data {

// `text` without white space at its ends and with single spaces inside.
std::string tidy_text(std::string_view text);

// Counts the spellings of each item's text and tells the commonest.
class SpellingCounter {
 public:
  // `spelling` is a number that stands for one text.
  void count(std::int32_t item, std::int32_t spelling);
  // The spelling met most often for `item` (of equals the one met first); -1 when there is none.
  std::int32_t commonest(std::int32_t item) const;

 private:
  struct Spelling {
    std::int32_t spelling = 0;
    std::int64_t count = 0;
  };
  std::vector<std::vector<Spelling>> items_;  // per item, in order of appearance: few each
};

}  // namespace shelfcast::data
