// Random tables, appended part by part, against one ingest of all: cell for cell.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "data/ingest/ingest.h"
#include "tests/ingest/tables.h"

namespace shelfcast::data {
namespace {

using namespace shelfcast::testing;
namespace fs = std::filesystem;

constexpr int kSeries = 7;
constexpr const char* kHeader = "date,s,units,price,promo,mood,heat\n";

struct Case {
  Frequency frequency = Frequency::daily;
  Gaps gaps = Gaps::missing;
  Fill fill = Fill::none;
  bool reaches_back = false;  // the tables hold one period more than they have to
};

// 2024-01-03, a Wednesday, and days from it.
Date date_of(int day) { return Date{std::chrono::days{19'725 + day}}; }

struct Row {
  int day = 0;
  std::string text;
};

class Sales {
 public:
  Sales(unsigned seed, const Case& what) : random_(seed), case_(what) {
    const int part = what.frequency == Frequency::monthly ? 65 : 18;
    for (int i = 0; i < 3; ++i)
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + part +
                      uniform(what.frequency == Frequency::monthly ? 20 : 9));
    for (int s = 0; s < kSeries; ++s) begins_.push_back(s < 2 ? 0 : period_begin(uniform(ends_.back())));
    int first = 0;
    for (const int end : ends_) {
      add_days(first, end);
      first = end;
    }
  }

  const std::vector<int>& ends() const { return ends_; }
  // Rows of days from `first` on, as they were known when demand ended before `end`.
  std::string table(int first, int end) const {
    std::string text = kHeader;
    const auto part = std::find(ends_.begin(), ends_.end(), end) - ends_.begin();
    for (std::size_t i = 0; i < known_[static_cast<std::size_t>(part)]; ++i)
      if (rows_[i].day >= first) text += rows_[i].text;
    return text;
  }
  // Daily tables hold what is new; plans of before are not said again.
  std::string new_rows(int end) const {
    std::string text = kHeader;
    const auto part = static_cast<std::size_t>(std::find(ends_.begin(), ends_.end(), end) - ends_.begin());
    for (std::size_t i = part == 0 ? 0 : known_[part - 1]; i < known_[part]; ++i) text += rows_[i].text;
    return text;
  }

 private:
  int uniform(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int percent) { return uniform(100) < percent; }

  // Of what a series sold within the last closed period only a table that reaches back can tell.
  int period_begin(int day) const {
    if (case_.frequency == Frequency::daily || case_.reaches_back) return day;
    for (;; --day) {
      if (day <= 0) return 0;
      const std::chrono::year_month_day date{date_of(day)};
      if (case_.frequency == Frequency::weekly ? std::chrono::weekday{date_of(day)} == std::chrono::Monday
                                               : date.day() == std::chrono::day{1})
        return day;
    }
  }

  void add_row(int day, int series, const std::string& units) {
    rows_.push_back({day, fmt::format("{},s{},{},{},{},{},{}\n", format_date(date_of(day)), series, units,
                                      chance(30) ? fmt::format("{}", 1 + uniform(1000)) : "",
                                      chance(30) ? fmt::format("{}", uniform(3)) : "",
                                      chance(30) ? fmt::format("m{}", uniform(1000)) : "",
                                      day % 3 == 0 ? "" : fmt::format("{}", day % 11))});
  }

  // Days [first, end) and, at the end, plans for days that are to come.
  void add_days(int first, int end) {
    const int last = ends_.back() + 12, months = case_.frequency == Frequency::monthly ? 65 : 40;
    std::vector<bool> absent;
    for (int s = 0; s < kSeries; ++s) absent.push_back(chance(20));
    for (int day = first; day < end; ++day)
      for (int s = 0; s < kSeries; ++s) {
        const auto at = static_cast<std::size_t>(s);
        // A day that was planned comes: else a plan alone would say that it is not observed. Tables of
        // weeks begin with a row on their first day.
        const bool planned = std::find(planned_.begin(), planned_.end(), std::pair(day, s)) != planned_.end();
        const bool must = planned || day == begins_[at] ||
                          (s == 0 && (case_.frequency != Frequency::daily || day == end - 1));
        if (day < begins_[at]) continue;
        if (!must && (absent[at] || !chance(case_.gaps == Gaps::zero ? 40 : 99))) continue;
        // Late enough that a whole period was observed before: a corpus does not tell of days.
        const bool empty = !must && day > begins_[at] + months && chance(5);
        add_row(day, s, empty ? "" : fmt::format("{}", uniform(9)));
      }
    for (int s = 0; s < kSeries; ++s)
      for (int day = std::max(end, begins_[static_cast<std::size_t>(s)]); day < std::min(end + 20, last);
           ++day)
        if (chance(10)) {
          planned_.emplace_back(day, s);
          add_row(day, s, "");
        }
    known_.push_back(rows_.size());
  }

  std::mt19937 random_;
  Case case_;
  std::vector<int> ends_, begins_;
  std::vector<std::pair<int, int>> planned_;
  std::vector<Row> rows_;
  std::vector<std::size_t> known_;  // per part: rows until its end
};

LongMap map_of(const Case& what, Aggregate aggregate) {
  LongMap map;
  map.series = {"s"};
  map.date = "date";
  map.target = "units";
  map.gaps = what.gaps;
  map.duplicates = Duplicates::sum;
  map.statics = {{"s", "s", Kind::categorical}};
  const Fill words = what.fill == Fill::zero ? Fill::none : what.fill;
  map.covariates = {{"price", "price", Role::known, Kind::numeric, "series", aggregate, what.fill},
                    {"promo", "promo", Role::known, Kind::numeric, "series", Aggregate::last, Fill::zero},
                    {"mood", "mood", Role::known, Kind::categorical, "series", Aggregate::last, words},
                    {"heat", "heat", Role::known, Kind::numeric, "all", Aggregate::last, Fill::none}};
  return map;
}

// The first cell in which two corpora differ; "" where there is none.
std::string difference(const fs::path& one, const fs::path& other) {
  const Corpus a(one), b(other);
  const CorpusInfo &x = a.info(), &y = b.info();
  const auto shape = [](const CorpusInfo& info) {
    return fmt::format("{} {} {} {}", format_date(info.axis.start), info.steps, info.demand_end, info.series);
  };
  if (shape(x) != shape(y)) return shape(x) + " against " + shape(y);
  if (a.series_names() != b.series_names()) return "names of series";
  std::vector<std::size_t> all(x.covariates.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  PanelBlock p, q;
  a.read(0, x.series, 0, x.steps, all, p);
  b.read(0, y.series, 0, y.steps, all, q);
  const auto compare = [&](const std::string& name, const auto& left, const auto& right, auto word) {
    for (std::size_t i = 0; i < left.size(); ++i)
      if (const std::string l = word(x, left[i]), r = word(y, right[i]); l != r)
        return fmt::format("{} of {} on {}: {} against {}\n  {}\n  {}", name,
                           i / static_cast<std::size_t>(x.steps),
                           format_date(x.axis.date_of(static_cast<std::int64_t>(i) % x.steps)), l, r,
                           fmt::join(left, " "), fmt::join(right, " "));
    return std::string();
  };
  std::string found =
      compare("demand", p.demand, q.demand, [](const CorpusInfo&, float v) { return fmt::format("{}", v); });
  for (std::size_t c = 0; c < all.size() && found.empty(); ++c)
    found = compare(x.covariates[c].name, p.columns[c].values, q.columns[c].values,
                    [c](const CorpusInfo& info, float v) {
                      return info.covariates[c].kind == Kind::numeric || v < 0
                                 ? fmt::format("{}", v)
                                 : info.covariates[c].vocabulary.at(static_cast<std::size_t>(v));
                    });
  return found;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const Case& what = info.param;
  return fmt::format("{}_{}_{}{}", to_string(what.frequency), what.gaps == Gaps::zero ? "zero" : "missing",
                     what.fill == Fill::none   ? "none"
                     : what.fill == Fill::zero ? "fillzero"
                                               : "previous",
                     what.reaches_back ? "_reaching_back" : "");
}

class AppendTwin : public ::testing::TestWithParam<Case> {};

TEST_P(AppendTwin, parts_are_cell_for_cell_what_one_ingest_makes) {
  const Case what = GetParam();
  const TemporaryFolder folder("/dev/shm");  // in memory: a corpus is flushed when it is written
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Sales sales(seed, what);
    // Without the days of the period before, only the last of its values is known.
    const Aggregate aggregate = what.reaches_back
                                    ? std::array{Aggregate::mean, Aggregate::sum, Aggregate::first}[seed % 3]
                                    : Aggregate::last;
    IngestConfig config{.format = TableFormat::long_table,
                        .from = write_text(folder / "whole.csv", sales.table(0, sales.ends().back())),
                        .out = folder / fmt::format("whole{}.corpus", seed),
                        .map = map_of(what, aggregate),
                        .series_limit = {},
                        .frequency = what.frequency,
                        .until = {}};
    ingest(config);
    const fs::path whole = config.out;
    config.out = folder / fmt::format("parts{}.corpus", seed);
    for (const int end : sales.ends()) {
      std::string table = sales.new_rows(end);
      if (end != sales.ends().front() && (what.frequency != Frequency::daily || what.reaches_back)) {
        const CorpusInfo info = Corpus(config.out).info();
        const Date from = info.axis.date_of(info.demand_end - (what.reaches_back ? 1 : 0));
        table = sales.table(static_cast<int>((from - date_of(0)).count()), end);
      }
      config.from = write_text(folder / "part.csv", table);
      if (end == sales.ends().front())
        ingest(config);
      else
        append(config);
    }
    ASSERT_EQ(difference(config.out, whole), "") << "seed " << seed;
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Frequency frequency : {Frequency::daily, Frequency::weekly, Frequency::monthly})
    for (const Gaps gaps : {Gaps::missing, Gaps::zero})
      for (const Fill fill : {Fill::none, Fill::zero, Fill::previous})
        for (const bool reaches_back : {false, true})
          if (frequency != Frequency::daily || !reaches_back)
            all.push_back({frequency, gaps, fill, reaches_back});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cases, AppendTwin, ::testing::ValuesIn(cases()), name_of);

}  // namespace
}  // namespace shelfcast::data
