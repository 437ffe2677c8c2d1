// A model's parameters as flat buffers, and what of them and of their optimizer a checkpoint holds.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "models/adapters/rank_allocator.h"
#include "models/demand_model.h"
#include "parallel/flat_buffers.h"
#include "trainer/device.h"
#include "trainer/optimizer.h"
#include "trainer/run/checkpoint_writer.h"
#include "trainer/text/trained_text.h"
#include "trainer/weight_average.h"

namespace shelfcast::trainer {

// The elements of a contiguous float32 tensor.
std::span<float> span_of(const at::Tensor& values);

// One of the ranks that share a checkpoint out. Where several groups of ranks hold the same shares (one a
// node), which group this one is of.
struct Writer {
  int rank = 0, ranks = 1;
  int group = 0, groups = 1;
};

// Views of what a checkpoint stores beside the model, and what resuming fills: the optimizer's state, the
// weights themselves where the model's files hold their moving average, and what `ranks` (null = nothing)
// remembers. Of arrays on a device: views of their copies. Of what others hold as well: the writer's
// slice.
std::vector<FlatState> stored_state(const Optimizer& optimizer, const parallel::FlatBuffers& buffers,
                                    const WeightAverage& average, HostCopies& copies,
                                    const models::RankAllocator* ranks = nullptr, Writer writer = {});

// The parameters of flat buffers in the order in which they were put in, with values from a copy of the
// buffers.
class CopiedValues {
 public:
  CopiedValues(const std::vector<parallel::FlatRange>& ranges, std::span<const float> copy)
      : range_(ranges.rbegin()), end_(ranges.rend()), copy_(copy) {}

  // The next ones: of those that are trained the copy's values, frozen ones never change.
  std::vector<models::Parameter> of(std::vector<models::Parameter> parameters);
  bool all_used() const { return range_ == end_; }

 private:
  std::vector<parallel::FlatRange>::const_reverse_iterator range_, end_;
  std::span<const float> copy_;
};

// Writes a demand model and the text encoder trained with it (null = none), whose parameters stand before the
// model's.
void save_demand_model(const std::filesystem::path& folder, const models::DemandModel& model,
                       const TrainedText* text, CopiedValues& values);

// The source of checkpoints of what lies in `buffers`, whose files `write` makes: the weights on rank 0, and
// this writer's share of the rest. All must outlive it. Before every checkpoint `copies` are downloaded.
using WriteModel = std::function<void(const std::filesystem::path& folder, CopiedValues& values)>;
CheckpointSource checkpoint_source(WriteModel write, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average,
                                   HostCopies& copies, Writer writer,
                                   const models::RankAllocator* ranks = nullptr);
// Of a demand model alone.
CheckpointSource checkpoint_source(const models::DemandModel& model, const parallel::FlatBuffers& buffers,
                                   const Optimizer& optimizer, const WeightAverage& average,
                                   HostCopies& copies);

}  // namespace shelfcast::trainer
