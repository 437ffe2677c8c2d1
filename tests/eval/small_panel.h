// A small corpus with everything awkward in it, and a forecaster with quantiles, for tests of backtests.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/config.h"
#include "data/corpus_writer.h"
#include "eval/forecaster.h"

namespace shelfcast::eval {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Demand in full, so that tests can work out by hand what a backtest should say.
struct SmallPanel {
  std::int64_t series = 11, steps = 70, demand_end = 64;
  std::vector<float> demand;   // [series, steps]
  std::vector<float> price;    // known, [series, steps]
  std::vector<float> traffic;  // past, [series, steps]
  std::vector<std::int32_t> store, category;
  std::vector<std::string> stores{"north", "south", "Ōsaka \"3\", <main>"};
  std::vector<std::string> categories{"dairy", "bread", "never sold"};

  float at(std::int64_t s, std::int64_t t) const { return demand[static_cast<std::size_t>(s * steps + t)]; }
};

// Series 3 is never observed, 5 is constant, 7 misses every fourth step, 8 starts late; the last steps are
// the future.
inline SmallPanel make_small_panel() {
  SmallPanel panel;
  for (std::int64_t s = 0; s < panel.series; ++s) {
    panel.store.push_back(static_cast<std::int32_t>(s % 3));
    panel.category.push_back(s == 9 ? -1 : static_cast<std::int32_t>(s % 2));
    for (std::int64_t t = 0; t < panel.steps; ++t) {
      float value =
          std::floor(static_cast<float>((s + 1) * (3 + 2 * (t % 7 == 5)) + (t * 13 + s * 7) % 11) * 0.7F);
      if (s == 5) value = 4.0F;
      const bool missing = s == 3 || (s == 7 && t % 4 == 1) || (s == 8 && t < 40) || t >= panel.demand_end;
      panel.demand.push_back(missing ? kNan : value);
      panel.price.push_back(1.0F + static_cast<float>((s + t) % 5));
      panel.traffic.push_back(static_cast<float>((s * t) % 9));
    }
  }
  return panel;
}

inline void write_panel(const SmallPanel& panel, const std::filesystem::path& folder) {
  data::CorpusInfo info;
  info.name = "small";
  info.axis.start = *parse_date("2024-01-01");
  info.steps = panel.steps;
  info.demand_end = panel.demand_end;
  info.series = panel.series;
  info.covariates = {{"price", data::Role::known, data::Kind::numeric, "series", {}},
                     {"traffic", data::Role::past, data::Kind::numeric, "series", {}}};
  info.statics = {{"shop", data::Kind::categorical, panel.stores},
                  {"family", data::Kind::categorical, panel.categories}};
  info.store_level = "shop";
  info.category_level = "family";
  data::SeriesTable table;
  for (std::int64_t s = 0; s < panel.series; ++s) table.names.push_back("series-" + std::to_string(s));
  table.codes = {panel.store, panel.category};
  table.values = {{}, {}};
  data::LayoutOptions layout;
  layout.segment_series = 4;  // several segments
  data::CorpusWriter writer(folder, info, table, layout);
  const std::vector<std::vector<float>> covariates{panel.price, panel.traffic};
  writer.append(panel.series, panel.demand, covariates);
  writer.finish();
}

inline data::DataConfig small_config(std::int64_t context, std::int64_t horizon) {
  data::DataConfig config;
  config.context = context;
  config.horizon = horizon;
  config.known = {"price"};
  config.past = {"traffic"};
  config.statics = {"shop"};
  return config;
}

// Quantiles from the last `seasons` observed values of the same season step: something between a stand-in for
// a model and a fair baseline.
class SeasonalQuantiles final : public Forecaster {
 public:
  SeasonalQuantiles(std::int64_t season, std::int64_t seasons) : season_(season), seasons_(seasons) {}

  const std::string& name() const override { return name_; }
  // Called with every batch, before it is forecast.
  std::function<void(const data::Batch&)> seen;

  void forecast(const data::Batch& batch, ForecastValues& values) override {
    if (seen) seen(batch);
    const auto windows = static_cast<std::size_t>(batch.windows);
    const std::size_t context = batch.context_bt.size() / windows, horizon = batch.target_bh.size() / windows;
    values.levels = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    const std::size_t levels = values.levels.size();
    values.quantiles_bqh.assign(windows * levels * horizon, 0.0F);
    values.mean_bh.assign(windows * horizon, 0.0F);
    values.median_bh.assign(windows * horizon, 0.0F);
    for (std::size_t b = 0; b < windows; ++b) {
      for (std::size_t h = 0; h < horizon; ++h) {
        std::vector<float> sample =
            sample_of(batch.context_bt.data() + b * context, static_cast<std::int64_t>(context),
                      static_cast<std::int64_t>(h));
        float sum = 0.0F;
        for (const float value : sample) sum += value;
        values.mean_bh[b * horizon + h] = sum / static_cast<float>(sample.size());
        for (std::size_t q = 0; q < levels; ++q)
          values.quantiles_bqh[(b * levels + q) * horizon + h] = quantile(sample, values.levels[q]);
        values.median_bh[b * horizon + h] = quantile(sample, 0.5);
      }
    }
  }

 private:
  std::vector<float> sample_of(const float* context, std::int64_t steps, std::int64_t h) const {
    std::vector<float> sample;
    for (std::int64_t t = steps - season_ + h % season_; t >= 0 && std::ssize(sample) < seasons_;
         t -= season_)
      if (!std::isnan(context[t])) sample.push_back(context[t]);
    if (sample.empty()) sample.push_back(0.0F);
    std::sort(sample.begin(), sample.end());
    return sample;
  }

  static float quantile(const std::vector<float>& sorted, double level) {
    const double position = level * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return static_cast<float>(sorted[below] +
                              (position - static_cast<double>(below)) * (sorted[above] - sorted[below]));
  }

  std::string name_ = "Seasonal quantiles";
  std::int64_t season_, seasons_;
};

}  // namespace shelfcast::eval
