#include "trainer/model_state.h"

#include "base/error.h"

namespace shelfcast::trainer {

namespace {

std::span<float> span_of(const at::Tensor& values) {
  return {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())};
}

}  // namespace

std::vector<FlatState> stored_state(const Optimizer& optimizer, const parallel::FlatBuffers& buffers,
                                    const WeightAverage& average) {
  std::vector<FlatState> state;
  for (const OptimizerState& part : optimizer.state())
    state.push_back({part.name, span_of(part.values), part.ranges});
  if (average.active()) state.push_back({"weights", span_of(buffers.values()), {}});
  return state;
}

CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average) {
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
  return {buffers.ranges(), span_of(average.active() ? average.values() : buffers.values()),
          stored_state(optimizer, buffers, average), write_model};
}

}  // namespace shelfcast::trainer
