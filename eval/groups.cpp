#include "eval/groups.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "eval/profile.h"
#include "eval/regimes.h"

namespace shelfcast::eval {
namespace {

// Where "category" and "store" lead in this corpus; other names are statics themselves. Empty: the corpus has
// none.
std::string static_of(const std::string& name, const data::CorpusInfo& info) {
  if (name == "category") return info.category_level;
  if (name == "store") return info.store_level;
  return name;
}

bool is_profile_group(const std::string& name) {
  return std::ranges::find(profile_groups(), name) != profile_groups().end();
}

auto find_static(const std::string& fact, const data::CorpusInfo& info) {
  return std::ranges::find_if(info.statics, [&](const data::StaticInfo& s) {
    return s.name == fact && s.kind == data::Kind::categorical;
  });
}

[[noreturn]] void throw_unknown(const std::string& name, const data::CorpusInfo& info) {
  std::vector<std::string> known = {"category", "store", "horizon", "promotion", "price"};
  known.insert(known.end(), profile_groups().begin(), profile_groups().end());
  for (const data::StaticInfo& fact : info.statics)
    if (fact.kind == data::Kind::categorical) known.push_back(fact.name);
  const std::string nearest = nearest_name(name, known);
  throw input_error(fmt::format("backtest.by names '{}', which cannot group series", name),
                    fmt::format("corpus {} groups by {}", info.name, fmt::join(known, ", ")),
                    nearest.empty() ? "name one of those" : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

Grouping group_by_codes(std::string name, const std::vector<std::string>& vocabulary,
                        std::span<const std::int32_t> codes) {
  Grouping grouping{std::move(name), vocabulary, {}};
  if (std::ranges::any_of(codes, [](std::int32_t code) { return code < 0; }))
    grouping.levels.push_back("(missing)");
  grouping.level_of.reserve(codes.size());
  for (const std::int32_t code : codes)
    grouping.level_of.push_back(code < 0 ? vocabulary.size() : static_cast<std::size_t>(code));
  return grouping;
}

void check_groups(const std::vector<std::string>& by, const data::CorpusInfo& info) {
  for (const std::string& name : by) {
    const std::string fact = static_of(name, info);
    if (name == "horizon" || fact.empty() || is_profile_group(name) || is_regime(name)) continue;
    if (find_static(fact, info) == info.statics.end()) throw_unknown(name, info);
  }
}

std::vector<Grouping> make_groupings(const std::vector<std::string>& by, const data::Corpus& corpus,
                                     std::span<const SeriesProfile> profiles, std::int64_t horizon,
                                     std::vector<std::string>& absent) {
  const data::CorpusInfo& info = corpus.info();
  std::vector<Grouping> groupings;
  for (const std::string& name : by) {
    if (name == "horizon" || is_regime(name)) continue;
    if (is_profile_group(name)) {
      groupings.push_back(group_by_profile(name, profiles, horizon));
      continue;
    }
    const std::string fact = static_of(name, info);
    if (fact.empty()) {
      absent.push_back(name);
      continue;
    }
    const auto found = find_static(fact, info);
    SHELFCAST_ASSERT(found != info.statics.end());
    const auto index = static_cast<std::size_t>(found - info.statics.begin());
    groupings.push_back(group_by_codes(name, found->vocabulary, corpus.static_codes(index)));
  }
  return groupings;
}

}  // namespace shelfcast::eval
