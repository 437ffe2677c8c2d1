// What a table of recent sales lacks is found and said.
#include "trainer/forecast_table.h"

#include <gmock/gmock.h>

#include <cmath>

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Two series of three steps with sales and two more to forecast.
data::SalesTable two_series() {
  data::SalesTable table;
  table.series = {"a", "b"};
  table.axis = {*parse_date("2024-03-01"), Frequency::daily};
  table.steps = 5;
  table.demand_end = 3;
  table.demand = {1, 2, 3, kNaN, kNaN, 4, 5, 6, kNaN, kNaN};
  table.covariates = {{"price", {"1", "2.50"}, {0, 0, 0, 1, 1, 0, 0, 0, 1, 1}, {1, 2.5}},
                      {"event", {"feast", "moon", "tide"}, {-1, 0, -1, 1, -1, 2, -1, -1, -1, -1}, {}},
                      {"store", {"north", "mars"}, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, {}}};
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
  const ForecastRequest request = make_request(two_series(), model_columns(), 2, nullptr);
  ASSERT_EQ(request.unseen_words.size(), 1U);
  EXPECT_EQ(request.unseen_words[0].column, "event");
  EXPECT_EQ(request.unseen_words[0].count, 2);  // moon and tide; empty cells are only missing
  EXPECT_EQ(request.unseen_words[0].first, "moon");
  EXPECT_EQ(request.block.columns[1].values, std::vector<float>({-1, 0, -1, -1, -1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(request.unknown_series, 1);
  EXPECT_EQ(request.first_unknown, "store \"mars\" of b");
  EXPECT_THAT(request.statics, ElementsAre(ElementsAre(1, 0)));
}

TEST(ForecastRequest, counts_what_the_table_does_not_say_of_the_days_to_forecast) {
  const auto gaps = [](const data::SalesTable& table, std::int64_t horizon) {
    std::vector<std::string> texts;
    for (const FutureGap& gap : make_request(table, model_columns(), horizon, nullptr).future_gaps)
      texts.push_back(fmt::format("{} {}/{}", gap.column, gap.missing, gap.cells));
    return texts;
  };
  data::SalesTable table = two_series();
  EXPECT_THAT(gaps(table, 2), ElementsAre("event 3/4"));  // a word that the model does not know is there
  EXPECT_THAT(gaps(table, 1), ElementsAre("event 1/2"));
  for (const std::size_t cell : {3U, 4U, 8U}) table.covariates[0].codes[cell] = -1;
  EXPECT_THAT(gaps(table, 2), ElementsAre("price 3/4", "event 3/4"));
  EXPECT_THAT(gaps(table, 4), ElementsAre("price 7/8", "event 7/8")) << "beyond the table's last row";
  table.covariates[0].numbers = {1, kNaN};
  table.covariates[0].vocabulary[1] = "NA";
  EXPECT_THAT(gaps(table, 2), ElementsAre("price 4/4", "event 3/4"));
}

TEST(ForecastRequest, names_the_columns_that_are_absent_or_misspelt) {
  data::SalesTable table = two_series();
  data::FeatureSpec spec = model_columns();
  spec.censored = "stockout";
  EXPECT_THAT(make_request(table, spec, 2, nullptr).misspelt, IsEmpty());
  table.covariates[0].name = "prices";
  table.covariates.push_back({"stock_out", {"1"}, std::vector<std::int32_t>(10, -1), {1}});
  table.covariates.push_back({"weather", {"1"}, std::vector<std::int32_t>(10, -1), {1}});
  const ForecastRequest request = make_request(table, spec, 2, nullptr);
  EXPECT_THAT(request.missing_columns, ElementsAre("price"));
  EXPECT_THAT(request.misspelt, ElementsAre(Pair("prices", "price"), Pair("stock_out", "stockout")));
}

TEST(ForecastRequest, says_what_is_read_as_missing_and_which_series_have_no_history) {
  data::SalesTable table = two_series();
  data::FeatureSpec spec = model_columns();
  ForecastRequest request = make_request(table, spec, 2, nullptr);
  EXPECT_EQ(request.unobserved_series, 0);
  EXPECT_THAT(request.not_positive, IsEmpty());
  EXPECT_EQ(request.no_censored, "");
  spec.censored = "stockout";
  spec.known_numeric[0].scaler.kind = data::Scaler::Kind::log_ratio;
  table.covariates[0].numbers = {0.0F, -2.5F};
  spec.context = 2;
  for (const std::size_t cell : {6U, 7U}) table.demand[cell] = kNaN;  // b sold before that alone
  request = make_request(table, spec, 2, nullptr);
  EXPECT_EQ(request.no_censored, "stockout");
  EXPECT_THAT(request.missing_columns, IsEmpty());
  EXPECT_THAT(request.not_positive, ElementsAre(Pair("price", 10)));
  EXPECT_EQ(request.unobserved_series, 1);
  EXPECT_EQ(request.first_unobserved, "b");
}

// By code a word would be a number like any other.
TEST(ForecastRequest, words_where_the_model_reads_numbers_are_an_error) {
  data::SalesTable table = two_series();
  table.covariates[0] = {"price", {"1", "free", "2"}, {0, 0, 0, 1, 1, 0, 0, 0, 2, 2}, {1}};
  const auto message = [&](const data::FeatureSpec& spec) {
    try {
      make_request(table, spec, 2, nullptr);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto named = AllOf(HasSubstr("column \"price\" holds words: \"free\" of a on 2024-03-04"),
                           HasSubstr("the model reads numbers there"));
  EXPECT_THAT(message(model_columns()), named);
  data::FeatureSpec censored;
  censored.context = 3;
  censored.horizon = 2;
  censored.censored = "price";
  EXPECT_THAT(message(censored), named);
  data::FeatureSpec fact;
  fact.context = 3;
  fact.horizon = 2;
  fact.static_numbers = {{"price", 0.0F, 1.0F}};
  EXPECT_THAT(message(fact), named);
}

// Stores "007", article numbers beyond what a float holds, and a day without an event called "none".
TEST(ForecastRequest, words_that_look_like_numbers_or_like_nothing_keep_their_text) {
  data::SalesTable table = two_series();
  table.covariates[1] = {"event", {"none"}, std::vector<std::int32_t>(10, 0), {kNaN}};
  table.covariates[2] = {
      "store", {"007", "4006381333931"}, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, {7, 4006381333931.0F}};
  data::FeatureSpec spec = model_columns();
  spec.known_categorical[0].vocabulary = {"feast", "none"};
  spec.statics[0].vocabulary = {"7", "007", "4006381333931"};
  ForecastRequest request = make_request(table, spec, 2, nullptr);
  EXPECT_EQ(request.block.columns[1].values, std::vector<float>(10, 1.0F));
  EXPECT_THAT(request.statics, ElementsAre(ElementsAre(2, 3)));
  EXPECT_THAT(request.future_gaps, IsEmpty());
  EXPECT_THAT(request.unseen_words, IsEmpty());
  EXPECT_EQ(request.unknown_series, 0);
  // A number otherwise written is that number; a word for nothing that the model has not learned is missing.
  table.covariates[2].vocabulary[0] = "7.0";
  spec.known_categorical[0].vocabulary = {"feast"};
  request = make_request(table, spec, 2, nullptr);
  EXPECT_THAT(request.statics, ElementsAre(ElementsAre(1, 3)));
  EXPECT_EQ(request.block.columns[1].values, std::vector<float>(10, -1.0F));
  EXPECT_THAT(request.unseen_words, IsEmpty());
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
