// Whole training steps of a Chronos-Bolt size (loader, forward, loss, backward, norm, AdamW) and forecasts
// alone. bench_train FOLDER [TOWER]: makes FOLDER/train_bench.corpus when it is not there, then answers each
// line "train STEPS", "train-bf16 STEPS" or "forecast BATCHES" on stdin with the seconds those took.
// bench/python/train_bolt_peer.py drives it in turns with the reference package.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <iostream>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "bench/setting.h"
#include "data/loader.h"
#include "models/product.h"
#include "parallel/flat_buffers.h"
#include "trainer/model_inputs.h"
#include "trainer/model_state.h"
#include "trainer/optimizer.h"
#include "trainer/tune.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::bench;

constexpr std::int64_t kSeries = 2'000, kSteps = 1'000, kBatch = 32;

// As published: quantiles alone.
models::ModelConfig model_of(const std::string& tower) {
  models::ModelConfig config;
  config.tower = tower;
  config.mean_head = false;
  return config;
}

class Training {
 public:
  Training(const std::filesystem::path& corpus, const std::string& tower)
      : spec_(demand_alone()),
        model_(trainer::make_model_config(model_of(tower), spec_), 1),
        buffers_(trainer::trained_parameters(model_, {})),
        optimizer_(trainer::make_optimizer({}, buffers_)),
        loader_(corpus, spec_, data::Sampler(7, {kSeries, kContext, kSteps - kHorizon, 64, 8}),
                {.global_batch = kBatch, .micro_batch = kBatch, .last_step = 1'000'000}) {}

  void forecast() {
    const at::NoGradGuard no_grad;
    auto& batch = const_cast<data::Batch&>(loader_.next());
    (void)model_.forward(trainer::make_inputs(batch, spec_, {}), nullptr);
  }

  void step(models::Precision precision) {
    const models::PrecisionScope scope(precision);
    auto& batch = const_cast<data::Batch&>(loader_.next());  // from_blob wants a mutable pointer
    const models::DropoutKeys keys{1, number_++, batch.sample_b};
    const models::LossSums sums =
        models::loss_sums(model_.forward(trainer::make_inputs(batch, spec_, {}), &keys),
                          trainer::make_targets(batch, spec_), model_.config());
    sums.loss.backward();
    const double valid = sums.valid_targets.item<double>(), norm = buffers_.gradient_norm() / valid;
    optimizer_->step(1e-4, (norm > 1.0 ? 1.0 / norm : 1.0) / valid);
  }

 private:
  data::FeatureSpec spec_;
  models::DemandModel model_;
  parallel::FlatBuffers buffers_;
  std::unique_ptr<trainer::Optimizer> optimizer_;
  data::Loader loader_;
  std::int64_t number_ = 0;
};

void run(const std::filesystem::path& folder, const std::string& tower) {
  at::set_num_threads(2);
  const auto corpus = folder / "train_bench.corpus";
  if (!std::filesystem::exists(corpus)) make_corpus(corpus, kSeries, kSteps, poisson_demand);
  Training training(corpus, tower);
  std::string what;
  int count = 0;
  while (std::cin >> what >> count) {
    const auto began = Clock::now();
    for (int left = count; left > 0; --left)
      if (what == "forecast")
        training.forecast();
      else
        training.step(what == "train" ? models::Precision::fp32 : models::Precision::bf16);
    fmt::print("{}\n", seconds_since(began));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr,
               "usage: bench_train FOLDER [TOWER], then \"train STEPS\", \"train-bf16 STEPS\" or \"forecast "
               "BATCHES\" on "
               "stdin\n");
    return 2;
  }
  try {
    run(argv[1], argc > 2 ? argv[2] : "bolt-tiny");
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
