#include "data/synth/synth.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace shelfcast::data {
namespace {

constexpr std::int64_t kBlockItems = 64;  // about 1 MB per 1,000 steps and column

// Where each covariate stands in CorpusInfo::covariates.
enum Covariate : std::size_t { kPrice, kPromo, kEvent, kStock, kStockout };

std::vector<Item> make_items(const MarketConfig& config) {
  std::vector<Item> items;
  items.reserve(static_cast<std::size_t>(config.items));
  for (std::int64_t i = 0; i < config.items; ++i) items.push_back(make_item(config.seed, i));
  return items;
}

template <typename T>
std::vector<std::string> names_of(const std::vector<T>& things) {
  std::vector<std::string> names;
  for (const T& thing : things) names.push_back(thing.name);
  return names;
}

std::vector<Store> make_stores(const MarketConfig& config) {
  std::vector<Store> stores;
  for (std::int64_t s = 0; s < config.stores; ++s) stores.push_back(make_store(config.seed, s));
  return stores;
}

std::int32_t department_of(const Item& item) {
  const auto all = departments();
  const auto& name = categories()[static_cast<std::size_t>(item.category)].department;
  return static_cast<std::int32_t>(std::find(all.begin(), all.end(), name) - all.begin());
}

// Facts of the items repeated over the steps of the block, as truths are stored.
void append_item_truth(CorpusWriter& writer, const std::string& name, std::span<const float> per_item,
                       std::int64_t steps, std::vector<float>& scratch) {
  scratch.clear();
  for (const float value : per_item) scratch.insert(scratch.end(), static_cast<std::size_t>(steps), value);
  writer.append_truth(name, static_cast<std::int64_t>(per_item.size()), scratch);
}

}  // namespace

CorpusInfo market_info(const MarketConfig& config, const std::string& name) {
  CorpusInfo info;
  info.name = name;
  info.axis = {config.start, Frequency::daily};
  info.steps = config.steps();
  info.demand_end = config.days;
  info.series = config.series();
  info.covariates = {{"price", Role::known, Kind::numeric, "series", {}},
                     {"promo", Role::known, Kind::numeric, "series", {}},
                     {"event", Role::known, Kind::categorical, "all", event_names()},
                     {"stock", Role::past, Kind::numeric, "series", {}},
                     {"stockout", Role::past, Kind::numeric, "series", {}}};
  info.statics = {{"store", Kind::categorical, names_of(make_stores(config))},
                  {"region", Kind::categorical, regions()},
                  {"format", Kind::categorical, store_formats()},
                  {"item", Kind::categorical, names_of(make_items(config))},
                  {"dept", Kind::categorical, departments()},
                  {"category", Kind::categorical, names_of(categories())}};
  info.item_level = "item";
  info.store_level = "store";
  info.category_level = "category";
  info.notes = fmt::format(
      "synthetic market, seed {}: demand is units sold, cut by the stock on hand (stockout = 1 where some of "
      "the day's demand met an "
      "empty shelf); NaN before an item's launch and after its delisting. The truth is beside, in truth/.",
      config.seed);
  return info;
}

SeriesTable market_series(const MarketConfig& config) {
  const std::vector<Item> items = make_items(config);
  SeriesTable table;
  table.codes.resize(6);
  table.values.resize(6);
  for (std::int64_t s = 0; s < config.stores; ++s) {
    const Store store = make_store(config.seed, s);
    for (const Item& item : items) {
      table.names.push_back(store.name + "/" + item.name);
      const std::array<std::int32_t, 6> codes = {
          static_cast<std::int32_t>(s),          store.region,        store.format,
          static_cast<std::int32_t>(item.index), department_of(item), item.category};
      for (std::size_t i = 0; i < codes.size(); ++i) table.codes[i].push_back(codes[i]);
    }
  }
  return table;
}

void write_market(const MarketConfig& config, const std::filesystem::path& folder,
                  const LayoutOptions& layout, const std::function<void(std::int64_t)>& progress) {
  const Market market(config);
  const std::vector<Item> items = make_items(config);
  CorpusWriter writer(folder, market_info(config, folder.stem().string()), market_series(config), layout);
  std::vector<float> events;
  for (std::int64_t t = 0; t < config.steps(); ++t) events.push_back(static_cast<float>(market.event(t)));
  writer.write_shared(kEvent, events);
  std::vector<Document> documents;
  std::vector<float> elasticity, word_factor, scratch;
  for (const Item& item : items) {
    documents.push_back({item.name, describe(config.seed, item)});
    elasticity.push_back(static_cast<float>(item.elasticity));
    word_factor.push_back(static_cast<float>(item.word_factor));
  }
  writer.write_documents(documents);

  MarketBlock block;
  std::vector<std::vector<float>> columns(4);
  for (std::int64_t store = 0; store < config.stores; ++store)
    for (std::int64_t first = 0; first < config.items; first += kBlockItems) {
      const std::int64_t count = std::min(kBlockItems, config.items - first);
      market.generate(store, first, count, block);
      // Swapped, not copied: generate() fills whatever memory it is given.
      columns[0].swap(block.price), columns[1].swap(block.promotion);
      columns[2].swap(block.stock), columns[3].swap(block.stockout);
      writer.append(count, block.sales, columns);
      writer.append_truth("demand_uncensored", count, block.demand_uncensored);
      writer.append_truth("expected", count, block.expected);
      writer.append_truth("promo_uplift", count, block.promo_uplift);
      const auto from = static_cast<std::size_t>(first), length = static_cast<std::size_t>(count);
      append_item_truth(writer, "elasticity", std::span(elasticity).subspan(from, length), config.steps(),
                        scratch);
      append_item_truth(writer, "word_factor", std::span(word_factor).subspan(from, length), config.steps(),
                        scratch);
      if (progress) progress(store * config.items + first + count);
    }
  writer.finish();
}

}  // namespace shelfcast::data
