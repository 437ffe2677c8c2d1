#include "trainer/model_state.h"

#include "base/error.h"

namespace shelfcast::trainer {

std::vector<FlatState> optimizer_state(const Optimizer& optimizer) {
  std::vector<FlatState> state;
  for (const OptimizerState& part : optimizer.state())
    state.push_back(
        {part.name, {part.values.mutable_data_ptr<float>(), static_cast<std::size_t>(part.values.numel())}});
  return state;
}

CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer) {
  const auto write_model = [&model, &buffers](const std::filesystem::path& folder,
                                              std::span<const float> copy) {
    // Frozen parameters never change; of the others, in the model's order too but backwards, the copy counts.
    std::vector<models::Parameter> values = model.parameters();
    auto range = buffers.ranges().rbegin();
    for (models::Parameter& value : values) {
      if (range == buffers.ranges().rend() || range->name != value.name) continue;
      value.tensor = at::from_blob(const_cast<float*>(copy.data()) + range->offset, range->shape, at::kFloat);
      ++range;
    }
    SHELFCAST_ASSERT(range == buffers.ranges().rend());
    model.save(folder, values);
  };
  return {buffers.ranges(),
          {buffers.values().const_data_ptr<float>(), static_cast<std::size_t>(buffers.elements())},
          optimizer_state(optimizer),
          write_model};
}

}  // namespace shelfcast::trainer
