// What of a model is trained, and how fast: the recipe's block `tune`.
#pragma once

#include <vector>

#include "data/features.h"
#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

// The recipe with what its adapter's own configuration decides. Throws what reading that throws.
Recipe with_adapter(Recipe recipe);

// Keys of the block that differ from their defaults though its method does not read them, such as tune.size
// of an adapter of low rank: none of them changes anything.
std::vector<std::string> unread_keys(const TuneConfig& tune);

// What a model trained from scratch writes though no loss has trained it: "the mean (model.loss.mean is 0)".
std::vector<std::string> untrained_outputs(const models::ModelConfig& model);

// Says which keys are not read, and what is not trained. Throws Error(input) for what `tune` asks in vain of
// the recipe's model, without making one.
void check_tuning(const Recipe& recipe, const data::FeatureSpec& features);

// A new model as the recipe wants it, its adapter included.
models::DemandModel make_model(const Recipe& recipe, const data::FeatureSpec& features);

// The parameters that `tune` trains, in the model's order, with their learning rates' factors; all others
// stop requiring gradients. `tune` must have passed check_tuning().
std::vector<parallel::FlatParameter> trained_parameters(const models::DemandModel& model,
                                                        const TuneConfig& tune);

}  // namespace shelfcast::trainer
