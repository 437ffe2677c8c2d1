#include "data/batch.h"

#include <cmath>

#include "data/calendar.h"
#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using namespace testing;

constexpr std::int64_t kContext = 8, kHorizon = 3;

DataConfig config() {
  DataConfig config;
  config.corpus = "small.corpus";
  config.context = kContext;
  config.horizon = kHorizon;
  config.known = {"event", "price", "snap"};
  config.past = {"stock"};
  config.calendar = {"monthday", "yearday"};
  config.statics = {"state", "store"};
  return config;
}

class BatchTest : public ::testing::Test {
 protected:
  BatchTest() : path_(folder_.path() / "small.corpus") { make_small(path_); }

  Batch assemble(const DataConfig& config, Window window, std::int64_t first = 0, std::int64_t steps = 60) {
    const Corpus corpus(path_);
    spec_ = make_features(config, corpus, 40);
    const WindowAssembler assembler = make_assembler(spec_, corpus);
    std::vector<std::size_t> columns;
    for (const std::string& name : assembler.columns())
      columns.push_back(corpus.info().covariate_index(name));
    PanelBlock block;
    corpus.read(0, 10, first, steps, columns, block);
    Batch batch;
    batch.resize(spec_, 3);
    assembler.assemble(block, window, 77, 1, batch);
    return batch;
  }
  const std::filesystem::path& path() const { return path_; }

  FeatureSpec spec_;

 private:
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

float scaled(const Scaler& scaler, float value) { return (value - scaler.mean) / scaler.std; }

TEST_F(BatchTest, closed_steps_of_the_history_are_not_observed_and_targets_stay) {
  DataConfig with_open = config();
  with_open.open = "snap";  // of the series' state, 0 on every other day
  const Window window{6, 20};
  const Batch plain = assemble(config(), window), batch = assemble(with_open, window);
  for (std::int64_t t = 0; t < kContext; ++t) {
    const auto cell = static_cast<std::size_t>(kContext + t);  // of row 1
    const bool open = snap_at(1, 20 - kContext + t) == 1.0F;
    EXPECT_EQ(std::isnan(batch.context_bt[cell]), !open) << t;
    if (open) {
      EXPECT_EQ(batch.context_bt[cell], plain.context_bt[cell]) << t;
    }
  }
  EXPECT_EQ(std::vector(batch.target_bh.begin() + kHorizon, batch.target_bh.begin() + 2 * kHorizon),
            std::vector(plain.target_bh.begin() + kHorizon, plain.target_bh.begin() + 2 * kHorizon));
}

TEST_F(BatchTest, a_window_holds_what_the_corpus_holds) {
  const std::int64_t s = 6, origin = 20;
  const Batch batch = assemble(config(), {s, origin});
  EXPECT_EQ(batch.window_b[1].series, s);
  EXPECT_EQ(batch.sample_b[1], 77);
  EXPECT_EQ(batch.weight_b, (std::vector<float>{0, 1, 0}));
  const std::int64_t u = kContext + kHorizon;
  double centre = 0;
  for (std::int64_t i = 0; i < kContext; ++i)
    centre += std::log(price_at(s, origin - kContext + i)) / kContext;
  for (std::int64_t i = 0; i < u; ++i) {
    const std::int64_t step = origin - kContext + i;
    const auto known = [&](std::size_t n) {
      return batch.known_bnu[(1 * 4 + n) * 11 + static_cast<std::size_t>(i)];
    };
    const auto code = [&](std::size_t n) {
      return batch.known_codes_bcu[(1 * 2 + n) * 11 + static_cast<std::size_t>(i)];
    };
    if (i < kContext) {
      ASSERT_EQ(batch.context_bt[static_cast<std::size_t>(kContext + i)], demand_at(s, step));
      ASSERT_NEAR(batch.past_bnt[static_cast<std::size_t>(kContext + i)],
                  scaled(spec_.past_numeric[0].scaler, stock_at(s, step)), 1e-5);
    } else {
      ASSERT_EQ(batch.target_bh[static_cast<std::size_t>(kHorizon + i - kContext)], demand_at(s, step));
    }
    ASSERT_NEAR(known(0), (std::log(price_at(s, step)) - centre) / spec_.known_numeric[0].scaler.std, 1e-4);
    ASSERT_NEAR(known(1), scaled(spec_.known_numeric[1].scaler, snap_at(s % 4 / 2, step)), 1e-5);
    const Date date = *parse_date("2023-11-20") + std::chrono::days{step};
    ASSERT_EQ(known(2), calendar_value("calendar.yearday_sin", date));
    ASSERT_EQ(code(0), static_cast<std::int32_t>(event_at(step)) + 1);
    ASSERT_EQ(code(1), static_cast<std::int32_t>(calendar_value("calendar.monthday", date)));
  }
  EXPECT_EQ(batch.statics_bs[2], 2);  // TX
  EXPECT_EQ(batch.statics_bs[3], 3);  // S2
}

TEST_F(BatchTest, a_short_context_is_padded_on_the_left_and_a_late_target_on_the_right) {
  const Batch early = assemble(config(), {2, 3});
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isnan(early.context_bt[8 + i])) << i;
  for (std::size_t i = 5; i < 8; ++i)
    EXPECT_EQ(early.context_bt[8 + i], demand_at(2, static_cast<std::int64_t>(i) - 5));
  EXPECT_TRUE(std::isnan(early.past_bnt[8]));
  EXPECT_TRUE(std::isnan(early.known_bnu[4 * 11]));  // no price before the corpus
  EXPECT_NE(early.known_codes_bcu[3 * 11], 0);       // but a calendar
  const Batch late = assemble(config(), {2, 59});
  EXPECT_EQ(late.target_bh[3], demand_at(2, 59));
  EXPECT_TRUE(std::isnan(late.target_bh[4]) && std::isnan(late.target_bh[5]));
}

TEST_F(BatchTest, nothing_at_or_after_the_origin_reaches_context_or_past) {
  DataConfig with_cut = config();
  with_cut.censored = "cut";
  for (const std::int64_t origin : {0, 5, 20}) {
    const Batch whole = assemble(with_cut, {4, origin});
    const Batch cut = assemble(with_cut, {4, origin}, 0, origin);  // the block ends where the forecast begins
    for (std::size_t i = 0; i < whole.context_bt.size(); ++i)
      ASSERT_TRUE(same(whole.context_bt[i], cut.context_bt[i])) << origin << " " << i;
    EXPECT_TRUE(same(whole.past_bnt, cut.past_bnt));
    for (std::size_t i = 3; i < 6; ++i) EXPECT_TRUE(std::isnan(cut.target_bh[i]));
  }
}

TEST_F(BatchTest, censored_steps_are_not_observed_in_context_and_target) {
  DataConfig with_cut = config();
  with_cut.censored = "cut";
  const std::int64_t s = 5, origin = 30;
  const Batch batch = assemble(with_cut, {s, origin});
  for (std::int64_t i = 0; i < kContext + kHorizon; ++i) {
    const std::int64_t step = origin - kContext + i;
    const float value = i < kContext ? batch.context_bt[static_cast<std::size_t>(kContext + i)]
                                     : batch.target_bh[static_cast<std::size_t>(kHorizon + i - kContext)];
    EXPECT_TRUE(same(value, cut_at(s, step) == 1.0F ? kNaN : demand_at(s, step))) << i;
    if (i < kContext) continue;
    EXPECT_TRUE(same(batch.bound_bh[static_cast<std::size_t>(kHorizon + i - kContext)],
                     cut_at(s, step) == 1.0F ? demand_at(s, step) : kNaN))
        << i;
  }
}

TEST_F(BatchTest, stock_on_hand_is_there_as_it_is_over_context_and_horizon) {
  DataConfig with_stock = config();
  with_stock.past = {};
  with_stock.inventory = "stock";
  const Batch batch = assemble(with_stock, {6, 5});
  ASSERT_EQ(batch.inventory_bu.size(), 33U);
  for (std::int64_t i = 0; i < 11; ++i) {
    const std::int64_t step = 5 - kContext + i;
    EXPECT_TRUE(
        same(batch.inventory_bu[static_cast<std::size_t>(11 + i)], step < 0 ? kNaN : stock_at(6, step)))
        << i;
    EXPECT_TRUE(std::isnan(batch.inventory_bu[static_cast<std::size_t>(i)]));  // a padding row
  }
  EXPECT_TRUE(assemble(config(), {6, 5}).inventory_bu.empty());
  with_stock.inventory = "event";
  EXPECT_THROW(assemble(with_stock, {6, 5}), Error);
  with_stock.inventory = "price";
  EXPECT_THROW(assemble(with_stock, {6, 5}), Error);
}

TEST_F(BatchTest, a_series_without_the_level_of_a_covariate_misses_it) {
  const Batch batch = assemble(config(), {3, 20});  // series 3 has no state
  for (std::size_t i = 0; i < 11; ++i) EXPECT_TRUE(std::isnan(batch.known_bnu[(4 + 1) * 11 + i]));
  EXPECT_EQ(batch.statics_bs[2], 0);
}

TEST_F(BatchTest, a_fact_that_is_a_number_comes_scaled_with_a_flag_for_missing) {
  DataConfig numbers = config();
  numbers.statics = {"size", "store"};
  const Batch batch = assemble(numbers, {6, 20});  // sizes 0, 0.5, ... 4.5; row 1 of two, row 0 is padding
  EXPECT_NEAR(batch.static_numbers_bn[2], (3.0 - 2.25) / std::sqrt(99.0 / 48.0), 1e-6);
  EXPECT_EQ(batch.static_numbers_bn[3], 0.0F);
  EXPECT_EQ(batch.static_numbers_bn[0], 0.0F);
  EXPECT_EQ(batch.static_numbers_bn[1], 0.0F);
  EXPECT_EQ(batch.statics_bs[1], 3);  // S2
}

TEST_F(BatchTest, words_of_another_corpus_find_their_codes_by_name) {
  const Corpus corpus(path());
  FeatureSpec spec = make_features(config(), corpus, 40);
  spec.known_categorical[0].vocabulary = {"Christmas", "Ostern"};
  spec.statics[1].vocabulary = {"S3", "new"};
  const WindowAssembler assembler = make_assembler(spec, corpus);
  std::vector<std::size_t> columns;
  for (const std::string& name : assembler.columns()) columns.push_back(corpus.info().covariate_index(name));
  PanelBlock block;
  corpus.read(0, 10, 0, 60, columns, block);
  Batch batch;
  batch.resize(spec, 2);
  assembler.assemble(block, {7, 20}, 0, 0, batch);
  assembler.assemble(block, {6, 20}, 1, 1, batch);
  const std::int32_t expected[3] = {2, 0, 1};  // Ostern, 中秋节 (unknown), Christmas
  for (std::int64_t i = 0; i < 11; ++i) {
    const float event = event_at(12 + i);
    EXPECT_EQ(batch.known_codes_bcu[static_cast<std::size_t>(i)],
              event < 0 ? 0 : expected[static_cast<int>(event)]);
  }
  EXPECT_EQ(batch.statics_bs[1], 1);
  EXPECT_EQ(batch.statics_bs[3], 0);
}

TEST_F(BatchTest, padding_a_used_row_leaves_no_trace) {
  Batch batch = assemble(config(), {6, 20});
  batch.pad(spec_, 1);
  Batch fresh;
  fresh.resize(spec_, 3);
  EXPECT_EQ(batch.weight_b, fresh.weight_b);
  EXPECT_TRUE(same(batch.known_bnu, fresh.known_bnu));
  EXPECT_EQ(batch.known_codes_bcu, fresh.known_codes_bcu);
  EXPECT_EQ(batch.statics_bs, fresh.statics_bs);
  EXPECT_EQ(batch.window_b[1].series, -1);
  for (const float value : batch.context_bt) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace shelfcast::data
