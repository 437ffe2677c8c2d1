#include "data/ingest/ingest.h"

#include "data/corpus.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

IngestConfig long_config(const TemporaryFolder& folder, const std::string& text) {
  IngestConfig config;
  config.from = write_text(folder / "sales.csv", text);
  config.out = folder / "out.corpus";
  config.map = LongMap{};
  config.map->series = {"item"};
  config.map->date = "date";
  config.map->target = "units";
  config.map->statics = {{"item", "item", Kind::categorical}};
  config.map->item_level = "item";
  config.map->text = "text";
  config.map->covariates = {
      {"price", "price", Role::known, Kind::numeric, "series", Aggregate::mean, Fill::none},
      {"event", "event", Role::known, Kind::categorical, "all", Aggregate::last, Fill::none}};
  return config;
}

constexpr const char* kTable =
    "date,item,units,price,event,text\n"
    "2024-01-01,茶,1,1.5,春节,绿茶 🍵\n"
    "2024-01-02,茶,2,,,绿茶 🍵\n"
    "2024-01-02,🍎,3,2.5,,Äpfel\n"
    "2024-01-03,🍎,,2.75,,\n";

// Nothing but the source is left in the folder.
void expect_nothing_left(const TemporaryFolder& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "sales.csv");
}

TEST(Ingest, a_long_table_becomes_a_corpus_with_its_names_and_texts) {
  const TemporaryFolder folder;
  ingest(long_config(folder, kTable));
  const Corpus corpus(folder / "out.corpus");
  corpus.verify();
  EXPECT_EQ(corpus.info().steps, 3);
  EXPECT_EQ(corpus.info().demand_end, 2);
  EXPECT_THAT(corpus.series_names(), ElementsAre("茶", "🍎"));
  EXPECT_THAT(corpus.info().covariates[1].vocabulary, ElementsAre("春节"));
  const auto documents = corpus.documents();
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].text, "绿茶 🍵");
  EXPECT_EQ(documents[1].item, "🍎");
  PanelBlock block;
  const std::vector<std::size_t> columns = {0, 1};
  corpus.read(0, 2, 0, 3, columns, block);
  EXPECT_THAT(block.demand, same_floats({1, 2, kNan, kNan, 3, kNan}));
  EXPECT_THAT(block.columns[0].values, same_floats({1.5, kNan, kNan, kNan, 2.5, 2.75}));
  EXPECT_THAT(block.columns[1].values, same_floats({0, -1, -1}));
}

TEST(Ingest, nothing_is_left_behind_when_the_table_is_bad) {
  for (const std::string bad : {"2024-01-01,茶,9,1,,\n", "2024-02-30,x,1,1,,\n", "2024-01-01,x,many,1,,\n",
                                "2024-01-01,x,-1,1,,\n", "2024-01-01,x\n"}) {
    const TemporaryFolder folder;
    EXPECT_NE(message_of([&] { ingest(long_config(folder, kTable + bad)); }), "") << bad;
    expect_nothing_left(folder);
  }
  const TemporaryFolder folder;
  IngestConfig config = long_config(folder, "date,item,units,price,event,text\n");
  EXPECT_THAT(message_of([&] { ingest(config); }), HasSubstr("holds no rows"));
  config.from = folder / "absent.csv";
  EXPECT_THAT(message_of([&] { ingest(config); }), HasSubstr("does not exist"));
  config.map->target = "unit";
  config.from = folder / "sales.csv";
  EXPECT_THAT(message_of([&] { ingest(config); }), HasSubstr("did you mean \"units\""));
  expect_nothing_left(folder);
}

TEST(Ingest, a_corpus_that_exists_is_not_touched) {
  const TemporaryFolder folder;
  const IngestConfig config = long_config(folder, kTable);
  ingest(config);
  const std::string digest = Corpus(config.out).digest();
  EXPECT_THAT(message_of([&] { ingest(config); }),
              AllOf(HasSubstr("out.corpus already exists"), HasSubstr("--out")));
  EXPECT_EQ(Corpus(config.out).digest(), digest);
}

TEST(Ingest, a_limit_and_a_frequency_apply) {
  const TemporaryFolder folder;
  std::string text = "date,item,units,price,event,text\n";
  for (int day = 1; day <= 21; ++day) {
    for (const char* item : {"a", "b"}) text += fmt::format("2024-01-{:02},{},{},2,,\n", day, item, day);
  }
  IngestConfig config = long_config(folder, text);
  config.series_limit = 1;
  config.frequency = Frequency::weekly;
  ingest(config);
  const Corpus corpus(config.out);
  PanelBlock block;
  corpus.read(0, 1, 0, corpus.info().steps, {}, block);
  EXPECT_THAT(corpus.series_names(), ElementsAre("a"));
  EXPECT_THAT(block.demand, same_floats({28, 77, 126}));
}

TEST(Ingest, asks_for_a_map_exactly_where_one_is_needed) {
  const TemporaryFolder folder;
  IngestConfig config = long_config(folder, kTable);
  config.format = TableFormat::m5;
  EXPECT_THAT(message_of([&] { ingest(config); }), HasSubstr("only for long tables"));
  config.format = TableFormat::long_table;
  config.map.reset();
  EXPECT_THAT(message_of([&] { ingest(config); }), HasSubstr("--map map.yaml"));
  EXPECT_THAT(message_of([] { parse_table_format("wide"); }), HasSubstr("m5, rossmann or long"));
}

}  // namespace
}  // namespace shelfcast::data
