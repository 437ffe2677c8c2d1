#include "trainer/model_state.h"

#include <map>

#include "base/error.h"

namespace shelfcast::trainer {

std::span<float> span_of(const at::Tensor& values) {
  return {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())};
}

namespace {

// Where each of the buffers' parameters lies in this state; those that it does not know have no elements
// there.
std::vector<parallel::FlatRange> ranges_of(const models::RankAllocator::State& state,
                                           std::vector<parallel::FlatRange> ranges) {
  std::map<std::string, std::int64_t> offsets;
  std::int64_t end = 0;
  for (const models::Parameter& parameter : state.parameters) {
    offsets[parameter.name] = end;
    end += parameter.tensor.numel();
  }
  for (parallel::FlatRange& range : ranges) {
    const auto found = offsets.find(range.name);
    range.offset = found == offsets.end() ? 0 : found->second;
    if (found == offsets.end()) range.elements = 0;
  }
  return ranges;
}

}  // namespace

std::vector<FlatState> stored_state(const Optimizer& optimizer, const parallel::FlatBuffers& buffers,
                                    const WeightAverage& average, HostCopies& copies,
                                    const models::RankAllocator* ranks, Writer writer) {
  std::vector<FlatState> state;
  const auto add = [&](const std::string& name, at::Tensor values, std::vector<parallel::FlatRange> layout,
                       std::optional<std::int64_t> begin) {
    if (writer.ranks > 1) {
      const parallel::Slice own = begin ? parallel::slice_of(values.numel(), writer.groups, writer.group)
                                        : parallel::slice_of(values.numel(), writer.ranks, writer.rank);
      values = values.narrow(0, own.begin, own.size());
      begin = begin.value_or(0) + own.begin;
    }
    state.push_back({name, span_of(copies.of(values)), std::move(layout), begin});
  };
  for (const OptimizerState& part : optimizer.state()) add(part.name, part.values, part.ranges, part.begin);
  if (average.active()) add("weights", buffers.values(), {}, {});
  if (ranks != nullptr)
    for (const models::RankAllocator::State& part : ranks->state())
      add(part.name, part.values, ranges_of(part, buffers.ranges()), {});
  return state;
}

std::vector<models::Parameter> CopiedValues::of(std::vector<models::Parameter> parameters) {
  for (models::Parameter& parameter : parameters) {
    if (range_ == end_ || range_->name != parameter.name) continue;
    parameter.tensor =
        at::from_blob(const_cast<float*>(copy_.data()) + range_->offset, range_->shape, at::kFloat);
    ++range_;
  }
  return parameters;
}

void save_demand_model(const std::filesystem::path& folder, const models::DemandModel& model,
                       const TrainedText* text, CopiedValues& values) {
  if (text != nullptr) text->save(folder / kTextFolder, values.of(text->parameters()));
  model.save(folder, values.of(model.parameters()));
}

CheckpointSource checkpoint_source(WriteModel write, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average,
                                   HostCopies& copies, Writer writer, const models::RankAllocator* ranks) {
  const auto write_model = [write = std::move(write), &buffers](const std::filesystem::path& folder,
                                                                std::span<const float> copy) {
    CopiedValues values(buffers.ranges(), copy);
    write(folder, values);
    SHELFCAST_ASSERT(values.all_used());
  };
  std::span<const float> values;
  if (writer.rank == 0) values = span_of(copies.of(average.active() ? average.values() : buffers.values()));
  return {buffers.ranges(), values, stored_state(optimizer, buffers, average, copies, ranks, writer),
          write_model};
}

CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average,
                                   HostCopies& copies) {
  return checkpoint_source(
      [&model](const std::filesystem::path& folder, CopiedValues& values) {
        save_demand_model(folder, model, nullptr, values);
      },
      buffers, optimizer, average, copies, {});
}

}  // namespace shelfcast::trainer
