// The statistical methods as forecasters of a backtest: each sees the whole history before an origin, not
// just a model's context.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/baselines/methods.h"
#include "eval/config.h"
#include "eval/forecaster.h"
#include "eval/history.h"

namespace shelfcast::eval {

// The filled histories of the series in the batch at hand, read once for all forecasters that share this
// object. One per rank; owns a handle on the corpus, so load() is called from one thread. Memory: one batch's
// series.
class BatchHistories {
 public:
  // Steps of covariate `censored` (empty: none) that are 1 do not count as observed. `history`: steps before
  // an origin that are seen; 0 = all.
  BatchHistories(const data::CorpusSource& corpus, const std::string& censored, std::int64_t season,
                 SeasonalGaps gaps, std::int64_t history);

  // Reads what the batch needs, unless it is what the last one needed.
  void load(const data::Batch& batch);
  // Of a window of the loaded batch; nothing for a padding row. Any thread.
  History before(const data::Window& window) const;

 private:
  HistoryReader reader_;
  std::int64_t season_;
  SeasonalGaps gaps_;
  std::int64_t history_;
  std::vector<data::Window> windows_;  // of the last batch
  // By series and first step seen: one of a series where all of its past is.
  std::map<std::pair<std::int64_t, std::int64_t>, FilledHistory> histories_;

  std::int64_t first_step(std::int64_t origin) const;
  void add(std::int64_t series, std::int64_t origin);
};

// One method as a forecaster of points: mean and median are the same, and not below 0 unless the history was.
// Depends on the histories of the batch's windows alone, whatever the number of threads; rows share the
// threads.
class HistoryForecaster final : public Forecaster {
 public:
  HistoryForecaster(const NamedMethod& method, MethodOptions options,
                    std::shared_ptr<BatchHistories> histories, std::int64_t threads);

  const std::string& name() const override { return name_; }
  void forecast(const data::Batch& batch, ForecastValues& values) override;

 private:
  NamedMethod method_;
  MethodOptions options_;
  std::string name_;
  std::shared_ptr<BatchHistories> histories_;
  std::int64_t threads_;
};

// The statistical baselines that `config` names, in that order. `threads` of each call are at least 1.
std::vector<std::unique_ptr<Forecaster>> make_baselines(const BacktestConfig& config,
                                                        const data::CorpusSource& corpus,
                                                        const std::string& censored, std::int64_t threads);

}  // namespace shelfcast::eval
