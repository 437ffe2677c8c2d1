// What is sold where: categories, items with their habits and texts, stores. Everything about an item or a
// store is a pure function of (seed, index), so any of them can be made alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/synth/events.h"

namespace shelfcast::data {

struct Category {
  std::string name, department;
  double elasticity = -1.0;             // d log demand / d log price of the category
  double uplift = 1.5;                  // typical factor of a flyer
  std::array<double, 7> weekday{};      // log factor, Monday first
  double yearly = 0.0, peak = 0.0;      // height of the yearly wave (log) and the day of the year of its top
  std::array<double, kEvents> event{};  // log factor
};
const std::vector<Category>& categories();
std::vector<std::string> departments();
std::vector<std::string> regions();
std::vector<std::string> store_formats();

// A word family that carries demand information, in every language of the descriptions.
struct Concept {
  std::array<std::string, 3> words;  // English, French, Chinese
  double factor = 1.0;               // of demand, on every item whose text has it
  double share = 0.0;                // of items that have it
};
const std::vector<Concept>& concepts();

enum class Partnership { none, substitute, complement };

// Demand of one day, given its mean m: orders ~ Poisson(m G / size) with G ~ Gamma(shape)/shape, each of 1 +
// geometric units, `size` in the mean. Smooth: large shape, size 1; erratic: small shape; intermittent: small
// m; lumpy: large size.
struct Item {
  std::int64_t index = 0;
  std::string name;
  int category = 0;
  double rate = 1.0;  // units/day in a store of size 1 at the regular price, words included
  double shape = 10.0, size = 1.0;
  double price = 1.0;  // regular
  double elasticity = -1.0;
  double uplift = 1.5;       // factor of a flyer, its price cut not included
  double dip = 0.1;          // demand lost on the day after a flyer, fading over a week
  double flyer_share = 0.0;  // weeks with a flyer
  double trend = 0.0;        // log per year
  double launch = 0.0;       // share of the history before it is sold; 0 = always there
  double delisting = 1.0;    // share of the history after which it is not sold; 1 = stays
  int language = 0;          // of its text
  std::vector<int> words;    // indices into concepts(), increasing
  double word_factor = 1.0;  // product of their factors, part of `rate`
  Partnership partnership = Partnership::none;
  double moved = 0.0;  // substitutes: share of a missing item's demand that takes the partner instead
};

struct Store {
  std::string name;
  int region = 0, format = 0;
  double size = 1.0;                // factor of demand
  double price = 1.0;               // factor of prices
  int review_days = 1;              // days between orders
  std::array<double, 7> weekday{};  // log factor
};

// Items come in families of four of one category: the first two may be substitutes, the last two complements.
inline constexpr std::int64_t kFamily = 4;
// The item an item's partnership is with (it may lie beyond the last item of the market).
inline std::int64_t partner_of(std::int64_t item) { return item ^ 1; }

Item make_item(std::uint64_t seed, std::int64_t index);
// The item's description in item.language: a brand, a word for its range, which tells how fast such things
// sell, what it is, the words of concepts() for item.words, a size. Brand and size mean nothing.
std::string describe(std::uint64_t seed, const Item& item);
Store make_store(std::uint64_t seed, std::int64_t index);

}  // namespace shelfcast::data
