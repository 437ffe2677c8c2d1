#include "data/synth/products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/synth/market.h"

namespace shelfcast::data {
namespace {

// After the table of well-formed byte sequences in the Unicode standard (table 3-7).
bool is_utf8(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) {
      return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U;
    };
    const unsigned first = byte(i);
    const std::size_t length = first < 0x80                    ? 1
                               : first >= 0xC2 && first < 0xE0 ? 2
                               : first >= 0xE0 && first < 0xF0 ? 3
                               : first >= 0xF0 && first < 0xF5 ? 4
                                                               : 0;
    if (length == 0) return false;
    for (std::size_t k = 1; k < length; ++k)
      if ((byte(i + k) & 0xC0U) != 0x80U) return false;
    if ((first == 0xE0 && byte(i + 1) < 0xA0) || (first == 0xED && byte(i + 1) >= 0xA0)) return false;
    i += length;
  }
  return true;
}

TEST(Products, texts_are_utf8_in_three_languages_and_hold_exactly_the_items_words) {
  std::array<int, 3> languages{};
  for (std::int64_t i = 0; i < 600; ++i) {
    const Item item = make_item(5, i);
    const std::string text = describe(5, item);
    ASSERT_TRUE(is_utf8(text)) << text;
    ++languages[static_cast<std::size_t>(item.language)];
    for (std::size_t c = 0; c < concepts().size(); ++c) {
      const bool has =
          std::find(item.words.begin(), item.words.end(), static_cast<int>(c)) != item.words.end();
      for (std::size_t language = 0; language < 3; ++language) {
        const bool written = text.find(concepts()[c].words[language]) != std::string::npos;
        ASSERT_EQ(written, has && static_cast<int>(language) == item.language) << text;
      }
    }
  }
  for (const int count : languages) EXPECT_GT(count, 100);
}

TEST(Products, the_word_of_an_items_range_tells_how_fast_it_sells) {
  const std::vector<std::string> ranges = {"connoisseur", "specialty", "select", "classic", "daily", "value"};
  double within = 0, all = 0, sum = 0;
  std::vector<std::vector<double>> rates(ranges.size());
  for (std::int64_t i = 0; i < 3000; ++i) {
    const Item item = make_item(5, i);
    if (item.language != 0) continue;
    const std::string text = describe(5, item);
    std::size_t found = ranges.size();
    for (std::size_t r = 0; r < ranges.size(); ++r)
      if (text.find(" " + ranges[r] + " ") != std::string::npos) found = r;
    ASSERT_LT(found, ranges.size()) << text;
    rates[found].push_back(std::log(item.rate / item.word_factor));
    sum += rates[found].back();
  }
  double n = 0, last = -100;
  for (const std::vector<double>& of_range : rates) n += static_cast<double>(of_range.size());
  for (const std::vector<double>& of_range : rates) {
    ASSERT_GT(of_range.size(), 20U);
    double mean = 0;
    for (const double rate : of_range) mean += rate / static_cast<double>(of_range.size());
    EXPECT_GT(mean, last);
    last = mean;
    for (const double rate : of_range) {
      within += (rate - mean) * (rate - mean);
      all += (rate - sum / n) * (rate - sum / n);
    }
  }
  EXPECT_LT(within, 0.1 * all);  // of the variance of log rates
}

TEST(Products, words_multiply_expected_demand_by_their_factor) {
  MarketConfig config;
  config.stores = 1;
  config.items = 12000;
  config.days = 28;
  config.future = 0;
  const Market market(config);
  struct Group {
    double n = 0, sum = 0, squares = 0;
    double mean() const { return sum / n; }
    double variance() const { return squares / n - mean() * mean(); }
  };
  std::vector<std::array<Group, 2>> groups(concepts().size());
  MarketBlock block;
  for (std::int64_t first = 0; first < config.items; first += 400) {
    market.generate(0, first, 400, block);
    for (std::int64_t row = 0; row < 400; ++row) {
      double sum = 0;
      const Item item = make_item(config.seed, first + row);
      if (item.launch > 0) continue;
      for (std::int64_t t = 0; t < 12; ++t)
        sum += block.expected[static_cast<std::size_t>(row * config.steps() + t)];
      for (std::size_t c = 0; c < concepts().size(); ++c) {
        const bool has =
            std::find(item.words.begin(), item.words.end(), static_cast<int>(c)) != item.words.end();
        Group& group = groups[c][has ? 1 : 0];
        group.n += 1, group.sum += std::log(sum), group.squares += std::log(sum) * std::log(sum);
      }
    }
  }
  for (std::size_t c = 0; c < groups.size(); ++c) {
    const auto& [without, with] = groups[c];
    const double error = std::sqrt(with.variance() / with.n + without.variance() / without.n);
    EXPECT_NEAR(with.mean() - without.mean(), std::log(concepts()[c].factor), 3.5 * error)
        << concepts()[c].words[0];
    EXPECT_LT(error, 0.06);
    EXPECT_NEAR(with.n / (with.n + without.n), concepts()[c].share, 0.02);
  }
}

TEST(Products, names_are_unique_and_partners_agree) {
  std::set<std::string> items, stores;
  for (std::int64_t i = 0; i < 400; ++i) {
    const Item item = make_item(9, i), partner = make_item(9, partner_of(i));
    items.insert(item.name);
    EXPECT_EQ(item.partnership, partner.partnership);
    EXPECT_EQ(item.category, partner.category);
    EXPECT_EQ(partner_of(partner_of(i)), i);
    EXPECT_LT(item.elasticity, 0.0);
    EXPECT_GT(item.uplift, 1.0);
  }
  for (std::int64_t s = 0; s < 150; ++s) stores.insert(make_store(9, s).name);
  EXPECT_EQ(items.size(), 400U);
  EXPECT_EQ(stores.size(), 150U);
}

}  // namespace
}  // namespace shelfcast::data
