// New items: forecasts from facts, texts and what another series knows ahead, against inputs put together by
// hand.
#include "scorer/new_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "scorer/text_encoder.h"
#include "tests/scorer/random_bundle.h"
#include "tests/support/paths.h"

namespace shelfcast::scorer::testing {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kTexts = {"crème brûlée, 4 × 100 g", "red paper lantern"};

std::vector<float> encoded(const std::vector<std::string>& texts) {
  return TextEncoder(shelfcast::testing::golden_dir() / "bert/uncased", small_config(), ops_for(best_isa()))
      .encode(texts, 1);
}

class NewItemsTest : public ::testing::Test {
 protected:
  NewItems read(const std::string& csv) const {
    write_file_atomically(made_.scratch() / "new.csv", csv);
    return {made_.scratch() / "new.csv", bundle_, 2};
  }
  std::string refusal(const std::string& csv) const {
    try {
      read(csv);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  const ModelConfig& config() const { return bundle_.model().config(); }

  const RandomBundle made_;
  const Bundle bundle_{made_.folder()};
};

// One window by hand: nothing sold yet, past columns missing.
struct ByHand {
  explicit ByHand(const ModelConfig& config)
      : context(static_cast<std::size_t>(config.context), std::numeric_limits<float>::quiet_NaN()),
        past(context.size(), 0.0F),
        past_codes(context.size(), 0),
        known(2, std::vector<float>(static_cast<std::size_t>(config.context + config.horizon), 0.0F)),
        known_codes(2, std::vector<std::int32_t>(known[0].size(), 0)) {}
  void take(const RandomInputs& inputs, std::int64_t series, int column, bool codes) {
    if (codes)
      std::copy_n(inputs.view.known_codes[column].row(series), known[0].size(), known_codes[column].begin());
    else
      std::copy_n(inputs.view.known[column].row(series), known[0].size(), known[column].begin());
  }
  ModelInputs inputs() const {
    ModelInputs inputs;
    inputs.series = 1;
    inputs.context = {context.data(), 0};
    inputs.past = {{past.data(), 0}};
    inputs.past_codes = {{past_codes.data(), 0}};
    inputs.known = {{known[0].data(), 0}, {known[1].data(), 0}};
    inputs.known_codes = {{known_codes[0].data(), 0}, {known_codes[1].data(), 0}};
    inputs.statics = {statics.data(), 0};
    inputs.static_numbers = {static_numbers.data(), 0};
    inputs.texts = text.empty() ? 0 : 1;
    inputs.text = {text.data(), 0};
    inputs.text_row = {&text_row, 0};
    return inputs;
  }
  std::vector<float> context, past;
  std::vector<std::int32_t> past_codes;
  std::vector<std::vector<float>> known;
  std::vector<std::vector<std::int32_t>> known_codes;
  std::vector<std::int32_t> statics;
  std::vector<float> static_numbers = {0, 1, 0, 1};  // both missing
  std::vector<float> text;
  std::int32_t text_row = -1;
};

TEST_F(NewItemsTest, are_forecast_from_facts_text_and_what_others_know_ahead) {
  const std::string like = made_.contents().names.series[4];
  const NewItems items = read(
      "store,item,text,like,brand,department,distance,size\n" + std::string("店B,lamp,") + kTexts[1] + "," +
      like + ",b1,d3,-1,18\n店B,plain,,,b9,,,\n市,\"nou, vel\"," + "\"" + kTexts[0] + "\",,,d0,,7.5\n");
  EXPECT_EQ(items.names().series, (std::vector<std::string>{"店B/lamp", "店B/plain", "市/nou, vel"}));
  EXPECT_EQ(items.unknown_facts(), 2);
  EXPECT_EQ(items.without_text(), 1);
  ByHand lamp(config()), plain(config()), novel(config());
  const std::vector<float> vectors = encoded(kTexts);
  lamp.statics = {4, 2};
  lamp.static_numbers = {2, 0, -0.5F, 0};
  lamp.text.assign(vectors.begin() + 32, vectors.end());
  lamp.text_row = 0;
  for (const int column : {0, 1})
    lamp.take(made_.inputs(), 4, column, false), lamp.take(made_.inputs(), 4, column, true);
  plain.statics = {0, 0};
  plain.take(made_.inputs(), 1, 1, false);  // the weather of the first series of its store
  plain.take(made_.inputs(), 0, 1, true);   // events are everybody's
  novel.statics = {1, 0};
  novel.static_numbers = {-0.625F, 0, 0, 1};
  novel.text.assign(vectors.begin(), vectors.begin() + 32);
  novel.text_row = 0;
  novel.take(made_.inputs(), 0, 1, true);
  std::int64_t done = 0;
  const Forecasts got =
      forecast(bundle_, items, {11, 3, 9, 10}, 2, [&](std::int64_t series) { done = series; });
  EXPECT_EQ(done, 4);
  const Forecasts old = forecast(bundle_.model(), bundle_.inputs(), {3}, 1);
  const std::int64_t each = got.levels * got.horizon;
  EXPECT_TRUE(
      std::equal(old.quantiles_bqh.begin(), old.quantiles_bqh.end(), got.quantiles_bqh.begin() + each));
  EXPECT_TRUE(std::equal(old.mean_bh.begin(), old.mean_bh.end(), got.mean_bh.begin() + got.horizon));
  const std::vector<std::pair<int, const ByHand*>> expected = {{0, &novel}, {2, &lamp}, {3, &plain}};
  for (const auto& [row, by_hand] : expected) {
    const Forecasts want = forecast(bundle_.model(), by_hand->inputs(), {}, 1);
    for (std::int64_t i = 0; i < each; ++i)
      EXPECT_EQ(got.quantiles_bqh[row * each + i], want.quantiles_bqh[i]) << "row " << row;
    for (std::int64_t h = 0; h < got.horizon; ++h)
      EXPECT_EQ(got.mean_bh[row * got.horizon + h], want.mean_bh[h]) << "row " << row;
  }
}

// Item 2 is sold in store A: what is known of it must not come from store B's first series, nor the weather
// of store B from item 2's.
TEST(NewItemsLevels, columns_of_a_level_come_from_a_series_with_the_same_value_of_it) {
  struct Case {
    std::string store, item, store_level, item_level;  // of the columns; what the bundle calls them
  };
  const auto same = [](const auto* a, const auto* b, std::int64_t steps) {
    return std::equal(a, a + steps, b,
                      [](auto x, auto y) { return x == y || (std::isnan(x) && std::isnan(y)); });
  };
  for (const Case& one : {Case{"shop", "sku", "shop", "sku"}, Case{"store", "item", "store", "item"},
                          Case{"store", "item", "", ""}, Case{"shop", "item", "", ""}}) {
    SCOPED_TRACE(one.store_level + " " + one.store);
    const RandomBundle made([&](BundleContents& contents) {
      contents.names.store_level = one.store_level;
      contents.names.item_level = one.item_level;
      nlohmann::json json = nlohmann::json::parse(contents.features);
      json["known_numeric"][0]["per"] = one.item;
      json["known_numeric"][1]["per"] = one.store;
      json["known_categorical"][0]["per"] = "brand";
      json["known_categorical"][1]["per"] = "series";
      contents.features = json.dump();
    });
    const Bundle bundle(made.folder());
    write_file_atomically(made.scratch() / "new.csv", "store,item,brand\n店B,item 2,b1\n市,nouvel,b9\n");
    const NewItems items(made.scratch() / "new.csv", bundle, 1);
    const ModelInputs &got = items.inputs(), &known = bundle.inputs();
    const std::int64_t steps = bundle.info().context + bundle.info().horizon;
    std::int64_t branded = 0;  // the first series of brand b1
    while (known.statics.row(branded)[1] != 2) ++branded;
    EXPECT_TRUE(same(got.known[0].row(0), known.known[0].row(2), steps));
    EXPECT_TRUE(same(got.known[1].row(0), known.known[1].row(1), steps));
    EXPECT_TRUE(same(got.known_codes[0].row(0), known.known_codes[0].row(branded), steps));
    for (std::int64_t step = 0; step < steps; ++step) {
      EXPECT_TRUE(std::isnan(got.known[0].row(1)[step]) && std::isnan(got.known[1].row(1)[step]));
      EXPECT_EQ(got.known_codes[0].row(1)[step], 0);
      EXPECT_EQ(got.known_codes[1].row(0)[step], 0);
    }
  }
}

TEST_F(NewItemsTest, names_follow_those_of_the_bundle) {
  const NewItems items = read("series\nneu\n");
  const SeriesNames names = all_names(bundle_, items);
  ASSERT_EQ(names.series.size(), 10U);
  EXPECT_EQ(names.series.back(), "neu");
  EXPECT_EQ(names.store.size(), 10U);
  EXPECT_EQ(all_names(bundle_, NewItems()).series, bundle_.names().series);
}

TEST_F(NewItemsTest, wrong_tables_are_refused_with_file_and_line) {
  const std::string known = made_.contents().names.series[0];
  EXPECT_THAT(refusal("series,colour\nneu,red\n"), HasSubstr("reads no column \"colour\""));
  EXPECT_THAT(refusal("text\nred\n"), HasSubstr("no column \"series\""));
  EXPECT_THAT(refusal("series\n"), HasSubstr("has no rows"));
  EXPECT_THAT(refusal("store,item\n店A,\n"), HasSubstr("new.csv:2: the series has no name"));
  EXPECT_THAT(refusal("series\nneu\nneu\n"), HasSubstr("new.csv:3: series \"neu\" is here a second time"));
  EXPECT_THAT(refusal("series\n" + known + "\n"), HasSubstr("is in the bundle"));
  EXPECT_THAT(refusal("series,like\nneu,店A/item 00\n"), HasSubstr("did you mean \"店A/item 0\"?"));
  EXPECT_THAT(refusal("series,series\nneu,neu\n"), HasSubstr("there twice"));
  EXPECT_THAT(refusal("series,size\nneu,large\n"), HasSubstr("new.csv:2: \"large\" is no number"));
}

TEST(NewItemsTextModel, is_needed_for_a_column_of_texts) {
  ModelConfig config = small_config();
  config.text_width = 0;
  const RandomBundle made({}, config);
  const Bundle bundle(made.folder());
  write_file_atomically(made.scratch() / "new.csv", "series,text\nneu,lamp\n");
  try {
    NewItems(made.scratch() / "new.csv", bundle, 1);
    FAIL() << "a text that nothing reads";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("reads no column \"text\""));
  }
}

TEST(NewItemsTextModel, must_compute_what_it_did_where_it_was_exported) {
  const std::vector<float> vectors = encoded(kTexts);
  for (const float change : {0.0F, 0.01F}) {
    std::vector<float> all;
    const RandomBundle made([&](BundleContents& contents) {
      all.assign(contents.text_kw.begin(), contents.text_kw.end());
      std::copy(vectors.begin(), vectors.end(), all.begin() + 64);  // rows 2 and 3
      all[100] += change;
      contents.text_kw = all;
      contents.golden_texts = kTexts;
      contents.golden_text_rows = {2, 3};
    });
    const Bundle bundle(made.folder());
    write_file_atomically(made.scratch() / "new.csv", "series,text\nneu,lamp\n");
    const auto read = [&] { return NewItems(made.scratch() / "new.csv", bundle, 1); };
    if (change == 0.0F)
      EXPECT_EQ(read().inputs().texts, 1);
    else
      EXPECT_THROW(read(), Error);
  }
}

}  // namespace
}  // namespace shelfcast::scorer::testing
