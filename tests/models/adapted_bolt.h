// A tower with an adapter beside the reference's: what it computes from its base's golden inputs.
#pragma once

#include <filesystem>
#include <memory>

#include "base/json_file.h"
#include "models/demand_model.h"
#include "tests/models/golden.h"

namespace shelfcast::models::testing {

namespace fs = std::filesystem;

// What a tower with an adapter computes from its base's golden inputs.
class Adapted {
 public:
  virtual ~Adapted() = default;
  virtual at::Tensor forecast() const = 0;
  virtual at::Tensor loss() const = 0;  // as published: a mean
  virtual const std::vector<Parameter>& parameters() const = 0;
  virtual std::string prefix() const = 0;
  virtual void merge() = 0;
};

class AdaptedBolt : public Adapted {
 public:
  AdaptedBolt(const fs::path& base, const fs::path& adapter) : inputs_(base / "case.safetensors") {
    DemandModelConfig config;
    config.model.weights = base.string();
    config.tower = bolt_config_from_published_json(read_json(base / "config.json"));
    config.model.quantiles = config.tower.quantiles;
    config.model.loss.mean = 0.0;
    config.horizon = config.tower.prediction_length;
    config.context = stored(inputs_, "context").size(1);
    model_ = std::make_unique<DemandModel>(config, 1);
    if (!adapter.empty()) model_->add_adapter(adapter);
  }
  at::Tensor forecast() const override {
    const Forecast forecast = of(stored(inputs_, "context"));
    return (forecast.quantiles_bqh * forecast.scale_b.view({-1, 1, 1}) + forecast.loc_b.view({-1, 1, 1}))
        .detach();
  }
  at::Tensor loss() const override {
    const at::Tensor rows = stored(inputs_, "loss_rows").to(at::kLong);
    const at::Tensor target = stored(inputs_, "target").index_select(0, rows);
    const LossSums sums = loss_sums(of(stored(inputs_, "context").index_select(0, rows)),
                                    {target, at::ones({rows.size(0)}), {}}, model_->config());
    return sums.loss / static_cast<double>(rows.size(0));
  }
  const std::vector<Parameter>& parameters() const override { return model_->parameters(); }
  std::string prefix() const override { return "tower."; }
  void merge() override { model_->merge_adapter(); }
  const DemandModel& model() const { return *model_; }

 private:
  Forecast of(const at::Tensor& context) const {
    ModelInputs inputs;
    inputs.context_bt = context;
    return model_->forward(inputs, nullptr);
  }
  SafetensorsFile inputs_;
  std::unique_ptr<DemandModel> model_;
};

}  // namespace shelfcast::models::testing
