// How series fall into the groups that errors are reported by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace shelfcast::eval {

// One way of grouping: every series belongs to exactly one level. Levels without series stay: they report n =
// 0.
struct Grouping {
  std::string name;  // "category", "store", or a static's name
  std::vector<std::string> levels;
  std::vector<std::size_t> level_of;  // [series] index into levels
};

// The groupings a backtest asks for, resolved against a corpus; names of groups the corpus does not have a
// level for are put into `absent`. "horizon" is no grouping of series and is skipped here. A series whose
// value is missing falls into the level "(missing)", which exists only then. Throws Error(input) naming the
// nearest static when a name is neither "category", "store", "horizon" nor a categorical static.
std::vector<Grouping> make_groupings(const std::vector<std::string>& by, const data::Corpus& corpus,
                                     std::vector<std::string>& absent);

// One grouping from a vocabulary and one code per series (-1 = missing).
Grouping group_by_codes(std::string name, const std::vector<std::string>& vocabulary,
                        std::span<const std::int32_t> codes);

}  // namespace shelfcast::eval
