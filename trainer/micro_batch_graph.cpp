#include "trainer/micro_batch_graph.h"

#include <c10/util/Exception.h>

#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "models/transfer.h"
#include "parallel/gpu/gpu_loader.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kComparedMicroBatches = 2;

Error failure(const ShelfcastGpuProblem& problem) {
  return input_error("forward and backward do not work as a CUDA graph", problem.text,
                     "set train.cuda_graphs=false: the training is the same");
}

class CudaGraph : public DeviceGraph {
 public:
  explicit CudaGraph(const ShelfcastGraphOperations& cuda) : cuda_(cuda) {}
  ~CudaGraph() override {
    if (graph_ != nullptr) cuda_.release(graph_);
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void record(const std::function<void()>& work) override {
    SHELFCAST_ASSERT(graph_ == nullptr);
    graph_ = begun();
    ShelfcastGpuProblem problem{}, later{};
    // After a failure, too: else the stream would go on taking down.
    try {
      work();
    } catch (const c10::OutOfMemoryError&) {
      end(later);
      throw;
    } catch (const c10::Error& error) {
      end(later);
      std::snprintf(problem.text, sizeof(problem.text), "%s", error.what_without_backtrace());
      throw failure(problem);
    } catch (...) {
      end(later);
      throw;
    }
    if (!end(problem)) throw failure(problem);
  }

  void replay() override {
    ShelfcastGpuProblem problem{};
    if (cuda_.replay(graph_, &problem) == kGpuFailed) throw failure(problem);
  }

 private:
  void* begun() const {
    ShelfcastGpuProblem problem{};
    void* graph = cuda_.begin(&problem);
    // The graph is not made of the text that would say why there is none.
    // cppcheck-suppress returnDanglingLifetime
    if (graph != nullptr) return graph;
    throw failure(problem);
  }
  bool end(ShelfcastGpuProblem& problem) {
    if (cuda_.end(graph_, &problem) == kGpuDone) return true;
    graph_ = nullptr;  // LibTorch's memory still asks it what is being taken down
    return false;
  }

  const ShelfcastGraphOperations& cuda_;
  void* graph_ = nullptr;
};

// Makes room at the first call.
void put(const at::Tensor& from, at::Tensor& to, const at::Device& device) {
  SHELFCAST_ASSERT(!to.defined() || (from.defined() && from.sizes() == to.sizes()));
  if (!from.defined()) return;
  if (!to.defined()) to = at::empty(from.sizes(), from.options().device(device));
  to.copy_(models::sent(from, device), /*non_blocking=*/true);
}

}  // namespace

std::unique_ptr<DeviceGraph> make_cuda_graph() {
  return std::make_unique<CudaGraph>(parallel::graph_operations());
}

MicroBatchGraph::MicroBatchGraph(std::unique_ptr<DeviceGraph> graph, const at::Device& device, Work work)
    : graph_(std::move(graph)), device_(device), work_(std::move(work)) {}

void MicroBatchGraph::take(const MicroBatch& next) {
  MicroBatch from = next;
  const auto inputs = from.inputs.tensors(), inputs_here = here_.inputs.tensors();
  for (std::size_t i = 0; i < inputs.size(); ++i) put(*inputs[i], *inputs_here[i], device_);
  const auto targets = from.targets.tensors(), targets_here = here_.targets.tensors();
  for (std::size_t i = 0; i < targets.size(); ++i) put(*targets[i], *targets_here[i], device_);
  here_.keys = next.keys;
  standing_.renew_keys(next.keys, device_);
}

models::LossSums MicroBatchGraph::compute() {
  const models::StandingTransfers::Scope scope(&standing_);
  const models::LossSums sums = work_(here_);
  standing_.end();
  return {sums.loss.detach(), sums.valid_targets};
}

// Whether micro-batches were the same so far; where not, there is no graph any more.
bool MicroBatchGraph::stands() {
  if (standing_.changed().empty()) return true;
  log::warn("train.cuda_graphs does nothing here: {} changes from one micro-batch to the next",
            standing_.changed());
  recorded_sums_ = {};
  graph_.reset();
  return false;
}

models::LossSums MicroBatchGraph::run(const MicroBatch& next) {
  take(next);
  if (!graph_) return work_(here_);
  if (computed_ < kComparedMicroBatches) {
    ++computed_;
    return compute();
  }
  if (!recorded_) {
    if (!stands()) return work_(here_);
    graph_->record([this] { recorded_sums_ = compute(); });
    // What was sent meanwhile would be sent again each time.
    if (!stands()) return work_(here_);
    recorded_ = true;
  }
  graph_->replay();
  // The next micro-batch's are written in the same places.
  return {recorded_sums_.loss.clone(), recorded_sums_.valid_targets.clone()};
}

}  // namespace shelfcast::trainer
