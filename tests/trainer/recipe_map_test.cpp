#include "trainer/recipe_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/paths.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string message_of(const std::string& yaml) {
  try {
    parse_map(yaml, "map.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

TEST(RecipeMap, reads_every_key) {
  const data::LongMap map = parse_map(
      "name: mine\n"
      "series: [shop, article]\n"
      "date: {column: day, format: \"%d.%m.%Y\"}\n"
      "target: {column: units, negative: clip}\n"
      "frequency: W\n"
      "duplicates: sum\n"
      "gaps: zero\n"
      "covariates:\n"
      "  price: p\n"
      "  stock: {column: s, role: past, aggregate: last, fill: previous}\n"
      "  event: {column: e, kind: categorical, per: all}\n"
      "static: {item: article, size: {column: m2, kind: numeric}}\n"
      "levels: {item: item}\n"
      "text: title\n"
      "keep_rows: {p: positive, article: {matches: \"^[0-9]\"}}\n",
      "map.yaml");
  EXPECT_EQ(map.name, "mine");
  EXPECT_THAT(map.series, ElementsAre("shop", "article"));
  EXPECT_EQ(map.date_format, "%d.%m.%Y");
  EXPECT_EQ(map.negative, data::Negative::clip);
  EXPECT_EQ(map.frequency, Frequency::weekly);
  EXPECT_EQ(map.duplicates, data::Duplicates::sum);
  EXPECT_EQ(map.gaps, data::Gaps::zero);
  ASSERT_EQ(map.covariates.size(), 3U);
  EXPECT_EQ(map.covariates[0].column, "p");
  EXPECT_EQ(map.covariates[0].aggregate, data::Aggregate::mean);
  EXPECT_EQ(map.covariates[1].role, data::Role::past);
  EXPECT_EQ(map.covariates[1].fill, data::Fill::previous);
  EXPECT_EQ(map.covariates[2].per, "all");
  EXPECT_EQ(map.covariates[2].aggregate, data::Aggregate::last);
  EXPECT_EQ(map.statics[1].kind, data::Kind::numeric);
  EXPECT_EQ(map.item_level, "item");
  EXPECT_EQ(map.text, "title");
  EXPECT_EQ(map.keep_rows[0].rule, data::LongMap::RowFilter::Rule::positive);
  EXPECT_EQ(map.keep_rows[1].pattern, "^[0-9]");
}

TEST(RecipeMap, the_key_columns_are_the_statics_when_none_are_named) {
  const data::LongMap map = parse_map("series: sku\ndate: d\ntarget: y\n", "map.yaml");
  ASSERT_EQ(map.statics.size(), 1U);
  EXPECT_EQ(map.statics[0].name, "sku");
}

TEST(RecipeMap, an_unknown_key_is_named_with_its_line_and_the_nearest) {
  EXPECT_THAT(
      message_of("series: a\ndate: d\ntarget: y\ncovariate: {}\n"),
      AllOf(HasSubstr("map.yaml:4"), HasSubstr("\"covariate\""), HasSubstr("did you mean \"covariates\"")));
  EXPECT_THAT(message_of("series: a\ndate: d\ntarget: y\ncovariates:\n  price: {column: p, rol: past}\n"),
              AllOf(HasSubstr("map.yaml:5"), HasSubstr("\"rol\""), HasSubstr("did you mean \"role\"")));
}

TEST(RecipeMap, wrong_values_are_named_with_their_line_and_the_choices) {
  EXPECT_THAT(message_of("series: a\ndate: d\ntarget: y\ngaps: none\n"),
              AllOf(HasSubstr("map.yaml:4"), HasSubstr("missing, zero")));
  EXPECT_THAT(message_of("series: {a: b}\ndate: d\ntarget: y\n"), HasSubstr("map.yaml:1"));
  EXPECT_THAT(message_of("series: a\nseries: b\n"), HasSubstr("stands twice"));
  EXPECT_THAT(message_of("series: [a\ndate: d\n"), HasSubstr("this is not YAML"));
  EXPECT_THAT(message_of("just text"), HasSubstr("block of keys"));
  EXPECT_THAT(message_of(""), HasSubstr("block of keys"));
  EXPECT_THAT(message_of("series: a\ntarget: y\n"),
              AllOf(HasSubstr("map.yaml"), HasSubstr("lacks \"date\"")));
  EXPECT_THAT(
      message_of(
          "series: a\ndate: d\ntarget: y\ncovariates: {e: {column: e, kind: categorical, aggregate: sum}}\n"),
      HasSubstr("cannot be summed"));
}

TEST(RecipeMap, the_golden_maps_are_sound) {
  for (const char* name : {"tiny_m5.yaml", "online_retail.yaml"}) {
    EXPECT_NO_THROW(read_map(testing::source_dir() / "recipes/maps" / name)) << name;
  }
}

TEST(RecipeMap, prices_that_only_sales_record_are_not_known_ahead) {
  const data::LongMap map = read_map(testing::source_dir() / "recipes/maps/online_retail.yaml");
  ASSERT_EQ(map.covariates.size(), 1U);
  EXPECT_EQ(map.covariates[0].name, "price");
  EXPECT_EQ(map.covariates[0].role, data::Role::past);
}

}  // namespace
}  // namespace shelfcast::trainer
