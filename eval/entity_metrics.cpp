#include "eval/entity_metrics.h"

#include <algorithm>

#include "base/error.h"
#include "eval/class_metrics.h"

namespace shelfcast::eval {
namespace {

std::string_view kind_of(std::string_view tag) { return tag.size() > 2 ? tag.substr(2) : std::string_view(); }

}  // namespace

bool is_entity_tag(std::string_view tag) {
  if (tag == "O") return true;
  return !tag.empty() && std::string_view("BIES").find(tag[0]) != std::string_view::npos &&
         (tag.size() == 1 || (tag.size() > 2 && tag[1] == '-'));
}

std::vector<Entity> entities_of(std::span<const std::string_view> tags) {
  std::vector<Entity> entities;
  bool open = false;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    SHELFCAST_ASSERT(is_entity_tag(tags[i]));
    const char place = tags[i][0];
    const bool inside = place == 'I' || place == 'E';
    const bool goes_on = open && inside && entities.back().kind == kind_of(tags[i]);
    if (goes_on)
      entities.back().last = i;
    else if (place != 'O')
      entities.push_back({i, i, kind_of(tags[i])});
    open = place == 'B' || place == 'I';
  }
  return entities;
}

void EntityCounts::add(std::span<const std::string_view> truth, std::span<const std::string_view> forecast) {
  SHELFCAST_ASSERT(truth.size() == forecast.size());
  const std::vector<Entity> there = entities_of(truth), found = entities_of(forecast);
  truths += static_cast<double>(there.size());
  forecasts += static_cast<double>(found.size());
  right += static_cast<double>(std::count_if(found.begin(), found.end(), [&](const Entity& entity) {
    return std::find(there.begin(), there.end(), entity) != there.end();
  }));
}

std::vector<Score> entity_scores(const EntityCounts& counts) {
  return {share("entity_precision", counts.right, counts.forecasts),
          share("entity_recall", counts.right, counts.truths),
          share("entity_f1", 2.0 * counts.right, counts.truths + counts.forecasts)};
}

}  // namespace shelfcast::eval
