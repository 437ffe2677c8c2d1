#include "trainer/model_state.h"

namespace shelfcast::trainer {

std::vector<parallel::FlatParameter> flat_parameters(const models::DemandModel& model) {
  std::vector<parallel::FlatParameter> flat;
  for (const models::Parameter& parameter : model.parameters())
    flat.push_back({parameter.name, parameter.tensor, 1.0, parameter.decay});
  return flat;
}

std::vector<FlatState> optimizer_state(const Optimizer& optimizer) {
  std::vector<FlatState> state;
  for (const OptimizerState& part : optimizer.state())
    state.push_back(
        {part.name, {part.values.mutable_data_ptr<float>(), static_cast<std::size_t>(part.values.numel())}});
  return state;
}

CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer) {
  // In the model's order, which is the reverse of the buffers'.
  const auto write_model = [&model, &buffers](const std::filesystem::path& folder,
                                              std::span<const float> copy) {
    std::vector<models::Parameter> values;
    for (auto range = buffers.ranges().rbegin(); range != buffers.ranges().rend(); ++range)
      values.push_back(
          {range->name,
           at::from_blob(const_cast<float*>(copy.data()) + range->offset, range->shape, at::kFloat),
           range->decay});
    model.save(folder, values);
  };
  return {buffers.ranges(),
          {buffers.values().const_data_ptr<float>(), static_cast<std::size_t>(buffers.elements())},
          optimizer_state(optimizer),
          write_model};
}

}  // namespace shelfcast::trainer
