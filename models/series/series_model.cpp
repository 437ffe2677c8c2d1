#include "models/series/series_model.h"

#include <algorithm>

#include "base/error.h"
#include "models/demand_model.h"
#include "models/published_config.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_forecast.h"
#include "models/series/quantile_levels.h"

namespace shelfcast::models {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRows = 256;  // of one forward: what bounds the memory of unrolling

void check_request(std::int64_t horizon, const std::vector<double>& levels) {
  if (horizon < 1)
    throw input_error(fmt::format("the horizon is {}", horizon), "it must be at least one step");
  for (const double level : levels) {
    if (!(level > 0.0 && level < 1.0))
      throw input_error(fmt::format("quantile level {}", level), "levels lie between 0 and 1");
  }
}

at::Tensor last_steps(const at::Tensor& x, std::int64_t steps) {
  return x.size(-1) > steps ? x.narrow(-1, x.size(-1) - steps, steps) : x;
}

// Chronos-Bolt is a demand model that adds nothing to its tower.
class BoltSeriesModel : public SeriesModel {
 public:
  BoltSeriesModel(const fs::path& directory, const TowerConfig& tower)
      : model_(config_of(directory, tower), 0) {}

  std::string architecture() const override { return "chronos-bolt"; }
  std::int64_t context_length() const override { return tower().context_length; }
  std::int64_t prediction_length() const override { return tower().prediction_length; }
  const std::vector<double>& levels() const override { return tower().quantiles; }
  const std::vector<Parameter>& parameters() const override { return model_.parameters(); }

  // Beyond its own horizon every quantile is taken for the truth in turn and the model asked again; the
  // quantiles of all those quantiles go on (the reference's rule).
  at::Tensor forecast(const at::Tensor& context_bt, std::int64_t horizon,
                      const std::vector<double>& levels) const override {
    check_request(horizon, levels);
    const at::NoGradGuard no_grad;
    const std::int64_t series = context_bt.size(0), paths = std::ssize(tower().quantiles);
    const at::Tensor own_levels = at::tensor(tower().quantiles, at::kFloat);
    at::Tensor latest_bqh = one_pass(context_bt);
    std::vector<at::Tensor> parts = {latest_bqh};
    at::Tensor contexts_bqt = context_bt.unsqueeze(1).expand({series, paths, context_bt.size(1)});
    for (std::int64_t done = prediction_length(); done < horizon; done += prediction_length()) {
      contexts_bqt = last_steps(at::cat({contexts_bqt, latest_bqh}, 2), context_length());
      const at::Tensor samples = one_pass(contexts_bqt.flatten(0, 1)).view({series, paths * paths, -1});
      latest_bqh = at::quantile(samples, own_levels, 1).transpose(0, 1).contiguous();
      parts.push_back(latest_bqh);
    }
    return interpolate_levels(at::cat(parts, 2).narrow(2, 0, horizon), tower().quantiles, levels);
  }

 private:
  static DemandModelConfig config_of(const fs::path& directory, const TowerConfig& tower) {
    DemandModelConfig result;
    result.model.weights = directory.string();
    result.tower = tower;
    result.model.quantiles = result.tower.quantiles;
    result.model.mean_head = false;
    result.horizon = result.tower.prediction_length;
    result.context = result.tower.context_length;
    return result;
  }

  const TowerConfig& tower() const { return model_.config().tower; }

  // [b, t] -> [b, q, h] at the tower's levels and steps.
  at::Tensor one_pass(const at::Tensor& context_bt) const {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& rows : context_bt.split(kRows)) {
      ModelInputs inputs;
      inputs.context_bt = rows;
      const Forecast forecast = model_.forward(inputs, nullptr);
      parts.push_back(
          (forecast.quantiles_bqh * forecast.scale_b.view({-1, 1, 1}) + forecast.loc_b.view({-1, 1, 1}))
              .to(at::kCPU));
    }
    return at::cat(parts);
  }

  DemandModel model_;
};

// Every series a group of its own, or with its covariates.
class Chronos2SeriesModel : public SeriesModel {
 public:
  explicit Chronos2SeriesModel(const fs::path& directory) : model_(load_chronos2(directory)) {}

  std::string architecture() const override { return "chronos-2"; }
  std::int64_t context_length() const override { return model_.tower.config().context_length; }
  std::int64_t prediction_length() const override { return model_.tower.config().prediction_length(); }
  const std::vector<double>& levels() const override { return model_.tower.config().quantiles; }
  const std::vector<Parameter>& parameters() const override { return model_.parameters; }

  at::Tensor forecast(const at::Tensor& context_bt, std::int64_t horizon,
                      const std::vector<double>& levels) const override {
    check_request(horizon, levels);
    const std::int64_t together = rows_in_memory(model_.tower.config(), context_bt.size(1), horizon);
    std::vector<at::Tensor> parts;
    for (const at::Tensor& rows : context_bt.split(together))
      parts.push_back(unrolled_forecast(model_.tower, {rows, {}, {}, 1}, horizon));
    return interpolate_levels(at::cat(parts), this->levels(), levels);
  }

  bool reads_covariates() const override { return true; }
  std::vector<at::Tensor> forecast_tasks(const std::vector<ForecastTask>& tasks, std::int64_t horizon,
                                         const std::vector<double>& levels) const override {
    check_request(horizon, levels);
    std::vector<at::Tensor> forecasts = models::forecast(model_.tower, tasks, horizon, this->levels());
    for (at::Tensor& forecast : forecasts) forecast = interpolate_levels(forecast, this->levels(), levels);
    return forecasts;
  }

 private:
  Chronos2Model model_;
};

}  // namespace

std::vector<at::Tensor> SeriesModel::forecast_tasks(const std::vector<ForecastTask>&, std::int64_t,
                                                    const std::vector<double>&) const {
  throw input_error(architecture() + " reads no covariates", "",
                    "leave the columns out, or take a chronos-2 model");
}

at::Tensor interpolate_levels(const at::Tensor& values_bqh, const std::vector<double>& from,
                              const std::vector<double>& to) {
  const std::vector<std::int64_t> rows = rows_of_levels(to, from);
  if (!rows.empty()) return values_bqh.index_select(1, at::tensor(rows, at::kLong));
  const at::Tensor ascending_bhq = std::get<0>(values_bqh.transpose(1, 2).sort(2));
  return interpolate_quantiles(to, from, ascending_bhq).transpose(1, 2);
}

std::unique_ptr<SeriesModel> open_series_model(const fs::path& directory) {
  if (!fs::exists(directory / "config.json")) {
    throw input_error(directory.string() + " is not a published model", "it holds no config.json",
                      "point to the folder with config.json and model.safetensors");
  }
  const TowerConfig tower = read_published_tower(directory);
  if (tower.architecture == Architecture::chronos2) return std::make_unique<Chronos2SeriesModel>(directory);
  return std::make_unique<BoltSeriesModel>(directory, tower);
}

}  // namespace shelfcast::models
