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
  std::string name;  // "category", "store", "demand_class", or a static's name
  std::vector<std::string> levels;
  std::vector<std::size_t> level_of;  // [series] index into levels
};

struct SeriesProfile;

// Throws Error(input) naming the nearest group when one is neither "category", "store", "horizon", a regime
// (regimes.h), a group of profiles (profile.h) nor a categorical static of the corpus.
void check_groups(const std::vector<std::string>& by, const data::CorpusInfo& info);

// The groupings a backtest asks for, of names that were checked, resolved against a corpus and its series'
// profiles; names of groups the corpus does not have a level for are put into `absent`. "horizon" is no
// grouping of series and is skipped here. A series whose value is missing falls into the level "(missing)",
// which exists only then.
std::vector<Grouping> make_groupings(const std::vector<std::string>& by, const data::Corpus& corpus,
                                     std::span<const SeriesProfile> profiles, std::int64_t horizon,
                                     std::vector<std::string>& absent);

// One grouping from a vocabulary and one code per series (-1 = missing).
Grouping group_by_codes(std::string name, const std::vector<std::string>& vocabulary,
                        std::span<const std::int32_t> codes);

}  // namespace shelfcast::eval
