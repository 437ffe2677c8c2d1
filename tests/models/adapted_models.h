// Published towers that tests put adapters on.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "models/demand_model.h"
#include "tests/models/small_models.h"
#include "tests/support/paths.h"

namespace shelfcast::models::testing {

inline std::filesystem::path golden(const std::string& name) {
  return shelfcast::testing::golden_dir() / name;
}

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// A published tower with columns of every kind beside.
inline DemandModel published(const std::string& name = "bolt/wide_heads") {
  DemandModelConfig config = small_config();
  config.horizon = 5;
  config.model.weights = golden(name).string();
  config.tower = tower_for(config.model, config.context, config.horizon);
  return {config, 3};
}

inline at::Tensor quantiles(const DemandModel& model, const DropoutKeys* keys = nullptr) {
  at::manual_seed(5);
  return model.forward(small_batch(model.config(), 7), keys).quantiles_bqh;
}

// As if it had been trained: what starts at zero does not stay there.
inline void move_adapter(const DemandModel& model) {
  const at::NoGradGuard no_grad;
  for (const Parameter& parameter : model.parameters())
    if (parameter.adapter && parameter.tensor.abs().max().item<float>() == 0.0F)
      at::Tensor(parameter.tensor).normal_(0.0, 0.3);
}

}  // namespace shelfcast::models::testing
