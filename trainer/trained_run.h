// A run opened for use: its recipe, columns and best model.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/features.h"
#include "models/demand_model.h"
#include "trainer/recipe/recipe.h"
#include "trainer/run/run_folder.h"

namespace shelfcast::trainer {

struct TrainedRun {
  RunFolder folder;
  Recipe recipe;
  data::FeatureSpec features;
  std::int64_t step = 0;                       // of the checkpoint used
  std::int64_t trained = 0;                    // steps done, by the newest whole checkpoint
  bool ended = false;                          // all steps done, or stopped early
  std::unique_ptr<models::DemandModel> model;  // with its adapter merged

  // "m5": the last part of the folder's name.
  std::string name() const;
};

// The last part of a folder's name.
std::string name_of(const std::filesystem::path& folder);

// Whether this is a folder in published form (config.json), not a run. Throws Error(input) when it is
// neither.
bool is_published_model(const std::filesystem::path& folder);

// Opens the best whole checkpoint of a run folder; recipe.model.text names its own text encoder if it was
// trained. Throws Error(input) when this is not a run folder,
// Error(data) when no checkpoint is whole.
TrainedRun open_run(const std::filesystem::path& folder);

}  // namespace shelfcast::trainer
