#include "data/synth/market.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace shelfcast::data {
namespace {

MarketConfig config_of(std::int64_t stores, std::int64_t items, std::int64_t days = 900,
                       std::uint64_t seed = 17) {
  MarketConfig config;
  config.stores = stores;
  config.items = items;
  config.days = days;
  config.seed = seed;
  return config;
}

// All series of store 0 .. stores-1 in one call of `visit(store, item, block, first cell)` each.
template <typename Visit>
void for_each_series(const Market& market, Visit visit) {
  const MarketConfig& config = market.config();
  MarketBlock block;
  for (std::int64_t store = 0; store < config.stores; ++store) {
    market.generate(store, 0, config.items, block);
    for (std::int64_t item = 0; item < config.items; ++item)
      visit(store, item, block, static_cast<std::size_t>(item * config.steps()));
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b, std::size_t from = 0) {
  return from + b.size() <= a.size() && std::memcmp(a.data() + from, b.data(), b.size() * sizeof(float)) == 0;
}

TEST(Market, the_same_seed_gives_the_same_bits_and_another_seed_does_not) {
  MarketBlock one, two, other;
  Market(config_of(2, 12)).generate(1, 0, 12, one);
  Market(config_of(2, 12)).generate(1, 0, 12, two);
  Market(config_of(2, 12, 900, 18)).generate(1, 0, 12, other);
  EXPECT_TRUE(same_bits(one.sales, two.sales));
  EXPECT_TRUE(same_bits(one.stock, two.stock));
  EXPECT_TRUE(same_bits(one.expected, two.expected));
  EXPECT_FALSE(same_bits(one.sales, other.sales));
  EXPECT_FALSE(same_bits(one.price, other.price));
}

TEST(Market, a_slice_made_alone_equals_the_slice_of_the_whole) {
  const MarketConfig config = config_of(3, 30, 200);
  const Market market(config);
  MarketBlock all, slice;
  market.generate(2, 0, 30, all);
  for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{8, 12}, {28, 2}, {0, 4}}) {
    market.generate(2, first, count, slice);
    const auto from = static_cast<std::size_t>(first * config.steps());
    for (auto member : {&MarketBlock::sales, &MarketBlock::price, &MarketBlock::promotion,
                        &MarketBlock::stock, &MarketBlock::stockout, &MarketBlock::demand_uncensored,
                        &MarketBlock::expected, &MarketBlock::promo_uplift})
      EXPECT_TRUE(same_bits(all.*member, slice.*member, from)) << first;
  }
}

TEST(Market, sales_are_demand_cut_by_stock) {
  const Market market(config_of(3, 100));
  const std::int64_t days = market.config().days;
  double cut = 0, observed = 0;
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    for (std::int64_t t = 0; t < days; ++t, ++cell) {
      if (std::isnan(block.sales[cell])) continue;
      ++observed;
      cut += block.stockout[cell];
      ASSERT_GE(block.sales[cell], 0.0F);
      ASSERT_GE(block.stock[cell], 0.0F);
      ASSERT_LE(block.sales[cell], block.demand_uncensored[cell]);
      ASSERT_EQ(block.stockout[cell] == 1.0F, block.sales[cell] < block.demand_uncensored[cell]);
      ASSERT_TRUE(block.stockout[cell] == 0.0F || block.stock[cell] == 0.0F);
      ASSERT_EQ(block.sales[cell], std::round(block.sales[cell]));
    }
  });
  EXPECT_GT(cut / observed, 0.025);
  EXPECT_LT(cut / observed, 0.05);
}

TEST(Market, stock_only_changes_by_sales_and_deliveries_of_whole_packs) {
  const Market market(config_of(1, 40, 300));
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    for (std::int64_t t = 1; t < market.config().days; ++t) {
      const std::size_t now = cell + static_cast<std::size_t>(t);
      if (std::isnan(block.stock[now]) || std::isnan(block.stock[now - 1])) continue;
      const float delivered = block.stock[now] + block.sales[now] - block.stock[now - 1];
      ASSERT_GE(delivered, 0.0F);
      ASSERT_EQ(delivered, std::round(delivered));
    }
  });
}

TEST(Market, demand_is_drawn_around_its_mean) {
  const Market market(config_of(2, 200, 365));
  double wanted = 0, expected = 0;
  std::array<double, 2> low{};  // days on which little is expected, alone
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    for (std::int64_t t = 0; t < market.config().steps(); ++t, ++cell) {
      ASSERT_EQ(std::isnan(block.expected[cell]), std::isnan(block.demand_uncensored[cell]));
      if (std::isnan(block.expected[cell])) continue;
      wanted += block.demand_uncensored[cell];
      expected += block.expected[cell];
      if (block.expected[cell] >= 1.0F) continue;
      low[0] += block.demand_uncensored[cell];
      low[1] += block.expected[cell];
    }
  });
  EXPECT_NEAR(wanted / expected, 1.0, 0.01);
  EXPECT_NEAR(low[0] / low[1], 1.0, 0.02);
}

TEST(Market, sparsity_and_demand_classes_are_those_of_a_store) {
  const Market market(config_of(2, 300));
  double zeros = 0, observed = 0;
  std::array<int, 4> classes{};
  int ordinary = 0;
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    double days = 0, sold_days = 0, sum = 0, squares = 0;
    for (std::int64_t t = 0; t < market.config().days; ++t, ++cell) {
      const double sales = block.sales[cell];
      if (std::isnan(sales)) continue;
      ++days;
      if (sales == 0) continue;
      ++sold_days;
      sum += sales;
      squares += sales * sales;
    }
    zeros += days - sold_days;
    observed += days;
    ordinary += sum / days >= 0.1 && sum / days <= 50.0;
    if (sold_days < 2) return;
    // Syntetos and Boylan, 2005.
    const double interval = days / sold_days, mean = sum / sold_days;
    const double cv2 = squares / sold_days / (mean * mean) - 1.0;
    ++classes[(interval >= 1.32 ? 1U : 0U) + (cv2 >= 0.49 ? 2U : 0U)];
  });
  EXPECT_GT(zeros / observed, 0.30);
  EXPECT_LT(zeros / observed, 0.50);
  EXPECT_GE(ordinary, 570);  // 95 % of 600
  for (const int count : classes) EXPECT_GE(count, 60);
}

// Ordinary least squares of y on two columns, no intercept.
struct TwoSlopes {
  double xx = 0, xz = 0, zz = 0, xy = 0, zy = 0;
  void add(double x, double z, double y) { xx += x * x, xz += x * z, zz += z * z, xy += x * y, zy += z * y; }
  double first() const { return (xy * zz - zy * xz) / (xx * zz - xz * xz); }
  double second() const { return (zy * xx - xy * xz) / (xx * zz - xz * xz); }
};

// From what a corpus holds alone: week-on-week changes of log(expected) against flyers and log prices.
TEST(Market, uplift_and_elasticity_are_recovered_from_the_expected_demand) {
  const Market market(config_of(3, 160));
  TwoSlopes whole;
  std::vector<TwoSlopes> per_category(categories().size());
  std::vector<double> uplift(categories().size()), elasticity(categories().size());
  for_each_series(market, [&](auto store, auto index, const MarketBlock& block, std::size_t cell) {
    const Item item = make_item(17, index);
    const auto category = static_cast<std::size_t>(item.category);
    if (store == 0)
      uplift[category] += std::log(item.uplift) / 16.0, elasticity[category] += item.elasticity / 16.0;
    for (std::int64_t t = 7; t < market.config().steps(); ++t) {
      const std::size_t now = cell + static_cast<std::size_t>(t), then = now - 7;
      if (market.event(t) != Event::none || market.event(t - 7) != Event::none) continue;
      if (!(block.expected[then] > 0.0F) || !(block.expected[now] > 0.0F)) continue;
      const double change = std::log(block.expected[now] / block.expected[then]);
      const double price = std::log(block.price[now] / block.price[then]);
      whole.add(std::log(block.promo_uplift[now] / block.promo_uplift[then]), item.elasticity * price,
                change);
      const bool after_flyer = (block.promotion[now] == 0.0F && block.promo_uplift[now] != 1.0F) ||
                               (block.promotion[then] == 0.0F && block.promo_uplift[then] != 1.0F);
      if (!after_flyer)
        per_category[category].add(block.promotion[now] - block.promotion[then], price, change);
    }
  });
  EXPECT_NEAR(whole.first(), 1.0, 0.03);
  EXPECT_NEAR(whole.second(), 1.0, 0.05);
  for (std::size_t c = 0; c < per_category.size(); ++c) {
    EXPECT_NEAR(per_category[c].first(), uplift[c], 0.12) << categories()[c].name;
    EXPECT_NEAR(per_category[c].second(), elasticity[c], 0.3) << categories()[c].name;
  }
}

TEST(Market, a_flyer_lifts_demand_and_the_week_after_is_weaker) {
  const Market market(config_of(1, 80));
  for_each_series(market, [&](auto, auto index, const MarketBlock& block, std::size_t cell) {
    const Item item = make_item(17, index);
    for (std::int64_t t = 1; t < market.config().steps(); ++t) {
      const std::size_t now = cell + static_cast<std::size_t>(t);
      if (std::isnan(block.promo_uplift[now]) || std::isnan(block.promo_uplift[now - 1])) continue;
      if (block.promotion[now] == 1.0F) {
        ASSERT_FLOAT_EQ(block.promo_uplift[now], static_cast<float>(item.uplift));
        ASSERT_GT(block.promo_uplift[now], 1.0F);
      } else if (block.promotion[now - 1] == 1.0F) {
        ASSERT_NEAR(block.promo_uplift[now], 1.0 - item.dip, 1e-6);
      } else {
        ASSERT_LE(block.promo_uplift[now], 1.0F);
      }
    }
  });
}

TEST(Market, prices_hold_for_weeks_and_are_positive) {
  const Market market(config_of(1, 40));
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    int changes = 0;
    for (std::int64_t t = 1; t < market.config().steps(); ++t) {
      const float before = block.price[cell + static_cast<std::size_t>(t) - 1],
                  now = block.price[cell + static_cast<std::size_t>(t)];
      if (std::isnan(before) || std::isnan(now)) continue;
      ASSERT_GT(now, 0.0F);
      if (now == before) continue;
      ++changes;
      const Date date = market.axis().date_of(t);
      ASSERT_EQ(std::chrono::weekday{date}, std::chrono::Thursday);
    }
    EXPECT_LT(changes, 928 / 7);
  });
}

// An item whose substitute stands empty from the morning on is wanted more, one whose complement does is
// wanted less.
TEST(Market, an_empty_neighbour_moves_demand) {
  const Market market(config_of(6, 120));
  std::array<double, 2> change{}, days{};
  for_each_series(market, [&](auto, auto index, const MarketBlock& block, std::size_t cell) {
    const Item item = make_item(17, index);
    if (item.partnership == Partnership::none) return;
    const auto steps = static_cast<std::size_t>(market.config().steps());
    const std::size_t partner = static_cast<std::size_t>(partner_of(index)) * steps;
    const auto kind = static_cast<std::size_t>(item.partnership == Partnership::complement);
    for (std::size_t t = 8; t < static_cast<std::size_t>(market.config().days); ++t) {
      const bool empty = block.stockout[partner + t] == 1.0F && block.sales[partner + t] == 0.0F;
      const bool full_before = block.stock[partner + t - 7] > 0.0F && block.stockout[partner + t - 7] == 0.0F;
      if (!empty || !full_before) continue;
      const auto step = static_cast<std::int64_t>(t);
      if (market.event(step) != Event::none || market.event(step - 7) != Event::none) continue;
      if (block.promotion[partner + t] != block.promotion[partner + t - 7]) continue;
      if (block.price[cell + t] != block.price[cell + t - 7]) continue;
      if (block.promo_uplift[cell + t] != block.promo_uplift[cell + t - 7]) continue;
      if (!(block.expected[cell + t] > 0.0F) || !(block.expected[cell + t - 7] > 0.0F)) continue;
      change[kind] += std::log(block.expected[cell + t] / block.expected[cell + t - 7]);
      ++days[kind];
    }
  });
  ASSERT_GT(days[0], 300);
  ASSERT_GT(days[1], 300);
  EXPECT_GT(change[0] / days[0], 0.15);
  EXPECT_NEAR(change[1] / days[1], std::log(0.85), 0.05);
}

TEST(Market, double_11_is_a_peak_and_christmas_is_closed) {
  const Market market(config_of(2, 200));
  const auto step_of = [&](const char* day) { return *market.axis().step_of(*parse_date(day)); };
  const std::int64_t peak = step_of("2023-11-11"), closed = step_of("2022-12-25");
  double on_peak = 0, week_before_and_after = 0, at_christmas = 0;
  for_each_series(market, [&](auto, auto, const MarketBlock& block, std::size_t cell) {
    const auto at = [&](std::int64_t step) {
      const float demand = block.demand_uncensored[cell + static_cast<std::size_t>(step)];
      return std::isnan(demand) ? 0.0 : demand;
    };
    on_peak += at(peak);
    week_before_and_after += (at(peak - 7) + at(peak + 7)) / 2;
    at_christmas += at(closed);
  });
  EXPECT_GT(on_peak / week_before_and_after, 1.5);
  EXPECT_EQ(at_christmas, 0.0);
}

TEST(Market, an_item_is_missing_before_its_launch_and_after_its_delisting) {
  const Market market(config_of(2, 200));
  int launched = 0, delisted = 0;
  for_each_series(market, [&](auto, auto index, const MarketBlock& block, std::size_t cell) {
    const Item item = make_item(17, index);
    const auto begin = block.expected.begin() + static_cast<std::ptrdiff_t>(cell);
    const auto end = begin + market.config().steps();
    const auto is_there = [](float value) { return !std::isnan(value); };
    const auto first = std::find_if(begin, end, is_there);
    const auto last = std::find_if_not(first, end, is_there);
    ASSERT_EQ(std::find_if(last, end, is_there), end);  // one life
    ASSERT_NE(first, end);
    EXPECT_EQ(first != begin, item.launch > 0.0);
    EXPECT_EQ(last != end, item.delisting < 1.0);
    launched += first != begin;
    delisted += last != end;
    for (std::int64_t t = 0; t < market.config().steps(); ++t) {
      const std::size_t now = cell + static_cast<std::size_t>(t);
      const bool alive = begin + t >= first && begin + t < last;
      ASSERT_EQ(is_there(block.price[now]), alive);
      ASSERT_EQ(is_there(block.sales[now]), alive && t < market.config().days);
      ASSERT_EQ(is_there(block.stock[now]), alive && t < market.config().days);
      ASSERT_EQ(is_there(block.demand_uncensored[now]), alive);
      ASSERT_TRUE(alive || block.promotion[now] == 0.0F);
    }
  });
  EXPECT_GT(launched, 20);
  EXPECT_GT(delisted, 5);
}

TEST(Market, the_past_does_not_depend_on_how_far_the_future_is_known) {
  MarketConfig config = config_of(1, 8, 300);
  MarketBlock with, without;
  Market(config).generate(0, 0, 8, with);
  config.future = 0;
  Market(config).generate(0, 0, 8, without);
  for (std::size_t row = 0; row < 8; ++row)
    EXPECT_EQ(std::memcmp(&with.sales[row * 328], &without.sales[row * 300], 100 * sizeof(float)), 0) << row;
}

TEST(Market, an_impossible_market_is_refused_by_name) {
  const auto refuses = [](MarketConfig config, const std::string& word) {
    try {
      Market market(config);
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::input && std::string(error.what()).find(word) != std::string::npos;
    }
  };
  EXPECT_TRUE(refuses(config_of(0, 10), "--stores 0"));
  EXPECT_TRUE(refuses(config_of(1, -3), "--items -3"));
  EXPECT_TRUE(refuses(config_of(1, 10, 3), "--days 3"));
  MarketConfig late = config_of(1, 10);
  late.start = *parse_date("2199-01-01");
  EXPECT_TRUE(refuses(late, "--start 2199-01-01"));
}

}  // namespace
}  // namespace shelfcast::data
