// Corpora small enough for tests, whose every cell says where it stands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/corpus.h"
#include "data/corpus_writer.h"

namespace shelfcast::data::testing {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A folder of its own that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "shelfcast-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// What each cell holds.
inline float demand_at(std::int64_t series, std::int64_t step) {
  return static_cast<float>(series * 1000 + step);
}
inline float price_at(std::int64_t series, std::int64_t step) {
  return 1.0F + 0.01F * static_cast<float>((series * 7 + step * 3) % 50);
}
inline float event_at(std::int64_t step) { return step % 5 == 0 ? static_cast<float>(step / 5 % 3) : -1.0F; }
inline float snap_at(std::int64_t state, std::int64_t step) { return static_cast<float>((state + step) % 2); }
inline float stock_at(std::int64_t series, std::int64_t step) {
  return static_cast<float>(series + step * 2);
}
inline float cut_at(std::int64_t series, std::int64_t step) { return (series + step) % 4 == 0 ? 1.0F : 0.0F; }

struct SmallCorpus {
  std::int64_t series = 10, steps = 60;
  LayoutOptions layout{8, 4, 2048, 0};
  std::int64_t rows_per_append = 3;
  float poison = 0.0F;            // replaces every number from `poison_from` on
  std::int64_t poison_from = -1;  // -1: nowhere
  std::int64_t late_from = -1;    // this and later series begin at `late_at`; -1: none
  std::int64_t late_at = 0;
};

// price (known, per series), event (known, all, categorical), snap (known, per state), stock (past), cut
// (past, 1 where sales were cut); statics store, state and size. Series i is in store i % 4, state i % 4 / 2
// (series 3: no state).
inline CorpusInfo small_info(const SmallCorpus& shape) {
  CorpusInfo info;
  info.name = "small";
  info.axis = {*parse_date("2023-11-20"), Frequency::daily};
  info.steps = shape.steps;
  info.covariates = {{"price", Role::known, Kind::numeric, "series", {}},
                     {"event", Role::known, Kind::categorical, "all", {"Ostern", "中秋节", "Christmas"}},
                     {"snap", Role::known, Kind::numeric, "state", {}},
                     {"stock", Role::past, Kind::numeric, "series", {}},
                     {"cut", Role::past, Kind::numeric, "series", {}}};
  info.statics = {{"store", Kind::categorical, {"S0", "S1", "S2", "S3"}},
                  {"state", Kind::categorical, {"CA", "TX"}},
                  {"size", Kind::numeric, {}}};
  info.store_level = "store";
  return info;
}

inline SeriesTable small_table(const SmallCorpus& shape) {
  SeriesTable table;
  table.codes.resize(3);
  table.values.resize(3);
  for (std::int64_t i = 0; i < shape.series; ++i) {
    table.names.push_back("série " + std::to_string(i) + " 苹果");
    table.codes[0].push_back(static_cast<std::int32_t>(i % 4));
    table.codes[1].push_back(i == 3 ? -1 : static_cast<std::int32_t>(i % 4 / 2));
    table.values[2].push_back(static_cast<float>(i) * 0.5F);
  }
  return table;
}

inline void write_small(CorpusWriter& writer, const SmallCorpus& shape) {
  const auto cell = [&](float value, std::int64_t step) {
    return shape.poison_from >= 0 && step >= shape.poison_from ? shape.poison : value;
  };
  std::vector<float> event, snap;
  for (std::int64_t t = 0; t < shape.steps; ++t) event.push_back(event_at(t));
  for (std::int64_t state = 0; state < 2; ++state)
    for (std::int64_t t = 0; t < shape.steps; ++t) snap.push_back(cell(snap_at(state, t), t));
  writer.write_shared(1, event);
  writer.write_shared(2, snap);
  for (std::int64_t first = 0; first < shape.series; first += shape.rows_per_append) {
    const std::int64_t rows = std::min(shape.rows_per_append, shape.series - first);
    std::vector<float> demand;
    std::vector<std::vector<float>> columns(3);
    for (std::int64_t i = first; i < first + rows; ++i)
      for (std::int64_t t = 0; t < shape.steps; ++t) {
        const bool begun = shape.late_from < 0 || i < shape.late_from || t >= shape.late_at;
        demand.push_back(begun ? cell(demand_at(i, t), t) : kNaN);
        columns[0].push_back(cell(price_at(i, t), t));
        columns[1].push_back(cell(stock_at(i, t), t));
        columns[2].push_back(cell(cut_at(i, t), t));
      }
    writer.append(rows, demand, columns);
  }
}

inline void make_small(const std::filesystem::path& path, const SmallCorpus& shape = {}) {
  CorpusWriter writer(path, small_info(shape), small_table(shape), shape.layout);
  write_small(writer, shape);
  writer.finish();
}

// Expects an Error whose message holds every one of `words`.
template <typename Function>
void expect_error(ErrorKind kind, const std::vector<std::string>& words, Function function) {
  try {
    function();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(to_string(error.kind()), to_string(kind)) << error.what();
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what() << " lacks " << word;
  }
}

inline bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }
inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) { return same(x, y); });
}

}  // namespace shelfcast::data::testing
