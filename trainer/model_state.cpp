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

namespace {

// The ranges of flat buffers in the order in which parameters were put in, with a copy of their values.
class CopiedValues {
 public:
  CopiedValues(const std::vector<parallel::FlatRange>& ranges, std::span<const float> copy)
      : range_(ranges.rbegin()), end_(ranges.rend()), copy_(copy) {}

  // Frozen parameters never change; of the others the copy counts.
  std::vector<models::Parameter> of(std::vector<models::Parameter> values) {
    for (models::Parameter& value : values) {
      if (range_ == end_ || range_->name != value.name) continue;
      value.tensor =
          at::from_blob(const_cast<float*>(copy_.data()) + range_->offset, range_->shape, at::kFloat);
      ++range_;
    }
    return values;
  }
  bool all_used() const { return range_ == end_; }

 private:
  std::vector<parallel::FlatRange>::const_reverse_iterator range_, end_;
  std::span<const float> copy_;
};

}  // namespace

CheckpointSource checkpoint_source(const models::DemandModel& model, const TrainedText* text,
                                   const parallel::FlatBuffers& buffers, const Optimizer& optimizer) {
  const auto write_model = [&model, text, &buffers](const std::filesystem::path& folder,
                                                    std::span<const float> copy) {
    CopiedValues values(buffers.ranges(), copy);
    if (text != nullptr) text->save(folder / kTextFolder, values.of(text->parameters()));
    model.save(folder, values.of(model.parameters()));
    SHELFCAST_ASSERT(values.all_used());
  };
  return {buffers.ranges(),
          {buffers.values().const_data_ptr<float>(), static_cast<std::size_t>(buffers.elements())},
          optimizer_state(optimizer),
          write_model};
}

}  // namespace shelfcast::trainer
