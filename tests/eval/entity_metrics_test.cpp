#include "eval/entity_metrics.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

using Tags = std::vector<std::string_view>;

std::vector<Entity> entities(const Tags& tags) { return entities_of(tags); }

TEST(EntityMetrics, tags_spell_entities) {
  EXPECT_EQ(entities({"O", "B", "I", "O", "S"}), (std::vector<Entity>{{1, 2, ""}, {4, 4, ""}}));
  EXPECT_EQ(entities({"B", "B", "I", "S", "S"}),
            (std::vector<Entity>{{0, 0, ""}, {1, 2, ""}, {3, 3, ""}, {4, 4, ""}}));
  EXPECT_EQ(entities({"B-size", "I-size", "E-size", "I-size"}),
            (std::vector<Entity>{{0, 2, "size"}, {3, 3, "size"}}));
  EXPECT_TRUE(entities({"O", "O"}).empty());
  EXPECT_TRUE(entities({}).empty());
}

TEST(EntityMetrics, an_inside_that_follows_nothing_of_its_kind_begins_an_entity) {
  EXPECT_EQ(entities({"I", "I", "O", "E"}), (std::vector<Entity>{{0, 1, ""}, {3, 3, ""}}));
  EXPECT_EQ(entities({"B-size", "I-colour", "I-colour"}),
            (std::vector<Entity>{{0, 0, "size"}, {1, 2, "colour"}}));
  EXPECT_EQ(entities({"S-size", "I-size"}), (std::vector<Entity>{{0, 0, "size"}, {1, 1, "size"}}));
}

TEST(EntityMetrics, an_entity_is_right_with_all_its_words_and_its_kind) {
  EntityCounts counts;
  const Tags truth = {"B-size", "I-size", "O", "S-colour", "O"};
  counts.add(truth, truth);
  counts.add(truth, Tags{"B-size", "O", "O", "S-size", "S-colour"});
  EXPECT_EQ(counts.right, 2);
  EXPECT_EQ(counts.truths, 4);
  EXPECT_EQ(counts.forecasts, 5);
  const std::vector<Score> scores = entity_scores(counts);
  EXPECT_DOUBLE_EQ(*scores[0].value, 2.0 / 5);
  EXPECT_DOUBLE_EQ(*scores[1].value, 2.0 / 4);
  const double precision = 2.0 / 5, recall = 2.0 / 4;
  EXPECT_DOUBLE_EQ(*scores[2].value, 2 * precision * recall / (precision + recall));
}

TEST(EntityMetrics, without_entities_there_is_no_score) {
  EntityCounts counts;
  counts.add(Tags{"O", "O"}, Tags{"O", "O"});
  for (const Score& score : entity_scores(counts)) EXPECT_FALSE(score.value) << score.metric;
}

TEST(EntityMetrics, other_tags_are_refused) {
  for (const char* tag : {"O", "B", "I", "E", "S", "B-colour", "S-a-b"})
    EXPECT_TRUE(is_entity_tag(tag)) << tag;
  for (const char* tag : {"", "X", "b", "BI", "B-", "B_colour", "O-colour", "0"})
    EXPECT_FALSE(is_entity_tag(tag)) << tag;
  EXPECT_THROW(entities({"X"}), Error);
}

}  // namespace
}  // namespace shelfcast::eval
