#include "data/synth/market.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "data/synth/shelf.h"

namespace shelfcast::data {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr double kTwoPi = 6.283185307179586;
constexpr int kDipDays = 7;
constexpr double kHalo = 0.25;            // a complement in the flyer lifts its partner so much
constexpr double kCannibal = 0.20;        // a substitute in the flyer takes so much of its partner
constexpr double kWithoutPartner = 0.85;  // what is left of an item whose complement is sold out
constexpr double kLateShare = 0.06;       // orders that arrive late

// A uniform draw addressed by number.
double uniform_at(std::uint64_t key, std::int64_t number) {
  return RandomStream(mix(key, static_cast<std::uint64_t>(number))).uniform();
}
double normal_at(std::uint64_t key, std::int64_t number) {
  return RandomStream(mix(key, static_cast<std::uint64_t>(number))).normal();
}

// Adds `height` x standard normal knots every `spacing` steps, joined by straight lines: a slow, bounded
// wander that can be computed at any step without the steps before.
void add_wander(std::uint64_t key, std::int64_t spacing, double height, std::vector<float>& values) {
  const auto steps = static_cast<std::int64_t>(values.size());
  for (std::int64_t knot = 0; knot * spacing < steps; ++knot) {
    const double left = height * normal_at(key, knot), right = height * normal_at(key, knot + 1);
    const std::int64_t end = std::min(steps, (knot + 1) * spacing);
    for (std::int64_t t = knot * spacing; t < end; ++t) {
      const double weight = static_cast<double>(t - knot * spacing) / static_cast<double>(spacing);
      values[static_cast<std::size_t>(t)] += static_cast<float>(left + weight * (right - left));
    }
  }
}

// Shop prices: 4.19, 4.29, ...
double shop_price(double price) { return std::max(0.19, std::round(price * 10.0) / 10.0 - 0.01); }

// One day's demand of an item with this mean: see struct Item.
double draw_demand(RandomStream draw, double mean, double shape, double size) {
  if (mean <= 0.0) return 0.0;
  const std::int64_t orders = draw.poisson(mean * draw.gamma(shape) / (shape * size));
  if (orders == 0 || size <= 1.0) return static_cast<double>(orders);
  // The units beyond the first of each order: a sum of geometric numbers, that is a negative binomial.
  const double more = draw.gamma(static_cast<double>(orders)) * (size - 1.0);
  return static_cast<double>(orders + draw.poisson(more));
}

}  // namespace

void MarketConfig::validate() const {
  const auto check = [](bool good, const char* option, std::int64_t value, const char* rule) {
    if (!good) throw input_error(fmt::format("--{} {} is not possible", option, value), rule);
  };
  check(stores >= 1 && stores <= 1'000'000, "stores", stores, "it must be from 1 to 1000000");
  check(items >= 1 && items <= 1'000'000, "items", items, "it must be from 1 to 1000000");
  check(days >= 14 && days <= 100'000, "days", days, "it must be from 14 to 100000");
  check(future >= 0 && future <= 10'000, "future", future, "it must be from 0 to 10000");
  const int first_year = static_cast<int>(std::chrono::year_month_day{start}.year());
  const int last_year =
      static_cast<int>(std::chrono::year_month_day{start + std::chrono::days{steps()}}.year());
  if (first_year < 1900 || last_year > 2100)
    throw input_error(
        fmt::format("--start {} and {} days leave the market's calendar", format_date(start), steps()),
        "its feasts are known from 1900 to 2100", "choose another start");
}

// One series on its way through time.
struct Market::Path {
  Item item;
  std::uint64_t key = 0;                        // of (seed, store, item)
  std::int64_t row = 0;                         // in the block
  std::int64_t first = 0, last = 0;             // steps of its life, [first, last)
  double level = 1.0;                           // units/day of an ordinary day
  std::vector<float> price, promotion, uplift;  // [steps]
  std::vector<float> profile;                   // [steps] known day factors
  std::vector<double> profile_sums;             // [steps + 1]
  std::vector<float> mean;                      // [steps]
  ShelfPolicy policy;

  bool alive(std::int64_t step) const { return step >= first && step < last; }
};

Market::Market(MarketConfig config) : config_(config) {
  config_.validate();
  const auto steps = static_cast<std::size_t>(config_.steps());
  for (std::size_t t = 0; t < steps; ++t) {
    const Date date = config_.start + std::chrono::days{static_cast<std::int64_t>(t)};
    events_.push_back(event_of(date));
    weekday_.push_back(static_cast<std::uint8_t>(std::chrono::weekday{date}.iso_encoding() - 1));
    const auto year = std::chrono::year_month_day{date}.year();
    const double day = static_cast<double>((date - Date{year / 1 / 1}).count());
    yearly_cos_.push_back(static_cast<float>(std::cos(kTwoPi * day / 365.25)));
    yearly_sin_.push_back(static_cast<float>(std::sin(kTwoPi * day / 365.25)));
    flyer_week_.push_back(
        static_cast<std::int32_t>((date.time_since_epoch().count() + 700'000) / 7));  // 1970-01-01: Thursday
  }
}

Market::Path Market::make_path(const Item& item, const Store& store, std::int64_t store_index) const {
  Path path;
  path.item = item;
  path.key = mix(mix(mix(config_.seed, key_of("series")), static_cast<std::uint64_t>(store_index)),
                 static_cast<std::uint64_t>(item.index));
  RandomStream draw(path.key);
  const auto days = static_cast<double>(config_.days);
  const auto jitter = [&](std::uint64_t range) { return static_cast<std::int64_t>(draw.below(range)); };
  const std::int64_t launch = static_cast<std::int64_t>(item.launch * days) + jitter(28);
  const std::int64_t end = static_cast<std::int64_t>(item.delisting * days) + jitter(14);
  path.first = item.launch > 0.0 ? std::min(launch, config_.days * 3 / 4) : 0;
  path.last = item.delisting < 1.0 ? std::min(end, config_.days) : config_.steps();
  path.level = item.rate * store.size * std::exp(0.3 * draw.normal());

  path.policy.review_days = store.review_days;
  path.policy.first_review = static_cast<int>(draw.below(7));
  path.policy.lead_days = 1 + static_cast<int>(draw.below(4));
  path.policy.pack = path.level < 0.6 ? 1.0 : path.level < 4.0 ? 4.0 : 12.0;
  path.policy.safety = 0.2 + 1.8 * draw.uniform();
  path.policy.spread = 1.0 + path.level / item.shape + 2.0 * (item.size - 1.0);
  path.policy.start_level = path.level;
  return path;
}

// Regular prices hold for weeks, the same steps in all stores; flyers run for one or two weeks, most with a
// price cut.
void Market::set_prices(const Store& store, Path& path) const {
  const auto steps = static_cast<std::size_t>(config_.steps());
  const std::uint64_t key =
      mix(mix(config_.seed, key_of("price")), static_cast<std::uint64_t>(path.item.index));
  const std::uint64_t flyers = mix(key, key_of("flyer")), cuts = mix(key, key_of("cut"));
  const std::uint64_t absent = mix(path.key, key_of("no flyer"));
  const auto weeks = static_cast<std::int32_t>(5 + RandomStream(key).below(11));
  const auto runs = [&](std::int32_t week) {
    const bool begins = uniform_at(flyers, week) < path.item.flyer_share;
    const bool goes_on =
        uniform_at(flyers, week - 1) < 0.3 * path.item.flyer_share;  // the luckiest run twice as long
    return (begins || goes_on) && uniform_at(absent, week) >= 0.12;
  };
  path.price.resize(steps);
  path.promotion.resize(steps);
  for (std::size_t t = 0; t < steps; ++t) {
    const std::int32_t week = flyer_week_[t];
    if (t > 0 && week == flyer_week_[t - 1]) {
      path.price[t] = path.price[t - 1];
      path.promotion[t] = path.promotion[t - 1];
      continue;
    }
    const std::int32_t epoch = (week + static_cast<std::int32_t>(path.item.index)) / weeks;
    const bool flyer = runs(week);
    const double cut = flyer ? std::max(0.0, 0.45 * uniform_at(cuts, week) - 0.1) : 0.0;
    const double regular = path.item.price * store.price * std::exp(0.09 * normal_at(key, epoch));
    path.price[t] = static_cast<float>(shop_price(regular * (1.0 - cut)));
    path.promotion[t] = flyer ? 1.0F : 0.0F;
  }
}

// What the calendar, the price and the flyer do to a day; all of it is known ahead.
void Market::set_profile(const Store& store, Path& path) const {
  const Category& category = categories()[static_cast<std::size_t>(path.item.category)];
  const auto steps = static_cast<std::size_t>(config_.steps());
  const double peak = kTwoPi * (category.peak + 9.0 * store.region) / 365.25;
  const double along = category.yearly * std::cos(peak), across = category.yearly * std::sin(peak);
  path.uplift.assign(steps, 1.0F);
  path.profile.resize(steps);
  path.profile_sums.assign(steps + 1, 0.0);
  int since_flyer = kDipDays;  // days since the last flyer day
  double of_price = 0.0;
  for (std::size_t t = 0; t < steps; ++t) {
    const bool flyer = path.promotion[t] > 0.0F;
    if (flyer) path.uplift[t] = static_cast<float>(path.item.uplift);
    if (!flyer && since_flyer < kDipDays)
      path.uplift[t] =
          static_cast<float>(1.0 - path.item.dip * (1.0 - static_cast<double>(since_flyer) / kDipDays));
    since_flyer = flyer ? 0 : since_flyer + 1;
    if (t == 0 || path.price[t] != path.price[t - 1])
      of_price = path.item.elasticity * std::log(path.price[t] / (path.item.price * store.price));
    const double log_factor = category.weekday[weekday_[t]] + store.weekday[weekday_[t]] +
                              along * yearly_cos_[t] + across * yearly_sin_[t] +
                              category.event[static_cast<std::size_t>(events_[t])] + of_price;
    path.profile[t] =
        events_[t] == Event::christmas ? 0.0F : static_cast<float>(std::exp(log_factor)) * path.uplift[t];
    path.profile_sums[t + 1] = path.profile_sums[t] + path.profile[t];
  }
}

// How the whole store is doing: weather, passers-by. Shared by its items, so their demands move together.
std::vector<float> Market::store_moods(std::int64_t store_index) const {
  std::vector<float> mood(static_cast<std::size_t>(config_.steps()), 0.0F);
  const std::uint64_t key = mix(mix(config_.seed, key_of("mood")), static_cast<std::uint64_t>(store_index));
  add_wander(mix(key, 0), 14, 0.07, mood);
  add_wander(mix(key, 1), 1, 0.05, mood);
  return mood;
}

// The mean without neighbours: the known profile, and what nobody knows ahead (wander, mood), trend and the
// slow start of a launch.
void Market::set_mean(std::span<const float> store_mood, Path& path) const {
  std::vector<float> wander(store_mood.begin(), store_mood.end());
  add_wander(mix(path.key, key_of("slow")), 35, 0.20, wander);
  add_wander(mix(path.key, key_of("fast")), 7, 0.10, wander);
  path.mean.resize(wander.size());
  for (std::size_t t = 0; t < wander.size(); ++t) {
    const auto age = static_cast<double>(static_cast<std::int64_t>(t) - path.first);
    double factor = std::exp(wander[t] + path.item.trend * static_cast<double>(t) / 365.25);
    if (path.item.launch > 0.0 && age < 120.0) factor *= 1.0 - 0.7 * std::exp(-std::max(0.0, age) / 20.0);
    path.mean[t] = static_cast<float>(path.level * path.profile[t] * factor);
  }
}

namespace {

// What the partner's flyer does to an item.
void meet_flyer(Partnership partnership, std::span<const float> partner_promotion, std::vector<float>& mean) {
  const auto factor =
      static_cast<float>(partnership == Partnership::substitute ? 1.0 - kCannibal : 1.0 + kHalo);
  for (std::size_t t = 0; t < mean.size(); ++t)
    if (partner_promotion[t] > 0.0F) mean[t] *= factor;
}

int late_days(std::uint64_t key, std::int64_t step) {
  const double u = static_cast<double>(mix(key, static_cast<std::uint64_t>(step)) >> 11) * 0x1p-53;
  return u < kLateShare ? 2 + static_cast<int>(u / kLateShare * 5.0) : 0;
}

}  // namespace

// Two neighbours (or one item alone) through time.
struct Market::Trader {
  const Path* path;
  Shelf shelf;
  std::uint64_t demand_key, late_key;
  double on_shelf = 0.0;  // this morning

  explicit Trader(const Path& of)
      : path(&of),
        shelf(of.policy, of.profile_sums, of.first),
        demand_key(mix(of.key, key_of("demand"))),
        late_key(mix(of.key, key_of("late"))) {}

  // The day's mean: what is missing from the partner's shelf in the morning sends its buyers here (or away).
  double mean(std::int64_t step, const Trader* partner) const {
    const double own = path->mean[static_cast<std::size_t>(step)];
    if (partner == nullptr || !partner->path->alive(step) || partner->on_shelf >= 1.0) return own;
    if (path->item.partnership == Partnership::complement) return own * kWithoutPartner;
    return own + path->item.moved * partner->path->mean[static_cast<std::size_t>(step)];
  }
};

void Market::trade_day(Trader& trader, const Trader* partner, std::int64_t step, MarketBlock& block) const {
  const Path& path = *trader.path;
  const double mean = trader.mean(step, partner);
  const RandomStream draw(mix(trader.demand_key, static_cast<std::uint64_t>(step)));
  const double demand = draw_demand(draw, mean, path.item.shape, path.item.size);
  const Shelf::Day day = trader.shelf.close(step, demand, late_days(trader.late_key, step));
  const auto cell = static_cast<std::size_t>(path.row * config_.steps() + step);
  block.expected[cell] = static_cast<float>(mean);
  block.demand_uncensored[cell] = static_cast<float>(demand);
  if (step >= config_.days) return;  // the future happens too, but nobody has seen it
  block.sales[cell] = static_cast<float>(day.sold);
  block.stock[cell] = static_cast<float>(day.stock);
  block.stockout[cell] = day.cut ? 1.0F : 0.0F;
}

void Market::trade(const Path& one, const Path* other, MarketBlock& block) const {
  const bool pair = other != nullptr;
  const Path& two = pair ? *other : one;
  Trader first(one), second(two);
  for (std::int64_t step = 0; step < config_.steps(); ++step) {
    const bool first_open = one.alive(step), second_open = pair && two.alive(step);
    if (first_open) first.on_shelf = first.shelf.open(step);
    if (second_open) second.on_shelf = second.shelf.open(step);
    if (first_open) trade_day(first, pair ? &second : nullptr, step, block);
    if (second_open) trade_day(second, &first, step, block);
  }
}

Market::Path Market::make_known(std::int64_t item, const Store& store, std::int64_t store_index,
                                std::int64_t row, MarketBlock& block) const {
  Path path = make_path(make_item(config_.seed, item), store, store_index);
  path.row = row;
  set_prices(store, path);
  set_profile(store, path);
  for (std::int64_t t = path.first; t < path.last; ++t) {
    const auto step = static_cast<std::size_t>(t);
    const auto cell = static_cast<std::size_t>(row * config_.steps() + t);
    block.price[cell] = path.price[step];
    block.promotion[cell] = path.promotion[step];
    block.promo_uplift[cell] = path.uplift[step];
  }
  return path;
}

void Market::generate(std::int64_t store_index, std::int64_t first, std::int64_t count,
                      MarketBlock& block) const {
  SHELFCAST_ASSERT(first % kFamily == 0 && count >= 1 && first + count <= config_.items);
  SHELFCAST_ASSERT(count % kFamily == 0 || first + count == config_.items);
  block.resize(count, config_.steps());
  const Store store = make_store(config_.seed, store_index);
  const std::vector<float> mood = store_moods(store_index);
  for (std::int64_t row = 0; row < count; row += 2) {
    Path one = make_known(first + row, store, store_index, row, block);
    set_mean(mood, one);
    if (row + 1 == count) {
      trade(one, nullptr, block);
      break;
    }
    Path other = make_known(first + row + 1, store, store_index, row + 1, block);
    set_mean(mood, other);
    if (one.item.partnership == Partnership::none) {
      trade(one, nullptr, block);
      trade(other, nullptr, block);
      continue;
    }
    meet_flyer(one.item.partnership, other.promotion, one.mean);
    meet_flyer(other.item.partnership, one.promotion, other.mean);
    trade(one, &other, block);
  }
}

void MarketBlock::resize(std::int64_t rows, std::int64_t steps) {
  series = rows;
  const auto cells = static_cast<std::size_t>(rows * steps);
  for (auto* values : {&sales, &price, &stock, &stockout, &demand_uncensored, &expected, &promo_uplift})
    values->assign(cells, kNaN);
  promotion.assign(cells, 0.0F);
}

}  // namespace shelfcast::data
