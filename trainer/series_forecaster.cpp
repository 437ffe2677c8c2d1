#include "trainer/series_forecaster.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "base/error.h"
#include "models/config.h"
#include "trainer/model_inputs.h"

namespace shelfcast::trainer {
namespace {

// Columns of one window among those of all windows.
class WindowColumns {
 public:
  WindowColumns(const data::FeatureSpec& spec, std::int64_t row) : spec_(spec), row_(row) {}

  std::vector<models::Covariate> past(const data::Batch& batch) const {
    std::vector<models::Covariate> columns = numbers(batch.past_bnt, spec_.past_numeric, spec_.context);
    for (models::Covariate& column : names(batch.past_codes_bct, spec_.past_categorical, spec_.context))
      columns.push_back(std::move(column));
    return columns;
  }
  std::vector<models::Covariate> known(const data::Batch& batch) const {
    const std::int64_t steps = spec_.context + spec_.horizon;
    std::vector<models::Covariate> columns = numbers(batch.known_bnu, spec_.known_numeric, steps);
    for (models::Covariate& column : names(batch.known_codes_bcu, spec_.known_categorical, steps))
      columns.push_back(std::move(column));
    return columns;
  }

 private:
  std::vector<models::Covariate> numbers(const std::vector<float>& values,
                                         const std::vector<data::FeatureColumn>& columns,
                                         std::int64_t steps) const {
    std::vector<models::Covariate> result;
    const float* from = values.data() + row_ * std::ssize(columns) * steps;
    for (const data::FeatureColumn& column : columns) {
      result.push_back({column.name,
                        {.numbers = {from, from + spec_.context}, .names = {}},
                        {.numbers = {from + spec_.context, from + steps}, .names = {}}});
      from += steps;
    }
    return result;
  }
  std::vector<models::Covariate> names(const std::vector<std::int32_t>& codes,
                                       const std::vector<data::FeatureColumn>& columns,
                                       std::int64_t steps) const {
    std::vector<models::Covariate> result;
    const std::int32_t* from = codes.data() + row_ * std::ssize(columns) * steps;
    for (const data::FeatureColumn& column : columns) {
      models::Covariate& covariate = result.emplace_back(models::Covariate{column.name, {}, {}});
      for (std::int64_t step = 0; step < steps; ++step) {
        auto& part = step < spec_.context ? covariate.past.names : covariate.future.names;
        const std::int32_t code = from[step];
        code == 0 ? part.push_back({})
                  : part.push_back(column.vocabulary[static_cast<std::size_t>(code) - 1]);
      }
      from += steps;
    }
    return result;
  }

  const data::FeatureSpec& spec_;
  std::int64_t row_;
};

bool has_columns(const data::FeatureSpec& spec) {
  return !(spec.past_numeric.empty() && spec.past_categorical.empty() && spec.known_numeric.empty() &&
           spec.known_categorical.empty());
}

}  // namespace

data::FeatureSpec series_features(const models::SeriesModel& model, data::FeatureSpec spec,
                                  std::int64_t most_context) {
  if (has_columns(spec) && !model.reads_covariates())
    throw input_error(model.architecture() + " reads no covariates",
                      "it forecasts a series from its past alone",
                      "leave --known and --past out, or take a chronos-2 model");
  spec.context = std::min(model.context_length(), std::max<std::int64_t>(1, most_context));
  return spec;
}

SeriesForecaster::SeriesForecaster(std::string name, const models::SeriesModel& model,
                                   const data::FeatureSpec& spec, std::vector<double> levels)
    : name_(std::move(name)), model_(model), spec_(spec), levels_(std::move(levels)) {
  if (levels_.empty()) levels_ = model.levels();
  models::require_levels(levels_, "--quantiles");
}

at::Tensor SeriesForecaster::trained_quantiles(const data::Batch& batch) const {
  const std::vector<double>& trained = model_.levels();
  if (!has_columns(spec_))
    return model_.forecast(at::from_blob(const_cast<float*>(batch.context_bt.data()),
                                         {batch.windows, spec_.context}, at::kFloat),
                           spec_.horizon, trained);
  std::vector<models::ForecastTask> tasks;
  for (std::int64_t row = 0; row < batch.windows; ++row) {
    const WindowColumns columns(spec_, row);
    const float* demand = batch.context_bt.data() + row * spec_.context;
    tasks.push_back({{{demand, demand + spec_.context}}, columns.past(batch), columns.known(batch)});
  }
  return at::cat(model_.forecast_tasks(tasks, spec_.horizon, trained), 0);
}

// Crossing levels are sorted before any is taken, so that none depends on which others are asked for.
void SeriesForecaster::forecast(const data::Batch& batch, eval::ForecastValues& values) {
  const std::vector<double>& trained = model_.levels();
  const at::Tensor all = std::get<0>(trained_quantiles(batch).clamp_min(0.0).sort(1));
  values.levels = levels_;
  copy_out(models::interpolate_levels(all, trained, levels_), values.quantiles_bqh);
  copy_out(models::interpolate_levels(all, trained, {0.5}).select(1, 0), values.median_bh);
  values.mean_bh = values.median_bh;
}

}  // namespace shelfcast::trainer
