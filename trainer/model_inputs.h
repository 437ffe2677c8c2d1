// From a batch of plain arrays to the tensors of the model, and back.
#pragma once

#include <vector>

#include "data/batch.h"
#include "models/demand_model.h"
#include "trainer/demand_classes.h"
#include "trainer/text/series_texts.h"

namespace shelfcast::trainer {

// Views, not copies: the batch must outlive every use of the tensors (autograd included). `keys`: of the
// forward, for texts whose encoder is being trained.
models::ModelInputs make_inputs(data::Batch& batch, const data::FeatureSpec& spec, const SeriesTexts& texts,
                                const models::DropoutKeys* keys = nullptr);
// The classes of the demand that the batch has now, whatever becomes of it later.
models::Targets make_targets(data::Batch& batch, const data::FeatureSpec& spec,
                             const DemandClasses& classes = {});

// One window of a batch's, views.
models::ModelInputs window_of(models::ModelInputs inputs, std::int64_t row);
models::Targets window_of(models::Targets targets, std::int64_t row);

// All of `tensor`'s numbers, in their order.
void copy_out(const at::Tensor& tensor, std::vector<float>& values);

// The model's shapes from a recipe block and the resolved columns.
models::DemandModelConfig make_model_config(const models::ModelConfig& model, const data::FeatureSpec& spec);

}  // namespace shelfcast::trainer
