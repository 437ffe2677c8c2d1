// What a table of recent sales lacks is found and said.
#include "trainer/forecast_table.h"

#include <gmock/gmock.h>

#include <cmath>

namespace shelfcast::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Two series of three steps with sales and two more to forecast.
data::SalesTable two_series() {
  data::SalesTable table;
  table.series = {"a", "b"};
  table.axis = {*parse_date("2024-03-01"), Frequency::daily};
  table.steps = 5;
  table.demand_end = 3;
  table.demand = {1, 2, 3, kNaN, kNaN, 4, 5, 6, kNaN, kNaN};
  table.covariates = {
      {"price", data::Kind::numeric, {1, 1, 1, 2, 2, 1, 1, 1, 2, 2}, {}},
      {"event", data::Kind::categorical, {-1, 0, -1, 1, -1, 2, -1, -1, -1, -1}, {"feast", "moon", "tide"}},
      {"store", data::Kind::categorical, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, {"north", "mars"}}};
  return table;
}

data::FeatureSpec model_columns() {
  data::FeatureSpec spec;
  spec.context = 3;
  spec.horizon = 2;
  spec.known_numeric = {{"price", data::Kind::numeric, "series", {}, {}}};
  spec.known_categorical = {{"event", data::Kind::categorical, "series", {}, {"feast"}}};
  spec.statics = {{"store", {"north", "south"}}};
  return spec;
}

TEST(ForecastRequest, counts_the_words_that_the_model_has_not_seen) {
  const ForecastRequest request = make_request(two_series(), model_columns(), nullptr);
  ASSERT_EQ(request.unseen_words.size(), 1U);
  EXPECT_EQ(request.unseen_words[0].column, "event");
  EXPECT_EQ(request.unseen_words[0].count, 2);  // moon and tide; empty cells are only missing
  EXPECT_EQ(request.unseen_words[0].first, "moon");
  EXPECT_EQ(request.block.columns[1].values, std::vector<float>({-1, 0, -1, -1, -1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(request.unknown_series, 1);
  EXPECT_EQ(request.first_unknown, "store \"mars\" of b");
  EXPECT_THAT(request.statics, ElementsAre(ElementsAre(1, 0)));
}

TEST(ForecastRequest, tells_a_column_that_is_absent_from_one_that_ends_with_the_sales) {
  data::SalesTable table = two_series();
  EXPECT_THAT(make_request(table, model_columns(), nullptr).columns_without_future, IsEmpty());
  for (const std::size_t cell : {3U, 4U, 8U, 9U}) table.covariates[0].values[cell] = kNaN;
  table.covariates[1].values[3] = -1;
  table.covariates[1].values[9] = 0;  // one series on one day is enough
  ForecastRequest request = make_request(table, model_columns(), nullptr);
  EXPECT_THAT(request.columns_without_future, ElementsAre("price"));
  EXPECT_THAT(request.missing_columns, IsEmpty());
  table.covariates.erase(table.covariates.begin());
  request = make_request(table, model_columns(), nullptr);
  EXPECT_THAT(request.missing_columns, ElementsAre("price"));
  EXPECT_THAT(request.columns_without_future, IsEmpty());
}

TEST(UnseenWords, are_those_of_the_corpus_that_a_model_lacks) {
  data::CorpusInfo corpus;
  corpus.covariates = {
      {"event", data::Role::known, data::Kind::categorical, "all", {"feast", "moon", "tide"}}};
  corpus.statics = {{"store", data::Kind::categorical, {"north", "south"}},
                    {"shelf", data::Kind::categorical, {"low"}}};
  const std::vector<UnseenWords> unseen = unseen_words(model_columns(), corpus);
  ASSERT_EQ(unseen.size(), 1U);
  EXPECT_EQ(unseen[0].column, "event");
  EXPECT_EQ(unseen[0].count, 2);
  EXPECT_EQ(unseen[0].first, "moon");
}

}  // namespace
}  // namespace shelfcast::trainer
