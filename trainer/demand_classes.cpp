#include "trainer/demand_classes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "eval/history.h"

namespace shelfcast::trainer {
namespace {

static_assert(eval::kDemandLevels == models::kDemandClasses);
using Counts = std::array<std::int64_t, eval::kDemandLevels>;

constexpr std::int64_t kBlockSeries = 256;  // series read at a time while fitting
constexpr float kOpenAbove = 0.5F;          // of data.open; a missing value is an open step

void require_all_met(const Counts& met, const std::vector<double>& shares) {
  for (std::size_t c = 0; c < met.size(); ++c)
    if (met[c] == 0)
      throw input_error(fmt::format("no demand that is trained on is {} by model.heads.classes [{}]",
                                    eval::demand_levels()[c], fmt::join(shares, ", ")),
                        fmt::format("of these steps {} are low, {} normal and {} high to their series",
                                    met[0], met[1], met[2]),
                        "choose other shares (where most days sell nothing, the lower quantiles are all 0), "
                        "or leave the head "
                        "out");
}

std::vector<double> weights_of(const Counts& met, const models::LossConfig& loss) {
  if (!loss.balance_classes)
    return loss.class_weights.empty() ? std::vector<double>(met.size(), 1.0) : loss.class_weights;
  const auto all = static_cast<double>(std::accumulate(met.begin(), met.end(), std::int64_t{0}));
  std::vector<double> weights;
  for (const std::int64_t n : met)
    weights.push_back(all / (static_cast<double>(met.size()) * static_cast<double>(n)));
  return weights;
}

}  // namespace

DemandClasses::DemandClasses(const data::DataConfig& config, const data::CorpusInfo& info,
                             const models::ModelConfig& model, std::int64_t first_target,
                             std::int64_t train_end) {
  constexpr std::int64_t kNoSeason = 1;  // scales are not asked for
  std::vector<std::size_t> open;
  if (!config.open.empty()) open.push_back(info.covariate_index(config.open));
  eval::HistoryReader history(config.source(), config.censored, kNoSeason, {}, open);
  const std::int64_t series = history.corpus().info().series;
  std::vector<eval::LevelThresholds> thresholds;
  Counts met{};
  for (std::int64_t first = 0; first < series; first += kBlockSeries) {
    const std::int64_t count = std::min(kBlockSeries, series - first);
    history.load(first, count);
    for (std::int64_t s = first; s < first + count; ++s) {
      const std::span<const float> past = history.demand(s).first(static_cast<std::size_t>(train_end));
      thresholds.push_back(eval::fit_levels(past, {model.classes[0], model.classes[1]}));
      for (auto t = static_cast<std::size_t>(first_target); t < past.size(); ++t) {
        const bool closed = !open.empty() && history.covariate(0, s)[t] < kOpenAbove;
        if (!std::isnan(past[t]) && !closed) ++met[thresholds.back().level_of(past[t])];
      }
    }
  }
  require_all_met(met, model.classes);
  weights_ = weights_of(met, model.loss);
  thresholds_ = std::make_shared<const std::vector<eval::LevelThresholds>>(std::move(thresholds));
}

std::vector<std::int64_t> DemandClasses::of(const data::Batch& batch) const {
  std::vector<std::int64_t> classes(batch.target_bh.size(), models::kNoClass);
  const std::size_t steps = batch.target_bh.size() / batch.window_b.size();
  for (std::size_t row = 0; row < batch.window_b.size(); ++row) {
    const std::int64_t series = batch.window_b[row].series;
    if (series < 0 || !thresholds(series).known()) continue;
    for (std::size_t cell = row * steps; cell < (row + 1) * steps; ++cell)
      if (!std::isnan(batch.target_bh[cell]))
        classes[cell] = static_cast<std::int64_t>(thresholds(series).level_of(batch.target_bh[cell]));
  }
  return classes;
}

}  // namespace shelfcast::trainer
