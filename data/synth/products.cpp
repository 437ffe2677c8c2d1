#include "data/synth/products.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace shelfcast::data {
namespace {

using Week = std::array<double, 7>;

// Log factors of the events for a category that answers with these strengths.
std::array<double, kEvents> answers(double feast, double gifts, double double_11) {
  std::array<double, kEvents> log_factor{};
  const auto set = [&](Event event, double value) { log_factor[static_cast<std::size_t>(event)] = value; };
  set(Event::new_year_eve, 0.45 * feast);
  set(Event::new_year, -0.9);
  set(Event::lunar_new_year_eve, 0.40 * feast + 0.25 * gifts);
  set(Event::lunar_new_year, -0.35 + 0.2 * feast);
  set(Event::easter_week, 0.30 * feast);
  set(Event::easter, -0.8);
  set(Event::easter_monday, -0.3 + 0.1 * gifts);
  set(Event::double_11_eve, -0.25 * double_11);
  set(Event::double_11, 1.1 * double_11);
  set(Event::christmas_season, 0.25 * feast + 0.6 * gifts);
  set(Event::christmas, 0.0);  // closed: no factor but zero
  return log_factor;
}

const Week kFood = {-0.12, -0.15, -0.10, 0.00, 0.18, 0.32, -0.18};
const Week kLeisure = {-0.25, -0.22, -0.15, -0.05, 0.15, 0.45, 0.20};
const Week kHome = {-0.05, -0.08, -0.05, 0.00, 0.05, 0.25, -0.10};

std::uint64_t site_key(std::uint64_t seed, const char* site, std::int64_t index) {
  return mix(mix(seed, key_of(site)), static_cast<std::uint64_t>(index));
}

double between(RandomStream& draw, double low, double high) { return low + (high - low) * draw.uniform(); }
double log_between(RandomStream& draw, double low, double high) {
  return low * std::pow(high / low, draw.uniform());
}

// Rate and dispersion: a mix as in a real store, most items slow.
void draw_habit(RandomStream& draw, Item& item) {
  const double kind = draw.uniform();
  if (kind < 0.38) {  // smooth
    item.rate = log_between(draw, 2.5, 30.0);
    item.shape = log_between(draw, 8.0, 40.0);
  } else if (kind < 0.56) {  // erratic
    item.rate = log_between(draw, 3.0, 14.0);
    item.shape = log_between(draw, 0.9, 2.0);
    item.size = between(draw, 1.0, 1.6);
  } else if (kind < 0.84) {  // intermittent
    item.rate = log_between(draw, 0.12, 1.1);
    item.shape = log_between(draw, 3.0, 20.0);
  } else {  // lumpy
    item.rate = log_between(draw, 0.5, 2.8);
    item.shape = log_between(draw, 1.0, 4.0);
    item.size = between(draw, 3.0, 7.0);
  }
}

void draw_words(RandomStream& draw, Item& item) {
  item.language = draw.uniform() < 0.5 ? 0 : static_cast<int>(1 + draw.below(2));
  for (std::size_t i = 0; i < concepts().size(); ++i) {
    if (draw.uniform() >= concepts()[i].share) continue;
    item.words.push_back(static_cast<int>(i));
    item.word_factor *= concepts()[i].factor;
  }
  item.rate *= item.word_factor;
}

void draw_life(RandomStream& draw, Item& item) {
  item.trend = 0.03 + 0.15 * draw.normal();
  const double launched = draw.uniform(), when = draw.uniform(), dropped = draw.uniform();
  if (launched < 0.14) item.launch = 0.1 + 0.6 * when;
  if (launched >= 0.14 && dropped < 0.07) item.delisting = 0.45 + 0.5 * when;
}

// Of the family, so that both partners agree.
void draw_partnership(std::uint64_t seed, Item& item) {
  RandomStream draw(site_key(seed, "family", item.index / 2));
  if (draw.uniform() > 0.75) return;
  item.partnership = item.index % kFamily < 2 ? Partnership::substitute : Partnership::complement;
  item.moved = item.partnership == Partnership::substitute ? between(draw, 0.25, 0.6) : 0.0;
}

using Choice = std::array<const char*, 6>;
struct Tongue {
  Choice brands, ranges, sizes;
};

const std::array<Tongue, 3>& tongues() {
  static const std::array<Tongue, 3> all = {{
      {{"Northfield", "Harbour & Co", "Bluebird", "Old Mill", "Sunny Lane", "Kestrel"},
       {"connoisseur", "specialty", "select", "classic", "daily", "value"},
       {"small", "medium", "large", "500 g", "1 l", "set of 3"}},
      {{"Maison Dupré", "L'Étoile", "Chêne Vert", "Août", "Forêt Bleue", "Grand-Mère"},
       {"connaisseur", "spécialité", "sélection", "classique", "quotidien", "économique"},
       {"petit", "moyen", "grand modèle", "500 g", "1 l", "lot de 3"}},
      {{"长城", "金桥", "春风", "东海", "白鹤", "明月"},
       {"珍藏", "特选", "精选", "经典", "日常", "实惠"},
       {"小号", "中号", "大号", "500克", "1升", "三件套"}},
  }};
  return all;
}

// The range an item belongs to, in the order of the ranges' words: how fast it sells before its concepts
// count.
std::size_t range_of(const Item& item) {
  constexpr std::array<double, 5> kFastest = {0.35, 1.0, 2.5, 6.0, 13.0};  // of all but the last; units/day
  const auto* const found = std::upper_bound(kFastest.begin(), kFastest.end(), item.rate / item.word_factor);
  return static_cast<std::size_t>(found - kFastest.begin());
}

// What the category is called in each language, in the order of categories().
const std::vector<std::array<const char*, 3>>& nouns() {
  static const std::vector<std::array<const char*, 3>> all = {{"yogurt", "yaourt", "酸奶"},
                                                              {"fruit salad", "salade de fruits", "水果沙拉"},
                                                              {"crackers", "biscuits salés", "饼干"},
                                                              {"green tea", "thé vert", "绿茶"},
                                                              {"dish soap", "savon à vaisselle", "洗洁精"},
                                                              {"paper towels", "essuie-tout", "纸巾"},
                                                              {"frying pan", "poêle à frire", "煎锅"},
                                                              {"building blocks", "jeu de cubes", "积木"},
                                                              {"yoga mat", "tapis de yoga", "瑜伽垫"},
                                                              {"headphones", "écouteurs sans fil", "耳机"}};
  return all;
}

}  // namespace

const std::vector<Category>& categories() {
  static const std::vector<Category> all = {
      {"dairy", "grocery", -0.9, 1.5, kFood, 0.05, 170, answers(0.7, 0.0, 0.25)},
      {"fresh", "grocery", -1.2, 1.6, kFood, 0.20, 190, answers(1.0, 0.0, 0.2)},
      {"snacks", "grocery", -1.6, 1.9, kFood, 0.08, 350, answers(1.0, 0.4, 0.5)},
      {"beverages", "grocery", -1.4, 1.8, kFood, 0.30, 195, answers(0.9, 0.2, 0.4)},
      {"cleaning", "household", -1.1, 1.5, kHome, 0.10, 90, answers(0.3, 0.0, 0.6)},
      {"paper", "household", -0.7, 1.4, kHome, 0.04, 20, answers(0.3, 0.0, 0.6)},
      {"kitchen", "household", -1.8, 1.7, kHome, 0.15, 340, answers(0.3, 0.9, 0.9)},
      {"toys", "leisure", -2.0, 1.8, kLeisure, 0.35, 345, answers(0.2, 1.6, 1.0)},
      {"sports", "leisure", -1.7, 1.6, kLeisure, 0.40, 160, answers(0.0, 0.7, 0.9)},
      {"electronics", "leisure", -2.4, 1.7, kLeisure, 0.15, 340, answers(0.0, 1.3, 1.4)},
  };
  return all;
}

std::vector<std::string> departments() { return {"grocery", "household", "leisure"}; }
std::vector<std::string> regions() { return {"north", "south", "east", "west"}; }
std::vector<std::string> store_formats() { return {"city", "suburb", "hyper"}; }

const std::vector<Concept>& concepts() {
  static const std::vector<Concept> all = {
      {{"limited edition", "édition limitée", "限量版"}, 0.55, 0.15},
      {{"family pack", "format familial", "家庭装"}, 1.5, 0.2},
      {{"organic", "biologique", "有机"}, 1.25, 0.2},
      {{"customer favourite", "préféré de nos clients", "顾客最爱"}, 1.9, 0.12},
  };
  return all;
}

Item make_item(std::uint64_t seed, std::int64_t index) {
  Item item;
  item.index = index;
  item.category = static_cast<int>((index / kFamily) % static_cast<std::int64_t>(categories().size()));
  const Category& category = categories()[static_cast<std::size_t>(item.category)];
  item.name = fmt::format("{}-{:04}", category.name, index + 1);
  RandomStream draw(site_key(seed, "item", index));
  draw_habit(draw, item);
  draw_words(draw, item);
  draw_life(draw, item);
  draw_partnership(seed, item);
  item.price = log_between(draw, 1.0, 8.0) * (category.department == "leisure" ? 6.0 : 1.0);
  item.elasticity = category.elasticity * std::exp(0.12 * draw.normal());
  item.uplift = 1.0 + (category.uplift - 1.0) * log_between(draw, 0.5, 1.8);
  item.dip = between(draw, 0.05, 0.3);
  item.flyer_share = between(draw, 0.03, 0.12);
  return item;
}

std::string describe(std::uint64_t seed, const Item& item) {
  RandomStream draw(site_key(seed, "description", item.index));
  const auto language = static_cast<std::size_t>(item.language);
  const Tongue& tongue = tongues()[language];
  const char* between_words = item.language == 2 ? "" : " ";
  const char* noun = nouns()[static_cast<std::size_t>(item.category)][language];
  const auto pick = [&](const Choice& choice) { return choice[draw.below(choice.size())]; };
  std::string text = pick(tongue.brands);
  text += between_words;
  text += tongue.ranges[range_of(item)];
  text += between_words;
  text += noun;
  const char* comma = item.language == 2 ? "，" : ", ";
  for (const int word : item.words)
    text += comma + concepts()[static_cast<std::size_t>(word)].words[language];
  return text + comma + pick(tongue.sizes);
}

Store make_store(std::uint64_t seed, std::int64_t index) {
  RandomStream draw(site_key(seed, "store", index));
  Store store;
  store.region = static_cast<int>(index % static_cast<std::int64_t>(regions().size()));
  store.format = static_cast<int>(draw.below(store_formats().size()));
  store.name = fmt::format("{}-{:02}", regions()[static_cast<std::size_t>(store.region)], index + 1);
  store.size = (store.format == 2 ? 1.6 : store.format == 1 ? 1.0 : 0.7) * std::exp(0.2 * draw.normal());
  store.price = (store.format == 0 ? 1.06 : 1.0) * (1.0 + 0.02 * draw.normal());
  constexpr std::array<int, 4> kReviews = {1, 2, 3, 7};
  store.review_days = kReviews[draw.below(kReviews.size())];
  for (int day = 0; day < 7; ++day) {
    const double weekend = day >= 5 ? (store.format == 0 ? -0.2 : 0.15) : 0.0;
    store.weekday[static_cast<std::size_t>(day)] = weekend + 0.05 * draw.normal();
  }
  return store;
}

}  // namespace shelfcast::data
