// Measures of tagged words by the entities that their tags spell, as shared tasks on named entities count
// them (Tjong Kim Sang and De Meulder, 2003).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/metrics.h"

namespace shelfcast::eval {

// Whether this is O, or one of B, I, E, S by itself or before a kind: "B-colour".
bool is_entity_tag(std::string_view tag);

struct Entity {
  std::size_t first, last;  // words, both in it
  std::string_view kind;    // "" where tags have none
  bool operator==(const Entity&) const = default;
};
// B begins an entity, I goes on, E ends it, S is one by itself, O is outside. An I or E that follows no
// entity of its kind begins one, as conlleval has it. `tags` must be entity tags and outlive the result.
std::vector<Entity> entities_of(std::span<const std::string_view> tags);

struct EntityCounts {
  double right = 0.0, truths = 0.0, forecasts = 0.0;
  // Of one text: an entity is right with the same words and the same kind.
  void add(std::span<const std::string_view> truth, std::span<const std::string_view> forecast);
};
// entity_precision, entity_recall, entity_f1 over all entities; without a value where there is nothing to
// divide by.
std::vector<Score> entity_scores(const EntityCounts& counts);

}  // namespace shelfcast::eval
