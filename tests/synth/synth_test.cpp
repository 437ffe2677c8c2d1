#include "data/synth/synth.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"

namespace shelfcast::data {
namespace {

// A folder of its own for each test, gone at the end.
class Synth : public ::testing::Test {
 protected:
  Synth() : root_(std::filesystem::temp_directory_path() / fmt::format("shelfcast-synth-{}", ::getpid())) {
    std::filesystem::create_directories(root_);
  }
  ~Synth() override { std::filesystem::remove_all(root_); }

  static MarketConfig config(std::int64_t stores, std::int64_t items) {
    MarketConfig config;
    config.stores = stores;
    config.items = items;
    config.days = 120;
    return config;
  }

  std::filesystem::path root_;
};

TEST_F(Synth, a_corpus_holds_the_market_and_its_truth) {
  const MarketConfig market_config = config(3, 70);
  write_market(market_config, root_ / "a.corpus");
  const Corpus corpus(root_ / "a.corpus");
  const CorpusInfo& info = corpus.info();
  EXPECT_EQ(info.name, "a");
  EXPECT_EQ(info.steps, 148);
  EXPECT_EQ(info.demand_end, 120);
  EXPECT_EQ(info.series, 210);

  MarketBlock truth;
  Market(market_config).generate(2, 64, 6, truth);
  PanelBlock block;
  const std::vector<std::size_t> columns = {info.covariate_index("price"), info.covariate_index("stockout"),
                                            info.covariate_index("event")};
  corpus.read(2 * 70 + 64, 6, 0, 148, columns, block);
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same(block.demand, truth.sales));
  EXPECT_TRUE(same(block.columns[0].values, truth.price));
  EXPECT_TRUE(same(block.columns[1].values, truth.stockout));
  EXPECT_EQ(block.columns[2].values[100],
            static_cast<float>(event_of(market_config.start + std::chrono::days{100})));

  std::vector<float> values;
  corpus.read_truth("demand_uncensored", 2 * 70 + 64, 6, 0, 148, values);
  EXPECT_TRUE(same(values, truth.demand_uncensored));
  corpus.read_truth("expected", 2 * 70 + 64, 6, 0, 148, values);
  EXPECT_TRUE(same(values, truth.expected));
  corpus.read_truth("elasticity", 2 * 70 + 65, 1, 0, 148, values);
  for (const float value : values) EXPECT_FLOAT_EQ(value, static_cast<float>(make_item(17, 65).elasticity));
}

TEST_F(Synth, series_carry_their_store_item_and_hierarchy) {
  write_market(config(5, 50), root_ / "a.corpus");
  const Corpus corpus(root_ / "a.corpus");
  const CorpusInfo& info = corpus.info();
  const std::int64_t series = 3 * 50 + 41;
  const auto label = [&](const char* name) {
    const std::size_t index = info.static_index(name);
    return info.statics[index].vocabulary[static_cast<std::size_t>(corpus.static_codes(index)[series])];
  };
  EXPECT_EQ(label("store"), make_store(17, 3).name);
  EXPECT_EQ(label("item"), make_item(17, 41).name);
  EXPECT_EQ(label("category"), "dairy");  // item 41 is of the eleventh family, and there are ten categories
  EXPECT_EQ(label("dept"), "grocery");
  EXPECT_EQ(corpus.series_names()[series], label("store") + "/" + label("item"));
  const auto documents = corpus.documents();
  ASSERT_EQ(documents.size(), 50U);
  EXPECT_EQ(documents[41].item, label("item"));
  EXPECT_EQ(documents[41].text, describe(17, make_item(17, 41)));
}

TEST_F(Synth, what_is_known_ahead_goes_on_and_what_is_not_ends_with_demand) {
  write_market(config(2, 40), root_ / "a.corpus");
  const Corpus corpus(root_ / "a.corpus");
  PanelBlock block;
  const std::vector<std::size_t> columns = {corpus.info().covariate_index("price"),
                                            corpus.info().covariate_index("stock")};
  corpus.read(0, 80, 120, 28, columns, block);
  std::vector<float> uncensored;
  corpus.read_truth("demand_uncensored", 0, 80, 120, 28, uncensored);
  for (std::size_t i = 0; i < block.demand.size(); ++i) {
    ASSERT_TRUE(std::isnan(block.demand[i]));
    ASSERT_TRUE(std::isnan(block.columns[1].values[i]));
    ASSERT_EQ(std::isnan(block.columns[0].values[i]), std::isnan(uncensored[i]));
  }
}

TEST_F(Synth, the_same_seed_writes_the_same_bytes) {
  write_market(config(2, 20), root_ / "one" / "a.corpus");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // a time stamp in seconds would show
  write_market(config(2, 20), root_ / "two" / "a.corpus");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ / "one")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const auto relative = std::filesystem::relative(entry.path(), root_ / "one");
    EXPECT_EQ(digest_file(entry.path()), digest_file(root_ / "two" / relative)) << relative;
  }
  EXPECT_GE(files, 3U);
}

TEST_F(Synth, memory_does_not_grow_with_the_number_of_stores) {
  MarketConfig small = config(2, 128);
  small.days = 900;
  write_market(small, root_ / "small.corpus");
  const std::int64_t before = memory_use().peak_bytes;
  MarketConfig large = small;
  large.stores = 14;  // another 1,500 series: 60 MB of numbers
  write_market(large, root_ / "large.corpus");
  EXPECT_LT(memory_use().peak_bytes - before, 6'000'000);
}

TEST_F(Synth, a_folder_that_exists_is_left_alone) {
  std::filesystem::create_directories(root_ / "a.corpus");
  EXPECT_THROW(write_market(config(1, 4), root_ / "a.corpus"), Error);
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "a.corpus"));
}

}  // namespace
}  // namespace shelfcast::data
