// Checks of a map before its table is read.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "data/ingest/long_table.h"

namespace shelfcast::data {
namespace {

void require_named(const std::string& value, const char* field) {
  if (value.empty())
    throw input_error(fmt::format("the map lacks \"{}\"", field), "",
                      fmt::format("give the column: {}: NAME", field));
}

// A fill that could not be applied is refused, not ignored.
void check_fill(const LongMap::Covariate& covariate) {
  if (covariate.fill == Fill::none) return;
  if (covariate.per != "series")
    throw input_error(
        fmt::format("covariates: \"{}\" has a fill and is per: {}", covariate.name, covariate.per),
        "only covariates with per: series are filled", "remove its fill, or map it with per: series");
  if (covariate.fill == Fill::zero && covariate.kind == Kind::categorical)
    throw input_error(fmt::format("covariates: \"{}\" is categorical and has fill: zero", covariate.name),
                      "no category is zero", "remove its fill, or choose fill: previous");
}

void require_static(const std::string& level, const char* field, const std::vector<std::string>& statics) {
  if (level.empty() || std::find(statics.begin(), statics.end(), level) != statics.end()) return;
  const std::string nearest = nearest_name(level, statics);
  throw input_error(fmt::format("{}: \"{}\" is not a categorical static of the map", field, level), "",
                    nearest.empty() ? "list it under static:" : fmt::format("did you mean \"{}\"?", nearest));
}

}  // namespace

void LongMap::validate() const {
  if (series.empty())
    throw input_error("the map lacks \"series\"", "", "give the key columns: series: [store, item]");
  require_named(date, "date");
  require_named(target, "target");
  std::vector<std::string> levels;
  std::set<std::string> seen;
  const auto unique = [&](const std::string& what) {
    if (!seen.insert(what).second)
      throw input_error(fmt::format("the map names \"{}\" twice", what), "",
                        "covariates and statics need names of their own");
  };
  for (const Static& fact : statics) {
    unique(fact.name);
    if (fact.kind == Kind::categorical) levels.push_back(fact.name);
  }
  for (const Covariate& covariate : covariates) {
    unique(covariate.name);
    if (covariate.per != "series" && covariate.per != "all") require_static(covariate.per, "per", levels);
    check_fill(covariate);
  }
  require_static(item_level, "levels: item", levels);
  require_static(store_level, "levels: store", levels);
  require_static(category_level, "levels: category", levels);
  if (!text.empty() && item_level.empty()) {
    throw input_error("text needs an item level", "each text belongs to an item", "add levels: {item: NAME}");
  }
}

}  // namespace shelfcast::data
