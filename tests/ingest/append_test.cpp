// A corpus that grew by parts is the corpus that was made at once.
#include <fmt/format.h>

#include <random>

#include "base/file_lock.h"
#include "base/files.h"
#include "data/corpus_append.h"
#include "data/ingest/extend.h"
#include "data/ingest/ingest.h"
#include "data/manifest.h"
#include "tests/ingest/tables.h"
#include "tests/support/kill_points.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int kSeries = 23, kDays = 60;

LongMap map_of(Gaps gaps) {
  LongMap map;
  map.series = {"store", "item"};
  map.date = "date";
  map.target = "units";
  map.gaps = gaps;
  map.duplicates = Duplicates::sum;
  map.statics = {{"item", "item", Kind::categorical},
                 {"store", "store", Kind::categorical},
                 {"size", "size", Kind::numeric}};
  map.item_level = "item";
  map.store_level = "store";
  map.text = "title";
  map.covariates = {{"price", "price", Role::known, Kind::numeric, "series", Aggregate::last, Fill::previous},
                    {"promo", "promo", Role::known, Kind::numeric, "series", Aggregate::last, Fill::zero},
                    {"mood", "mood", Role::past, Kind::categorical, "series", Aggregate::last, Fill::none},
                    {"event", "event", Role::known, Kind::categorical, "all", Aggregate::last, Fill::none},
                    {"heat", "heat", Role::known, Kind::numeric, "store", Aggregate::last, Fill::none}};
  return map;
}

std::string date_of(int day) { return format_date(Date{std::chrono::days{19'700 + day}}); }

// Rows of days [first, end): series come in by and by, words of the vocabularies, too. Each day's rows are a
// function of the day, so that parts and the whole agree.
std::string table(int first, int end) {
  std::string text = "date,store,item,units,size,title,price,promo,mood,event,heat\n";
  for (int day = first; day < end; ++day) {
    std::mt19937 random(static_cast<unsigned>(day));
    for (int series = 0; series < kSeries; ++series) {
      const int begins = series < 12 ? 0 : series * 2;
      if (day < begins || random() % 4 == 0) continue;
      const int store = series % 5, item = series / 5;
      text += fmt::format("{},S{},I{},{},{}.5,text of {},", date_of(day), store, item,
                          random() % 5 == 0 ? "" : fmt::format("{}", random() % 9), series, item);
      text += fmt::format("{},{},{},{},{}\n", random() % 3 == 0 ? "" : fmt::format("{}", 1 + random() % 7),
                          random() % 2 == 0 ? "" : "1", day > 30 && random() % 3 == 0 ? "new" : "old",
                          day % 7 == 0 ? fmt::format("E{}", day / 14) : "", (day * 3 + store) % 11);
    }
  }
  return text;
}

// Everything a corpus says, NaN as text, with digests and file names left out.
std::string contents(const fs::path& folder) {
  const Corpus corpus(folder);
  corpus.verify();
  const CorpusInfo& info = corpus.info();
  std::string text =
      fmt::format("{} {} {} {}\n", format_date(info.axis.start), info.steps, info.demand_end, info.series);
  PanelBlock block;
  std::vector<std::size_t> all(info.covariates.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  corpus.read(0, info.series, 0, info.steps, all, block);
  for (std::size_t i = 0; i < corpus.series_names().size(); ++i) {
    text += corpus.series_names()[i];
    for (std::size_t s = 0; s < info.statics.size(); ++s)
      text += info.statics[s].kind == Kind::numeric
                  ? fmt::format(" {}", corpus.static_values(s)[i])
                  : " " + info.statics[s].vocabulary.at(static_cast<std::size_t>(corpus.static_codes(s)[i]));
    text += "\n";
  }
  text += fmt::format("demand {}\n", fmt::join(block.demand, " "));
  for (std::size_t c = 0; c < all.size(); ++c)
    text +=
        fmt::format("{} [{}] {}\n", info.covariates[c].name, fmt::join(info.covariates[c].vocabulary, " "),
                    fmt::join(block.columns[c].values, " "));
  for (const Document& document : corpus.documents()) text += document.item + ": " + document.text + "\n";
  return text;
}

class Append : public ::testing::Test {
 protected:
  IngestConfig config(const fs::path& from, const fs::path& to) const {
    return {.format = TableFormat::long_table,
            .from = from,
            .out = to,
            .map = map_of(gaps_),
            .series_limit = {},
            .frequency = frequency_,
            .until = {}};
  }
  fs::path file(int first, int end) const {
    return write_text(folder_ / fmt::format("t{}-{}.csv", first, end), table(first, end));
  }
  fs::path ingested(const std::string& name, int end) const {
    const fs::path corpus = folder_ / name;
    fs::remove_all(corpus);
    ingest(config(file(0, end), corpus));
    return corpus;
  }
  TemporaryFolder folder_;
  Gaps gaps_ = Gaps::missing;
  std::optional<Frequency> frequency_;
};

class AppendWithGaps : public Append, public ::testing::WithParamInterface<Gaps> {};

TEST_P(AppendWithGaps, parts_make_the_same_corpus_as_one_table) {
  gaps_ = GetParam();
  const fs::path whole = ingested("whole.corpus", kDays), parts = ingested("parts.corpus", 20);
  for (const auto& [first, end] : {std::pair(20, 41), std::pair(41, 42), std::pair(42, kDays)})
    append(config(file(first, end), parts));
  EXPECT_EQ(contents(parts), contents(whole));
}

TEST_P(AppendWithGaps, a_table_that_repeats_old_days_adds_the_new_ones_only) {
  gaps_ = GetParam();
  const fs::path whole = ingested("whole.corpus", kDays), parts = ingested("parts.corpus", 33);
  append(config(file(0, kDays), parts));
  EXPECT_EQ(contents(parts), contents(whole));
  const std::string manifest = read_file(parts / "manifest.json");
  append(config(file(0, kDays), parts));
  append(config(file(40, kDays), parts));
  EXPECT_EQ(read_file(parts / "manifest.json"), manifest);
}

INSTANTIATE_TEST_SUITE_P(Gaps, AppendWithGaps, ::testing::Values(Gaps::missing, Gaps::zero));

TEST_F(Append, weeks_come_when_they_are_whole) {
  frequency_ = Frequency::weekly;
  const fs::path whole = ingested("whole.corpus", kDays), parts = ingested("parts.corpus", 30);
  append(config(file(0, 36), parts));
  append(config(file(0, kDays), parts));
  EXPECT_EQ(contents(parts), contents(whole));
}

TEST_F(Append, a_table_that_begins_within_the_week_that_is_open_is_refused) {
  frequency_ = Frequency::weekly;
  const fs::path parts = ingested("parts.corpus", 32);
  const CorpusInfo info = read_manifest(parts).info;
  const std::string manifest = read_file(parts / "manifest.json");
  const std::string said = message_of([&] { append(config(file(32, kDays), parts)); });
  EXPECT_THAT(said, HasSubstr("reach back to " + format_date(info.axis.date_of(info.demand_end)))) << said;
  EXPECT_EQ(read_file(parts / "manifest.json"), manifest);
}

TEST_F(Append, what_was_known_ahead_is_replaced_by_what_came) {
  LongMap map;
  map.series = {"s"};
  map.date = "date";
  map.target = "y";
  map.covariates = {{"price", "p", Role::known, Kind::numeric, "series", Aggregate::last, Fill::none}};
  IngestConfig config{.format = TableFormat::long_table,
                      .from = write_text(folder_ / "a.csv",
                                         "s,date,y,p\na,2024-01-01,1,5\na,2024-01-02,2,5\na,2024-01-03,,6\n"
                                         "a,2024-01-04,,7\n"),
                      .out = folder_ / "k.corpus",
                      .map = map,
                      .series_limit = {},
                      .frequency = {},
                      .until = {}};
  ingest(config);
  config.from = write_text(folder_ / "b.csv", "s,date,y,p\na,2024-01-03,3,8\n");
  append(config);
  const Corpus corpus(config.out);
  EXPECT_EQ(corpus.info().demand_end, 3);
  PanelBlock block;
  corpus.read(0, 1, 0, 4, std::vector<std::size_t>{0}, block);
  EXPECT_THAT(block.demand, same_floats({1, 2, 3, kNan}));
  EXPECT_THAT(block.columns[0].values, same_floats({5, 5, 8, 7}));
}

// Tables of one series each line "s,date,y,p", appended one after the other.
class AppendedPlans : public ::testing::Test {
 protected:
  AppendedPlans() {
    map_.series = {"s"};
    map_.date = "date";
    map_.target = "y";
    map_.covariates = {{"promo", "p", Role::known, Kind::numeric, "series", Aggregate::last, Fill::none}};
  }
  IngestConfig config(const std::string& rows) const {
    return {.format = TableFormat::long_table,
            .from = write_text(folder_ / "t.csv", "s,date,y,p\n" + rows),
            .out = folder_ / "p.corpus",
            .map = map_,
            .series_limit = {},
            .frequency = frequency_,
            .until = {}};
  }
  // [series, steps] of demand and of the covariate.
  std::pair<std::vector<float>, std::vector<float>> read() const {
    const Corpus corpus(folder_ / "p.corpus");
    PanelBlock block;
    corpus.read(0, corpus.info().series, 0, corpus.info().steps, std::vector<std::size_t>{0}, block);
    return {block.demand, block.columns[0].values};
  }
  std::string manifest() const { return read_file(folder_ / "p.corpus" / "manifest.json"); }

  TemporaryFolder folder_;
  LongMap map_;
  std::optional<Frequency> frequency_;
};

TEST_F(AppendedPlans, a_fill_does_not_replace_a_plan) {
  map_.covariates[0].fill = Fill::zero;
  ingest(config("a,2024-01-01,1,0\na,2024-01-02,1,0\na,2024-01-05,,1\n"));
  append(config("a,2024-01-03,1,0\nb,2024-01-03,1,0\nb,2024-01-05,,1\n"));
  EXPECT_THAT(read().second, same_floats({0, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
}

TEST_F(AppendedPlans, a_value_carried_on_gives_way_to_a_newer_one_and_a_plan_does_not) {
  map_.covariates[0].fill = Fill::previous;
  ingest(config("a,2024-01-01,1,5\na,2024-01-04,,7\na,2024-01-06,,\n"));
  append(config("a,2024-01-02,1,6\n"));
  EXPECT_THAT(read().second, same_floats({5, 6, 6, 7, 7, 7}));
}

TEST_F(AppendedPlans, revised_plans_alone_are_taken_over_and_only_once) {
  ingest(config("a,2024-01-01,1,0\na,2024-01-02,1,0\na,2024-01-03,,1\n"));
  append(config("a,2024-01-03,,4\n"));
  EXPECT_THAT(read().second, same_floats({0, 0, 4}));
  EXPECT_THAT(read().first, same_floats({1, 1, kNan}));
  const std::string before = manifest();
  append(config("a,2024-01-03,,4\n"));
  EXPECT_EQ(manifest(), before);
  append(config("a,2024-01-05,,2\n"));  // and further ones
  EXPECT_THAT(read().second, same_floats({0, 0, 4, kNan, 2}));
}

TEST_F(AppendedPlans, plans_alone_may_begin_within_a_week_that_is_open) {
  frequency_ = Frequency::weekly;
  std::string days;
  for (int day = 1; day <= 7; ++day) days += fmt::format("a,2024-01-{:02},1,0\n", day);
  ingest(config(days));
  append(config("a,2024-01-17,,4\na,2024-01-21,,2\n"));
  EXPECT_THAT(read().first, same_floats({7, kNan, kNan}));
  EXPECT_THAT(read().second, same_floats({0, kNan, 2}));
}

TEST_F(AppendedPlans, a_new_text_alone_is_taken_over) {
  map_.statics = {{"item", "s", Kind::categorical}};
  map_.item_level = "item";
  map_.text = "p";
  map_.covariates = {{"q", "y", Role::past, Kind::numeric, "series", Aggregate::last, Fill::none}};
  ingest(config("a,2024-01-01,1,mug\n"));
  append(config("a,2024-01-01,1,red mug\n"));
  EXPECT_EQ(Corpus(folder_ / "p.corpus").documents().front().text, "red mug");
}

TEST_F(AppendedPlans, a_new_series_goes_on_to_the_end_of_the_corpus_demand) {
  map_.gaps = Gaps::zero;
  ingest(config("a,2024-01-01,1,0\na,2024-01-05,1,0\n"));
  append(config("b,2024-01-02,1,0\nb,2024-01-03,1,0\n"));
  EXPECT_THAT(read().first, same_floats({1, 0, 0, 0, 1, kNan, 1, 1, 0, 0}));
}

TEST_F(AppendedPlans, weeks_sum_what_was_sold_whatever_day_a_series_rows_begin) {
  map_.gaps = Gaps::zero;
  map_.covariates[0].fill = Fill::previous;
  map_.covariates[0].aggregate = Aggregate::mean;
  frequency_ = Frequency::weekly;
  std::string first, second = "b,2024-01-15,1,1\na,2024-01-17,10,20\na,2024-01-20,10,\nb,2024-01-21,1,1\n";
  for (int day = 1; day <= 14; ++day)
    first += fmt::format("a,2024-01-{:02},1,10\nb,2024-01-{:02},0,1\n", day, day);
  ingest(config(first));
  append(config(second));
  const auto [demand, price] = read();
  EXPECT_THAT(demand, same_floats({7, 7, 20, 0, 0, 2}));
  EXPECT_FLOAT_EQ(price[2], (2 * 10 + 5 * 20) / 7.0F);
}

TEST_F(AppendedPlans, a_table_that_begins_after_the_open_week_would_lose_its_days_and_is_refused) {
  map_.gaps = Gaps::zero;
  frequency_ = Frequency::weekly;
  ingest(config("a,2024-01-01,1,0\na,2024-01-07,1,0\na,2024-01-09,5,0\n"));
  const std::string later = "a,2024-01-15,1,0\na,2024-01-21,1,0\n";
  EXPECT_THAT(message_of([&] { append(config(later)); }), HasSubstr("reach back to 2024-01-08"));
  append(config("a,2024-01-07,1,0\na,2024-01-09,5,0\n" + later));
  EXPECT_THAT(read().first, same_floats({2, 5, 2}));
}

TEST_F(AppendedPlans, an_empty_target_stays_not_observed_in_an_appended_table) {
  map_.gaps = Gaps::zero;
  ingest(config("a,2024-01-01,1,0\n"));
  append(config("a,2024-01-02,,0\na,2024-01-04,1,0\n"));
  EXPECT_THAT(read().first, same_floats({1, kNan, 0, 1}));
}

TEST_F(AppendedPlans, the_log_says_how_many_late_values_were_ignored) {
  ingest(config("a,2024-01-01,1,0\na,2024-01-02,2,0\na,2024-01-03,3,0\n"));
  ::testing::internal::CaptureStderr();
  append(config("a,2024-01-02,9,1\na,2024-01-03,3,0\n"));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("2 values of days that"));
  EXPECT_THAT(read().first, same_floats({1, 2, 3}));
}

TEST_F(Append, an_old_state_opens_again_under_its_manifest) {
  const fs::path corpus = ingested("grown.corpus", 20);
  const std::string before = contents(corpus);
  append(config(file(20, 40), corpus));
  ASSERT_NE(contents(corpus), before);
  for (const auto& entry : fs::directory_iterator(corpus))
    if (entry.path().filename().string().starts_with("manifest-"))
      fs::copy_file(entry.path(), corpus / "manifest.json", fs::copy_options::overwrite_existing);
  EXPECT_EQ(contents(corpus), before);
}

// Without Arrow, whose threads a forked child would miss.
Panel small_panel(int days, int series) {
  Panel panel;
  panel.info.axis.start = *parse_date("2024-01-01");
  panel.info.steps = panel.info.demand_end = days;
  panel.info.series = series;
  panel.info.covariates = {{"event", Role::known, Kind::numeric, "all", {}}};
  panel.aggregates = {Aggregate::mean};
  panel.shared.resize(1);
  for (int day = 0; day < days; ++day) panel.shared[0].push_back(static_cast<float>(day % 3));
  for (int i = 0; i < series; ++i) panel.table.names.push_back(fmt::format("s{}", i));
  panel.fill = [days](std::int64_t first, std::int64_t count, PanelRows& rows) {
    rows.demand.clear();
    rows.covariates.clear();
    for (std::int64_t i = first; i < first + count; ++i)
      for (int day = 0; day < days; ++day) rows.demand.push_back(static_cast<float>(i * 100 + day));
  };
  return panel;
}

void write_small(const fs::path& folder, const Panel& panel) {
  CorpusWriter writer(folder, panel.info, panel.table);
  writer.write_shared(0, panel.shared[0]);
  PanelRows rows;
  panel.fill(0, panel.info.series, rows);
  writer.append(panel.info.series, rows.demand, {});
  writer.finish();
}

void extend(const Panel& panel, const fs::path& folder) {
  const FileLock lock = lock_corpus(folder);
  extend_corpus(panel, Corpus(folder));
}

TEST_F(Append, killed_at_any_step_it_leaves_the_old_corpus_or_the_new_and_can_be_repeated) {
  const fs::path corpus = folder_ / "k.corpus", undisturbed = folder_ / "u.corpus";
  write_small(undisturbed, small_panel(10, 3));
  const std::string before = contents(undisturbed);
  extend(small_panel(17, 5), undisturbed);
  const std::string after = contents(undisturbed);
  const int kills = kill_at_every_step(
      [&] {
        fs::remove_all(corpus);
        write_small(corpus, small_panel(10, 3));
      },
      [&] { extend(small_panel(17, 5), corpus); },
      [&](int step) {
        const std::string left = contents(corpus);
        EXPECT_TRUE(left == before || left == after) << "step " << step;
        extend(small_panel(17, 5), corpus);
        EXPECT_EQ(contents(corpus), after) << "step " << step;
      });
  EXPECT_GT(kills, 10);
  // Nothing is left over: as many files as undisturbed, and the lock.
  EXPECT_EQ(std::distance(fs::directory_iterator(corpus), {}),
            std::distance(fs::directory_iterator(undisturbed), {}));
}

TEST_F(Append, says_what_does_not_fit) {
  const fs::path corpus = ingested("c.corpus", 20);
  const fs::path more = file(20, 25);
  const auto with = [&](auto change) {
    IngestConfig changed = config(more, corpus);
    change(*changed.map);
    return message_of([&] { append(changed); });
  };
  EXPECT_THAT(with([](LongMap& map) { map.covariates.erase(map.covariates.begin() + 1); }),
              HasSubstr("no known numeric covariate \"promo\" per series"));
  EXPECT_THAT(with([](LongMap& map) { map.covariates[0].role = Role::past; }), HasSubstr("\"price\""));
  EXPECT_THAT(with([](LongMap& map) { map.statics.pop_back(); }), HasSubstr("no numeric static \"size\""));
  EXPECT_THAT(with([](LongMap& map) { map.frequency = Frequency::weekly; }), HasSubstr("frequency"));
  IngestConfig nowhere = config(more, folder_ / "nowhere.corpus");
  EXPECT_THAT(message_of([&] { append(nowhere); }), HasSubstr("there is no corpus"));
  EXPECT_FALSE(fs::exists(folder_ / "nowhere.corpus"));
  const FileLock held(append_lock(corpus));
  EXPECT_THAT(with([](LongMap&) {}), HasSubstr("another process is changing"));
}

TEST_F(Append, until_makes_what_the_table_of_that_day_makes) {
  // Later rows say another text and another size of a known series; new words and new series come, too.
  const std::string later = date_of(kDays) + ",S1,I0,3,99.5,another text,1,1,new,E9,3\n";
  for (const std::string& text : {table(0, kDays) + later + later, table(0, kDays)}) {
    IngestConfig part =
        config(write_text(folder_ / "all.csv", text), folder_ / fmt::format("until{}.corpus", text.size()));
    part.until = Date{std::chrono::days{19'700 + 19}};
    ingest(part);
    EXPECT_EQ(contents(part.out), contents(ingested("plain.corpus", 20)));
  }
  IngestConfig part = config(file(0, kDays), folder_ / "none.corpus");
  part.until = Date{std::chrono::days{19'000}};
  EXPECT_THAT(message_of([&] { ingest(part); }), HasSubstr("nothing is left until"));
}

}  // namespace
}  // namespace shelfcast::data
