#include "data/features.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "small_corpus.h"

namespace shelfcast::data {
namespace {

using namespace testing;

DataConfig config() {
  DataConfig config;
  config.corpus = "small.corpus";
  config.context = 8;
  config.horizon = 3;
  config.known = {"event", "price", "snap"};
  config.past = {"stock"};
  config.calendar = {"weekday", "yearday"};
  config.statics = {"store", "state"};
  config.censored = "cut";
  return config;
}

class FeaturesTest : public ::testing::Test {
 protected:
  std::filesystem::path make(const SmallCorpus& shape = {}) {
    const auto path = folder_.path() / (std::to_string(made_++) + ".corpus");
    make_small(path, shape);
    return path;
  }

 private:
  TemporaryFolder folder_;
  int made_ = 0;
};

TEST_F(FeaturesTest, columns_come_in_the_order_of_the_recipe_numbers_apart_from_categories) {
  const FeatureSpec spec = make_features(config(), Corpus(make()), 40);
  ASSERT_EQ(spec.known_numeric.size(), 4u);
  EXPECT_EQ(spec.known_numeric[0].name, "price");
  EXPECT_EQ(spec.known_numeric[1].name, "snap");
  EXPECT_EQ(spec.known_numeric[1].per, "state");
  EXPECT_EQ(spec.known_numeric[3].name, "calendar.yearday_cos");
  EXPECT_EQ(spec.known_numeric[3].scaler.kind, Scaler::Kind::none);
  ASSERT_EQ(spec.known_categorical.size(), 2u);
  EXPECT_EQ(spec.known_categorical[0].name, "event");
  EXPECT_EQ(spec.known_categorical[1].name, "calendar.weekday");
  ASSERT_EQ(spec.past_numeric.size(), 1u);
  EXPECT_EQ(spec.statics[1].vocabulary, (std::vector<std::string>{"CA", "TX"}));
}

// Else a forecast for a store in Texas would read a row of weights that no series has trained.
TEST_F(FeaturesTest, facts_that_no_series_has_are_not_in_the_vocabulary) {
  SmallCorpus shape;
  shape.series = 2;
  const FeatureSpec spec = make_features(config(), Corpus(make(shape)), 40);
  EXPECT_EQ(spec.statics[0].vocabulary, (std::vector<std::string>{"S0", "S1"}));
  EXPECT_EQ(spec.statics[1].vocabulary, (std::vector<std::string>{"CA"}));
}

TEST_F(FeaturesTest, facts_of_series_that_begin_after_the_cut_off_are_not_in_the_vocabulary) {
  SmallCorpus shape;
  shape.series = 4;
  shape.late_from = 2;
  shape.late_at = 40;
  const Corpus corpus(make(shape));
  const FeatureSpec before = make_features(config(), corpus, 40);
  EXPECT_EQ(before.statics[0].vocabulary, (std::vector<std::string>{"S0", "S1"}));
  EXPECT_EQ(before.statics[1].vocabulary, (std::vector<std::string>{"CA"}));
  EXPECT_EQ(make_features(config(), corpus, 41).statics[0].vocabulary.size(), 4U);
}

TEST_F(FeaturesTest, scalers_are_the_moments_before_the_cut_off) {
  const std::int64_t end = 37;
  const FeatureSpec spec = make_features(config(), Corpus(make()), end);
  // Straight from the formulas in features.h.
  double price_squares = 0, price_mean = 0, stock_mean = 0, stock_squares = 0, snap_mean = 0;
  for (int i = 0; i < 10; ++i) {
    double own = 0;
    for (int t = 0; t < end; ++t) own += std::log(price_at(i, t)) / end;
    for (int t = 0; t < end; ++t) {
      price_squares += std::pow(std::log(price_at(i, t)) - own, 2);
      stock_mean += stock_at(i, t) / (10.0 * end);
    }
    price_mean += own / 10;
  }
  for (int i = 0; i < 10; ++i)
    for (int t = 0; t < end; ++t) stock_squares += std::pow(stock_at(i, t) - stock_mean, 2);
  for (int state = 0; state < 2; ++state)
    for (int t = 0; t < end; ++t)
      snap_mean += snap_at(state, t) / (2.0 * end);  // states count once, not per series
  const Scaler price = spec.known_numeric[0].scaler, snap = spec.known_numeric[1].scaler;
  EXPECT_EQ(price.kind, Scaler::Kind::log_ratio);
  EXPECT_NEAR(price.std, std::sqrt(price_squares / (10 * end)), 1e-5);
  EXPECT_NEAR(price.mean, price_mean, 1e-5);
  EXPECT_EQ(snap.kind, Scaler::Kind::standard);
  EXPECT_NEAR(snap.mean, snap_mean, 1e-6);
  const Scaler stock = spec.past_numeric[0].scaler;  // zero is not positive, so no logarithm
  EXPECT_EQ(stock.kind, Scaler::Kind::standard);
  EXPECT_NEAR(stock.mean, stock_mean, 1e-4);
  EXPECT_NEAR(stock.std, std::sqrt(stock_squares / (10 * end)), 1e-3);
}

TEST_F(FeaturesTest, a_poisoned_future_changes_nothing) {
  for (const float poison : {1e9F, -1.0F, kNaN}) {
    SmallCorpus poisoned;
    poisoned.poison = poison;
    poisoned.poison_from = 40;
    const Corpus clean(make()), other(make(poisoned));
    EXPECT_EQ(to_json(make_features(config(), clean, 40)), to_json(make_features(config(), other, 40)))
        << poison;
  }
  SmallCorpus poisoned;
  poisoned.poison = 0.5F;     // a value that flags may have
  poisoned.poison_from = 39;  // one step earlier: now it is seen, so the test would notice
  EXPECT_NE(to_json(make_features(config(), Corpus(make()), 40)),
            to_json(make_features(config(), Corpus(make(poisoned)), 40)));
}

TEST_F(FeaturesTest, vocabularies_hold_only_what_was_seen_before_the_cut_off) {
  // Event codes 0, 1, 2 first stand on steps 0, 5 and 10.
  const Corpus corpus(make());
  EXPECT_EQ(make_features(config(), corpus, 5).known_categorical[0].vocabulary,
            std::vector<std::string>{"Ostern"});
  EXPECT_EQ(make_features(config(), corpus, 11).known_categorical[0].vocabulary.size(), 3u);
}

TEST_F(FeaturesTest, facts_that_are_numbers_stand_apart_and_are_standardised_over_the_series) {
  DataConfig numbers = config();
  numbers.statics = {"store", "size", "state"};
  const FeatureSpec spec = make_features(numbers, Corpus(make()), 40);
  ASSERT_EQ(spec.statics.size(), 2u);
  EXPECT_EQ(spec.statics[1].name, "state");
  ASSERT_EQ(spec.static_numbers.size(), 1u);
  const NumericStatic& size = spec.static_numbers[0];
  // 0, 0.5, ... 4.5: mean 2.25, variance (10^2 - 1) / 12 / 4.
  EXPECT_EQ(size.name, "size");
  EXPECT_FLOAT_EQ(size.mean, 2.25F);
  EXPECT_FLOAT_EQ(size.std, std::sqrt(99.0F / 48.0F));
  EXPECT_FLOAT_EQ(size.model_numbers(2.25F + size.std)[0], 1.0F);
  EXPECT_EQ(size.model_numbers(2.25F + size.std)[1], 0.0F);
  EXPECT_EQ(size.model_numbers(std::numeric_limits<float>::quiet_NaN()), (std::array<float, 2>{0.0F, 1.0F}));
  const FeatureSpec again = feature_spec_from_json(nlohmann::json::parse(to_json(spec).dump()));
  EXPECT_EQ(again.static_numbers[0].name, "size");
  EXPECT_EQ(again.static_numbers[0].std, size.std);
  nlohmann::json old = to_json(spec);
  old.erase("static_numbers");
  EXPECT_TRUE(feature_spec_from_json(old).static_numbers.empty());
}

TEST_F(FeaturesTest, refuses_leaks_and_names_that_are_not_there) {
  const Corpus corpus(make());
  const auto refuses = [&](const std::vector<std::string>& words, auto change) {
    DataConfig changed = config();
    change(changed);
    expect_error(ErrorKind::input, words, [&] { make_features(changed, corpus, 40); });
  };
  refuses({"data.known", "stock", "leak", "data.past"}, [](DataConfig& c) { c.known = {"stock"}; });
  refuses({"data.known", "pric", "did you mean \"price\""}, [](DataConfig& c) { c.known = {"pric"}; });
  refuses({"data.past", "stok", "stock"}, [](DataConfig& c) { c.past = {"stok"}; });
  refuses({"data.static", "stores", "did you mean \"store\"?"},
          [](DataConfig& c) { c.statics = {"stores"}; });
  refuses({"data.censored", "event", "categorical"}, [](DataConfig& c) { c.censored = "event"; });
  refuses({"data.open", "stock", "not in data.known"}, [](DataConfig& c) { c.open = "stock"; });
  refuses({"data.open", "event", "categorical"}, [](DataConfig& c) { c.open = "event"; });
  refuses({"data.censored", "stock", "holds ", "0 and 1"}, [](DataConfig& c) { c.censored = "stock"; });
  refuses({"data.open", "price", "holds 1.", "0 and 1"}, [](DataConfig& c) { c.open = "price"; });
  expect_error(ErrorKind::input, {"nothing to train on"}, [&] { make_features(config(), corpus, 0); });
}

TEST_F(FeaturesTest, what_says_that_a_store_is_closed_is_minus_1_there) {
  DataConfig with_open = config();
  with_open.open = "snap";
  const Corpus corpus(make());
  const FeatureSpec spec = make_features(with_open, corpus, 40);
  const auto scaler_of = [](const FeatureSpec& features) {
    for (const FeatureColumn& column : features.known_numeric)
      if (column.name == "snap") return column.scaler;
    return Scaler{Scaler::Kind::log_ratio, 7.0F, 7.0F};
  };
  EXPECT_NE(scaler_of(make_features(config(), corpus, 40)).mean, 1.0F);
  EXPECT_EQ(scaler_of(spec).kind, Scaler::Kind::standard);
  EXPECT_EQ(scaler_of(spec).mean, 1.0F);
  EXPECT_EQ(scaler_of(spec).std, 1.0F);
  nlohmann::json json = to_json(spec);
  EXPECT_EQ(feature_spec_from_json(json).open, "snap");
  json.erase("open");
  EXPECT_EQ(feature_spec_from_json(json).open, "");
}

TEST_F(FeaturesTest, survives_json) {
  const FeatureSpec spec = make_features(config(), Corpus(make()), 40);
  const nlohmann::json once = to_json(spec);
  const FeatureSpec again = feature_spec_from_json(nlohmann::json::parse(once.dump()));
  EXPECT_EQ(to_json(again), once);
  EXPECT_EQ(again.known_numeric[0].scaler.std, spec.known_numeric[0].scaler.std);  // to the bit
  EXPECT_EQ(again.known_categorical[0].vocabulary, spec.known_categorical[0].vocabulary);
  EXPECT_EQ(again.censored, "cut");
  nlohmann::json broken = once;
  broken.erase("horizon");
  expect_error(ErrorKind::data, {"damaged", "horizon"}, [&] { feature_spec_from_json(broken); });
  broken = once;
  broken["known_numeric"][0]["scaler"]["std"] = 0.0;
  expect_error(ErrorKind::data, {"price", "no spread"}, [&] { feature_spec_from_json(broken); });
}

}  // namespace
}  // namespace shelfcast::data
