#include "data/ingest/long_table.h"

#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LongMap sales_map() {
  LongMap map;
  map.series = {"store", "item"};
  map.date = "date";
  map.target = "units";
  map.statics = {{"item", "item", Kind::categorical}, {"store", "store", Kind::categorical}};
  map.item_level = "item";
  map.store_level = "store";
  return map;
}

class LongTable : public ::testing::Test {
 protected:
  Panel read(const std::string& text, const LongMap& map) {
    return read_long_table(write_text(folder_ / "t.csv", text), map);
  }
  std::string message(const std::string& text, const LongMap& map) {
    return message_of([&] { read(text, map); });
  }
  TemporaryFolder folder_;
};

TEST_F(LongTable, rows_in_any_order_become_series_over_one_axis) {
  const Panel panel = read(
      "date,store,item,units\n"
      "2024-01-03,北京,🍎,3\n"
      "2024-01-01,Köln,🍎,1\n"
      "2024-01-01,北京,🍎,0.5\n"
      "2024-01-04,北京,茶,4\n",
      sales_map());
  EXPECT_EQ(format_date(panel.info.axis.start), "2024-01-01");
  EXPECT_EQ(panel.info.demand_end, 4);
  EXPECT_THAT(panel.table.names, ElementsAre("北京/🍎", "Köln/🍎", "北京/茶"));
  EXPECT_THAT(all_rows(panel).demand,
              same_floats({0.5, kNan, 3, kNan, 1, kNan, kNan, kNan, kNan, kNan, kNan, 4}));
  EXPECT_THAT(panel.table.codes[0], ElementsAre(0, 0, 1));
  EXPECT_THAT(panel.info.statics[1].vocabulary, ElementsAre("北京", "Köln"));
}

TEST_F(LongTable, missing_dates_are_zero_from_the_first_row_on_if_asked) {
  LongMap map = sales_map();
  map.gaps = Gaps::zero;
  const Panel panel = read(
      "date,store,item,units\n2024-01-02,a,x,2\n2024-01-04,a,x,4\n2024-01-01,a,y,1\n2024-01-05,a,y,\n", map);
  EXPECT_EQ(panel.info.steps, 5);
  EXPECT_EQ(panel.info.demand_end, 4);
  EXPECT_THAT(all_rows(panel).demand, same_floats({kNan, 2, 0, 4, kNan, 1, 0, 0, 0, kNan}));
}

TEST_F(LongTable, an_empty_target_is_not_observed_whatever_gaps_are) {
  const std::string text =
      "date,store,item,units\n2024-01-01,a,x,5\n2024-01-02,a,x,\n2024-01-03,a,x,4\n2024-01-05,a,x,1\n"
      "2024-01-05,a,x,\n";
  LongMap map = sales_map();
  map.duplicates = Duplicates::sum;
  map.gaps = Gaps::zero;
  EXPECT_THAT(all_rows(read(text, map)).demand, same_floats({5, kNan, 4, 0, 1}));
}

TEST_F(LongTable, two_rows_of_a_date_are_an_error_that_names_both) {
  EXPECT_THAT(
      message("date,store,item,units\n2024-01-01,a,x,1\n2024-01-02,a,x,2\n2024-01-01,a,x,3\n", sales_map()),
      AllOf(HasSubstr("a/x"), HasSubstr("2024-01-01"), HasSubstr("row 1 of"), HasSubstr("row 3 of"),
            HasSubstr("duplicates: sum")));
}

TEST_F(LongTable, two_rows_of_a_date_combine_as_mapped) {
  const std::string text =
      "date,store,item,units,price\n2024-01-01,a,x,1,10\n2024-01-02,a,x,5,\n2024-01-01,a,x,3,20\n";
  LongMap map = sales_map();
  map.covariates = {
      {"price", "price", Role::known, Kind::numeric, "series", Aggregate::mean, Fill::previous}};
  const std::vector<std::pair<Duplicates, float>> cases = {
      {Duplicates::sum, 4.0F}, {Duplicates::mean, 2.0F}, {Duplicates::last, 3.0F}};
  for (const auto& [duplicates, expected] : cases) {
    map.duplicates = duplicates;
    const PanelRows rows = all_rows(read(text, map));
    EXPECT_THAT(rows.demand, same_floats({expected, 5}));
    EXPECT_THAT(rows.covariates[0], same_floats({15, 15}));
  }
}

TEST_F(LongTable, negative_targets_follow_the_policy) {
  const std::string text =
      "date,store,item,units\n2024-01-01,a,x,5\n2024-01-01,a,x,-2\n2024-01-02,a,x,-4\n2024-01-03,a,x,1\n";
  LongMap map = sales_map();
  map.duplicates = Duplicates::sum;
  EXPECT_THAT(message(text, map), AllOf(HasSubstr("row 2 of"), HasSubstr("-2"), HasSubstr("negative: drop")));
  map.negative = Negative::keep;
  EXPECT_THAT(all_rows(read(text, map)).demand, same_floats({3, -4, 1}));
  map.negative = Negative::clip;
  EXPECT_THAT(all_rows(read(text, map)).demand, same_floats({3, 0, 1}));
  map.negative = Negative::drop;
  const Panel panel = read(text, map);
  EXPECT_THAT(all_rows(panel).demand, same_floats({5, kNan, 1}));
  EXPECT_THAT(panel.info.notes, HasSubstr("2 rows of the table were left out"));
}

TEST_F(LongTable, covariates_are_per_series_per_level_or_for_all) {
  LongMap map = sales_map();
  map.covariates = {{"price", "price", Role::known, Kind::numeric, "series", Aggregate::mean, Fill::none},
                    {"snap", "snap", Role::known, Kind::numeric, "store", Aggregate::mean, Fill::none},
                    {"event", "event", Role::known, Kind::categorical, "all", Aggregate::last, Fill::none},
                    {"stock", "stock", Role::past, Kind::numeric, "series", Aggregate::last, Fill::zero}};
  const Panel panel = read(
      "date,store,item,units,price,snap,event,stock\n"
      "2024-01-01,a,x,1,1.5,0,,7\n"
      "2024-01-02,a,x,2,,1,春节,\n"
      "2024-01-01,b,x,3,2.5,1,,8\n"
      "2024-01-03,b,x,,2.75,0,Easter,\n",
      map);
  const PanelRows rows = all_rows(panel);
  EXPECT_EQ(panel.info.demand_end, 2);
  EXPECT_EQ(panel.info.steps, 3);  // the row without units tells the future price
  EXPECT_THAT(rows.covariates[0], same_floats({1.5, kNan, kNan, 2.5, kNan, 2.75}));
  EXPECT_THAT(rows.covariates[1], same_floats({7, 0, 0, 8, 0, 0}));
  EXPECT_THAT(panel.shared[1], same_floats({0, 1, kNan, 1, kNan, 0}));
  EXPECT_THAT(panel.shared[2], same_floats({-1, 0, 1}));
  EXPECT_THAT(panel.info.covariates[2].vocabulary, ElementsAre("春节", "Easter"));
  EXPECT_EQ(panel.info.covariates[3].role, Role::past);
}

TEST_F(LongTable, a_shared_covariate_that_differs_is_an_error) {
  LongMap map = sales_map();
  map.covariates = {{"event", "event", Role::known, Kind::categorical, "all", Aggregate::last, Fill::none}};
  EXPECT_THAT(
      message("date,store,item,units,event\n2024-01-01,a,x,1,Easter\n2024-01-01,b,x,1,Pentecost\n", map),
      AllOf(HasSubstr("\"event\" differs on 2024-01-01"), HasSubstr("row 1"), HasSubstr("row 2"),
            HasSubstr("per: all")));
}

TEST_F(LongTable, a_static_that_differs_is_an_error) {
  LongMap map = sales_map();
  map.statics.push_back({"size", "size", Kind::numeric});
  const Panel panel =
      read("date,store,item,units,size\n2024-01-01,a,x,1,\n2024-01-02,a,x,1,12\n2024-01-01,b,x,1,\n", map);
  EXPECT_THAT(panel.table.values[2], same_floats({12, kNan}));
  EXPECT_THAT(message("date,store,item,units,size\n2024-01-01,a,x,1,12\n2024-01-02,a,x,1,13\n", map),
              AllOf(HasSubstr("\"size\" of series a/x differs"), HasSubstr("row 1"), HasSubstr("row 2")));
}

TEST_F(LongTable, the_commonest_spelling_of_a_text_is_kept) {
  LongMap map = sales_map();
  map.duplicates = Duplicates::sum;
  map.text = "text";
  const Panel panel = read(
      "date,store,item,units,text\n"
      "2024-01-01,a,x,1,RED mug?\n"
      "2024-01-01,b,x,1,  Red   mug 红色 ☕\n"
      "2024-01-02,a,x,1,Red mug 红色 ☕ \n"
      "2024-01-01,a,y,1,\n"
      "2024-01-01,a,z,1,first\n"
      "2024-01-01,a,z,1,second\n",
      map);
  ASSERT_EQ(panel.documents.size(), 2U);
  EXPECT_EQ(panel.documents[0].item, "x");
  EXPECT_EQ(panel.documents[0].text, "Red mug 红色 ☕");
  EXPECT_EQ(panel.documents[1].text, "first");
}

TEST_F(LongTable, keep_rows_leaves_the_others_and_their_names_out) {
  LongMap map = sales_map();
  map.keep_rows = {{LongMap::RowFilter::Rule::positive, "price", ""},
                   {LongMap::RowFilter::Rule::matches, "item", "^[0-9]{2}"}};
  const Panel panel = read(
      "date,store,item,units,price\n2024-01-01,a,POST,1,1\n2024-01-01,a,12x,1,0\n2024-01-02,a,13,2,2\n2024-"
      "01-02,a,12y,3,\n",
      map);
  EXPECT_THAT(panel.table.names, ElementsAre("a/13"));
  EXPECT_THAT(panel.info.statics[0].vocabulary, ElementsAre("13"));
  map.keep_rows[0].rule = LongMap::RowFilter::Rule::not_negative;
  map.keep_rows[1].pattern = "nothing like this";
  EXPECT_THAT(message("date,store,item,units,price\n2024-01-01,a,13,1,1\n", map),
              HasSubstr("no row is left"));
  map.keep_rows[1].pattern = "[";
  EXPECT_THAT(message("date,store,item,units,price\n2024-01-01,a,13,1,1\n", map),
              HasSubstr("not a regular expression"));
}

TEST_F(LongTable, weekly_tables_have_to_keep_to_their_grid) {
  LongMap map = sales_map();
  map.frequency = Frequency::weekly;
  EXPECT_EQ(read("date,store,item,units\n2024-01-03,a,x,1\n2024-01-17,a,x,2\n", map).info.steps, 3);
  EXPECT_THAT(message("date,store,item,units\n2024-01-03,a,x,1\n2024-01-16,a,x,2\n", map),
              AllOf(HasSubstr("row 2"), HasSubstr("2024-01-16"), HasSubstr("off the weekly grid")));
}

TEST_F(LongTable, says_what_is_wrong_with_rows_and_maps) {
  const LongMap map = sales_map();
  EXPECT_THAT(message("date,store,item,units\n2024-01-01,,x,1\n", map),
              AllOf(HasSubstr("row 1"), HasSubstr("no \"store\"")));
  EXPECT_THAT(message("date,store,item,units\n,a,x,1\n", map),
              AllOf(HasSubstr("row 1"), HasSubstr("no date")));
  EXPECT_THAT(message("date,store,item,units\n01.02.2024,a,x,1\n", map),
              AllOf(HasSubstr("\"01.02.2024\""), HasSubstr("YYYY-MM-DD")));
  EXPECT_THAT(message("date,store,item,units\n2024-01-01,a,x,\n", map),
              HasSubstr("\"units\" is empty everywhere"));
  EXPECT_THAT(message("date,store,item,units\n", map), HasSubstr("holds no rows"));
  EXPECT_THAT(message("date,shop,item,units\n2024-01-01,a,x,1\n", map), HasSubstr("no column \"store\""));
  LongMap bad = map;
  bad.category_level = "itm";
  EXPECT_THAT(message_of([&] { bad.validate(); }),
              AllOf(HasSubstr("\"itm\""), HasSubstr("did you mean \"item\"")));
  bad = map;
  bad.series.clear();
  EXPECT_THAT(message_of([&] { bad.validate(); }), HasSubstr("lacks \"series\""));
  bad = map;
  bad.covariates = {{"item", "x", Role::known, Kind::numeric, "series", Aggregate::mean, Fill::none}};
  EXPECT_THAT(message_of([&] { bad.validate(); }), HasSubstr("\"item\" twice"));
}

TEST_F(LongTable, a_fill_that_cannot_be_applied_is_refused) {
  const auto message_with = [](Kind kind, const std::string& per, Fill fill) {
    LongMap map = sales_map();
    map.covariates = {{"event", "event", Role::known, kind, per, Aggregate::last, fill}};
    return message_of([&] { map.validate(); });
  };
  EXPECT_THAT(message_with(Kind::numeric, "all", Fill::zero),
              AllOf(HasSubstr("\"event\""), HasSubstr("per: all"), HasSubstr("remove its fill")));
  EXPECT_THAT(message_with(Kind::categorical, "store", Fill::previous), HasSubstr("per: store"));
  EXPECT_THAT(message_with(Kind::categorical, "series", Fill::zero), HasSubstr("no category is zero"));
  EXPECT_EQ(message_with(Kind::categorical, "series", Fill::previous), "");
  EXPECT_EQ(message_with(Kind::numeric, "series", Fill::zero), "");
}

}  // namespace
}  // namespace shelfcast::data
