#include "data/ingest/rossmann.h"

#include "data/ingest/frequency.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kHeader =
    "Store,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday,StoreType,Assortment\n";

std::vector<float> row_of(const Panel& panel, const std::vector<float>& values, std::int64_t series) {
  return {values.begin() + series * panel.info.steps, values.begin() + (series + 1) * panel.info.steps};
}

TEST(Rossmann, absent_rows_are_closed_days) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "1,2013-01-01,100,10,1,1,a,0,c,a\n"
                                                            "1,2013-01-03,300,30,1,0,0,1,c,a\n"
                                                            "2,2013-01-02,200,20,1,1,b,0,d,b\n");
  const Panel panel = read_rossmann(find_rossmann_file(folder.path()));
  const PanelRows rows = all_rows(panel);
  EXPECT_THAT(panel.table.names, ElementsAre("store_1", "store_2"));
  EXPECT_EQ(panel.info.steps, 3);
  EXPECT_THAT(rows.demand, same_floats({100, 0, 300, 0, 200, 0}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("open")], same_floats({1, 0, 1, 0, 1, 0}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("promo")], same_floats({1, kNan, 0, kNan, 1, kNan}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("state_holiday")],
              same_floats({0, -1, -1, -1, 1, -1}));
  EXPECT_THAT(rows.covariates[panel.info.covariate_index("customers")], same_floats({10, 0, 30, 0, 20, 0}));
  EXPECT_EQ(panel.info.covariates[panel.info.covariate_index("customers")].role, Role::past);
  EXPECT_THAT(panel.info.covariates[panel.info.covariate_index("state_holiday")].vocabulary,
              ElementsAre("a", "b"));
  EXPECT_THAT(panel.table.codes[panel.info.static_index("store_type")], ElementsAre(0, 1));
}

TEST(Rossmann, the_half_year_gap_is_missing_only_for_stores_without_any_row_in_it) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "1,2014-06-30,1,1,1,0,0,0,c,a\n"
                                                            "1,2015-01-01,1,1,1,0,0,0,c,a\n"
                                                            "2,2014-08-01,1,1,1,0,0,0,c,a\n");
  const Panel panel = read_rossmann(file);
  const PanelRows rows = all_rows(panel);
  ASSERT_EQ(panel.info.steps, 186);
  const auto gap = row_of(panel, rows.demand, 0), none = row_of(panel, rows.demand, 1);
  EXPECT_EQ(gap.front(), 1);
  EXPECT_EQ(gap.back(), 1);
  EXPECT_EQ(std::count_if(gap.begin(), gap.end(), [](float x) { return x != x; }), 184);
  EXPECT_EQ(std::count(none.begin(), none.end(), 0.0F), 185);
}

TEST(Rossmann, refuses_two_rows_of_one_day) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "rossmann.csv", std::string(kHeader) +
                                                            "7,2014-06-30,1,1,1,0,0,0,c,a\n"
                                                            "7,2014-06-30,2,1,1,0,0,0,c,a\n");
  EXPECT_THAT(message_of([&] { read_rossmann(file); }), HasSubstr("store 7 has two rows on 2014-06-30"));
}

}  // namespace
}  // namespace shelfcast::data
