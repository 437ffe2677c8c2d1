// A small corpus with a weekly pattern, a promotion that doubles demand and gaps, made in a folder of its
// own.
#pragma once

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>

#include "base/random.h"
#include "data/corpus_writer.h"

namespace shelfcast::trainer {

struct SmallCorpusOptions {
  std::int64_t series = 12, steps = 160;
  bool all_missing_series = true;  // series 1 has no demand at all
  // What stands in the corpus instead of this demand of this series on this step.
  std::function<float(std::int64_t series, std::int64_t step, float demand)> change;
  // With any, a level "item" whose values are "item-0", ...: item i has text i ("" = none) and series i, i +
  // texts, ...
  std::vector<std::string> texts = {};
  // Visits stand in demand's place, and demand is a covariate of that name.
  bool of_visits = false;
  // A static "size" that is a number: 3 * series + 1, missing for series 4.
  bool sizes = false;
  TimeAxis axis = {*parse_date("2022-01-03"), Frequency::daily};
};

inline void make_small_corpus(const std::filesystem::path& folder, SmallCorpusOptions options = {}) {
  data::CorpusInfo info;
  info.name = "small";
  info.axis = options.axis;
  info.steps = info.demand_end = options.steps;
  info.series = options.series;
  info.covariates = {
      {"promo", data::Role::known, data::Kind::numeric, "series", {}},
      {"event", data::Role::known, data::Kind::categorical, "all", {"节日", "fair"}},
      {options.of_visits ? "demand" : "visits", data::Role::past, data::Kind::numeric, "series", {}}};
  info.statics = {{"store", data::Kind::categorical, {"Köln", "上海"}},
                  {"category", data::Kind::categorical, {"food", "toys"}}};
  info.store_level = "store";
  info.category_level = "category";
  const auto items = static_cast<std::int64_t>(options.texts.size());
  std::vector<data::Document> documents;
  if (items > 0) {
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < items; ++i) {
      names.push_back("item-" + std::to_string(i));
      const std::string& text = options.texts[static_cast<std::size_t>(i)];
      if (!text.empty()) documents.push_back({names.back(), text});
    }
    info.statics.push_back({"item", data::Kind::categorical, names});
    info.item_level = "item";
  }
  if (options.sizes) info.statics.push_back({"size", data::Kind::numeric, {}});
  data::SeriesTable table;
  table.codes.resize(info.statics.size());
  table.values.resize(info.statics.size());
  for (std::int64_t i = 0; i < options.series; ++i) {
    table.names.push_back("series-" + std::to_string(i));
    table.codes[0].push_back(static_cast<std::int32_t>(i % 2));
    table.codes[1].push_back(static_cast<std::int32_t>(i % 3 == 0));
    if (items > 0) table.codes[2].push_back(static_cast<std::int32_t>(i % items));
    if (options.sizes)
      table.values.back().push_back(i == 4 ? std::numeric_limits<float>::quiet_NaN()
                                           : static_cast<float>(3 * i + 1));
  }
  data::CorpusWriter writer(folder, info, table);
  std::vector<float> event(static_cast<std::size_t>(options.steps), -1.0F), demand, promo, visits;
  for (std::size_t t = 20; t < event.size(); t += 40) event[t] = static_cast<float>(t / 40 % 2);
  writer.write_shared(1, event);
  RandomStream random(key_of("small corpus"));
  for (std::int64_t i = 0; i < options.series; ++i)
    for (std::int64_t t = 0; t < options.steps; ++t) {
      promo.push_back(random.uniform() < 0.1 ? 1.0F : 0.0F);
      visits.push_back(static_cast<float>(100 + random.normal()));
      const double mean = (2.0 + static_cast<double>(i)) *
                          (1.0 + 0.5 * std::sin(2 * M_PI * static_cast<double>(t) / 7)) *
                          (promo.back() > 0 ? 2.0 : 1.0);
      const bool missing = (options.all_missing_series && i == 1) || random.uniform() < 0.05;
      demand.push_back(missing ? std::numeric_limits<float>::quiet_NaN()
                               : static_cast<float>(random.poisson(mean)));
      if (options.change) demand.back() = options.change(i, t, demand.back());
    }
  if (options.of_visits) std::swap(demand, visits);
  writer.append(options.series, demand, std::vector<std::vector<float>>{promo, visits});
  writer.write_documents(documents);
  writer.finish();
}

}  // namespace shelfcast::trainer
