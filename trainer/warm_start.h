// A run that begins with the weights of another: `run.start` of a recipe.
#pragma once

#include <filesystem>

#include "data/features.h"
#include "models/demand_model.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

// Throws Error(input) when recipe.run.start is no run, or its model reads other columns or texts or writes
// other quantiles or classes than the recipe's, which reads `features`: what can be known before a run folder
// is made.
void check_start(const Recipe& recipe, const data::FeatureSpec& features);

// Copies the best weights of the run in `folder` into `model`, which reads `features`. Embeddings go with
// the words of the vocabularies, so that a corpus may have got new stores or events meanwhile: what the other
// run did not know stays as it was drawn. Throws Error(input) naming the parameter when the two models are
// not built alike, and what open_run() throws.
void start_from(const std::filesystem::path& folder, models::DemandModel& model,
                const data::FeatureSpec& features);

}  // namespace shelfcast::trainer
