// A corpus of demand that a promotion doubles, for tests of baselines that learn.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/config.h"
#include "data/corpus_writer.h"
#include "data/features.h"

namespace shelfcast::eval {

inline constexpr float kNever = std::numeric_limits<float>::quiet_NaN();

// Demand of 12 series over 200 days that a promotion doubles, on a level and a week of their own.
struct Market {
  std::int64_t series = 12, steps = 200;
  float promo(std::int64_t s, std::int64_t t) const { return mix(s, t) % 4 == 0 ? 1.0F : 0.0F; }
  float demand(std::int64_t s, std::int64_t t) const {
    if (s == 3 || (s == 4 && t < 120) || mix(s + 100, t) % 10 == 0) return kNever;
    const auto week = static_cast<float>(1 + t % 7);
    return static_cast<float>(s + 1) * 5.0F * week * (1.0F + promo(s, t));
  }
  // A code.
  float mood(std::int64_t s, std::int64_t t) const { return static_cast<float>(mix(s + 200, t) % 2); }
  float size(std::int64_t s) const { return 10.5F + static_cast<float>(s); }
  using Steps = std::function<bool(std::int64_t)>;
  static bool none(std::int64_t /*step*/) { return false; }
  // On steps that `poisoned` names demand and visits are absurd, on those of `dear` the price, which is known
  // ahead.
  std::filesystem::path write(const std::filesystem::path& folder, const Steps& poisoned = none,
                              const Steps& dear = none) const {
    data::CorpusInfo info;
    info.name = "market";
    info.axis.start = *parse_date("2024-01-01");
    info.steps = steps;
    info.demand_end = steps;
    info.series = series;
    info.covariates = {{"promo", data::Role::known, data::Kind::numeric, "series", {}},
                       {"visits", data::Role::past, data::Kind::numeric, "series", {}},
                       {"price", data::Role::known, data::Kind::numeric, "series", {}},
                       {"mood", data::Role::past, data::Kind::categorical, "series", {"calm", "wild"}}};
    info.statics = {{"store", data::Kind::categorical, {"a", "b"}}, {"size", data::Kind::numeric, {}}};
    data::SeriesTable table;
    table.codes.resize(2);
    table.values.resize(2);
    std::vector<float> sold, promotions, visits, price, moods;
    for (std::int64_t s = 0; s < series; ++s) {
      table.names.push_back("series-" + std::to_string(s));
      table.codes[0].push_back(static_cast<std::int32_t>(s % 2));
      table.values[1].push_back(size(s));
      for (std::int64_t t = 0; t < steps; ++t) {
        sold.push_back(poisoned(t) ? 1e6F : demand(s, t));
        promotions.push_back(promo(s, t));
        visits.push_back(poisoned(t) ? -1e6F : static_cast<float>(t % 5));
        moods.push_back(poisoned(t) ? 1.0F : mood(s, t));
        price.push_back(dear(t) ? 1e6F : 2.0F + static_cast<float>((s + t / 9) % 3));
      }
    }
    data::CorpusWriter writer(folder / "market.corpus", info, table);
    writer.append(series, sold, std::vector{promotions, visits, price, moods});
    writer.finish();
    return folder / "market.corpus";
  }
  static data::FeatureSpec features(const std::filesystem::path& corpus) {
    data::DataConfig config;
    config.context = 28;
    config.horizon = 14;
    config.known = {"promo", "price"};
    config.past = {"visits", "mood"};
    config.statics = {"store", "size"};
    return data::make_features(config, data::Corpus(corpus), 150);
  }
};

}  // namespace shelfcast::eval
