// A model of a retail market with known truth: stores x items, day by day. What is sold follows from prices,
// flyers, feasts, seasons, words, neighbours on the shelf and the stock that was there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dates.h"
#include "data/synth/products.h"

namespace shelfcast::data {

struct MarketConfig {
  std::int64_t stores = 20, items = 300;
  std::int64_t days = 900;   // with observed demand
  std::int64_t future = 28;  // after them: covariates known ahead and truth only
  std::uint64_t seed = 17;
  Date start = Date{std::chrono::year{2022} / 1 / 1};

  std::int64_t steps() const { return days + future; }
  std::int64_t series() const { return stores * items; }
  // Throws Error(input) naming the option.
  void validate() const;
};

// Some series over all steps, row-major [series, steps]. NaN before an item's launch and after its delisting;
// what is observed only afterwards (sales, stock, stockout) is NaN in the future as well.
struct MarketBlock {
  std::int64_t series = 0;
  std::vector<float> sales;              // units sold
  std::vector<float> price;              // what a unit costs that day
  std::vector<float> promotion;          // 1 when in the flyer (0 outside the item's life)
  std::vector<float> stock;              // units on hand when the store closes
  std::vector<float> stockout;           // 1 when some of the day's demand met an empty shelf
  std::vector<float> demand_uncensored;  // units wanted, goes on in the future
  std::vector<float> expected;           // the mean it was drawn from, given everything before the day's draw
  std::vector<float> promo_uplift;  // factor of the item's own flyer on that day, its price cut not included;
                                    // below 1 in the week after

  // All missing, no promotions.
  void resize(std::int64_t rows, std::int64_t steps);
};

// Every number is a pure function of (seed, store, item, day, site) and, for stock and what follows from it,
// of the earlier days of the item and its partner: so blocks can be made alone, in any order, by any number
// of threads.
class Market {
 public:
  // Throws Error(input).
  explicit Market(MarketConfig config);

  const MarketConfig& config() const { return config_; }
  Event event(std::int64_t step) const { return events_[static_cast<std::size_t>(step)]; }
  TimeAxis axis() const { return {config_.start, Frequency::daily}; }

  // Items [first, first + count) of one store; `first` is a multiple of kFamily.
  void generate(std::int64_t store, std::int64_t first, std::int64_t count, MarketBlock& block) const;

 private:
  struct Path;
  struct Trader;
  Path make_path(const Item& item, const Store& store, std::int64_t store_index) const;
  void set_prices(const Store& store, Path& path) const;
  void set_profile(const Store& store, Path& path) const;
  void set_mean(std::span<const float> store_mood, Path& path) const;
  std::vector<float> store_moods(std::int64_t store_index) const;
  Path make_known(std::int64_t item, const Store& store, std::int64_t store_index, std::int64_t row,
                  MarketBlock& block) const;
  void trade_day(Trader& trader, const Trader* partner, std::int64_t step, MarketBlock& block) const;
  void trade(const Path& one, const Path* other, MarketBlock& block) const;

  MarketConfig config_;
  std::vector<Event> events_;                   // [steps]
  std::vector<std::uint8_t> weekday_;           // [steps], Monday 0
  std::vector<float> yearly_cos_, yearly_sin_;  // [steps], phase of the year
  std::vector<std::int32_t> flyer_week_;        // [steps], flyers run from Thursday to Wednesday
};

}  // namespace shelfcast::data
