// What an adapter of low rank saves over training everything: time, memory, files.
//
//   bench_tuning steps FOLDER  bolt-small, all and lora in turns: windows a second, memory beyond the weights
//   bench_tuning files FOLDER  an adapter of bolt-small stored; one of bolt-base (200 M parameters) read,
//                              merged and stored as a tower
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/measure.h"
#include "bench/setting.h"
#include "trainer/allocation_count.h"
#include "trainer/model_inputs.h"
#include "trainer/optimizer.h"
#include "trainer/tune.h"

namespace {

namespace fs = std::filesystem;
using namespace shelfcast;
using namespace shelfcast::bench;

constexpr std::int64_t kWindows = 16;

// Draws a tower's weights and stores them in published form; returns their folder.
fs::path published(const std::string& tower, const fs::path& folder) {
  models::ModelConfig config;
  config.tower = tower;
  models::DemandModel(trainer::make_model_config(config, demand_alone()), 1).save(folder);
  return folder / "tower";
}

trainer::Recipe recipe_of(const fs::path& weights, const std::string& method) {
  trainer::Recipe recipe;
  recipe.model.weights = weights.string();
  recipe.tune.method = method;
  return recipe;
}

// Training on noise by one method.
struct Training {
  Training(const fs::path& weights, const std::string& method)
      : model(trainer::make_model(recipe_of(weights, method), demand_alone())),
        buffers(trainer::trained_parameters(model, recipe_of(weights, method).tune)),
        optimizer(trainer::make_optimizer({}, buffers)),
        batch(noise_batch(kWindows)) {}
  void forward_and_backward() {
    const models::DropoutKeys keys{1, done++, batch.sample_b};
    const data::FeatureSpec spec = demand_alone();
    models::loss_sums(model.forward(trainer::make_inputs(batch, spec, {}), &keys),
                      trainer::make_targets(batch, spec), model.config())
        .loss.backward();
  }
  void step() {
    forward_and_backward();
    buffers.gradient_norm();
    optimizer->step(1e-4, 1e-2);
  }
  // Gradients, moments and activations.
  double bytes_beyond_weights() {
    double bytes = 4.0 * static_cast<double>(buffers.elements());
    for (const trainer::OptimizerState& state : optimizer->state())
      bytes += 4.0 * static_cast<double>(state.values.numel());
    return bytes + static_cast<double>(trainer::peak_tensor_bytes([this] { forward_and_backward(); }));
  }
  models::DemandModel model;
  parallel::FlatBuffers buffers;
  std::unique_ptr<trainer::Optimizer> optimizer;
  data::Batch batch;
  std::int64_t done = 0;
};

void bench_steps(const fs::path& folder) {
  const fs::path weights = published("bolt-small", folder / "small");
  Training all(weights, "all"), lora(weights, "lora");
  std::vector<double> all_seconds, lora_seconds;
  for (int round = 0; round < 12; ++round) {
    const double one = seconds_of([&] { all.step(); }), other = seconds_of([&] { lora.step(); });
    if (round < 2) continue;
    all_seconds.push_back(one);
    lora_seconds.push_back(other);
  }
  const auto rate = [](const std::vector<double>& seconds) { return kWindows / median(seconds); };
  fmt::print("windows/s: all {:.1f}, lora {:.1f}: {:.2f} times (medians of {} steps of {} windows)\n",
             rate(all_seconds), rate(lora_seconds), rate(lora_seconds) / rate(all_seconds),
             all_seconds.size(), kWindows);
  const double all_bytes = all.bytes_beyond_weights(), lora_bytes = lora.bytes_beyond_weights();
  fmt::print("memory beyond the weights: all {:.0f} MB, lora {:.0f} MB: {:.0f} %\n", all_bytes / 1e6,
             lora_bytes / 1e6, 100 * lora_bytes / all_bytes);
}

models::DemandModel adapted(const fs::path& weights) {
  return trainer::make_model(recipe_of(weights, "lora"), demand_alone());
}

void bench_files(const fs::path& folder) {
  const models::DemandModel small = adapted(published("bolt-small", folder / "small"));
  std::vector<double> saves;
  for (int round = 0; round < 9; ++round)
    saves.push_back(seconds_of([&] { small.save(folder / "small-adapter"); }));
  fmt::print(
      "adapter of bolt-small: {:.0f} kB, the model's files written in {:.1f} ms (median of 9)\n",
      static_cast<double>(fs::file_size(folder / "small-adapter/adapter/adapter_model.safetensors")) / 1e3,
      1e3 * median(saves));
  adapted(published("bolt-base", folder / "base")).save(folder / "base-adapter");
  std::vector<double> merges;
  for (int round = 0; round < 3; ++round) {
    merges.push_back(seconds_of([&] {
      models::DemandModel model = models::DemandModel::load(folder / "base-adapter");
      model.merge_adapter();
      model.save(folder / "merged");
    }));
  }
  fmt::print(
      "adapter of bolt-base read with its base, merged, {:.0f} MB of tower written: {:.2f} s (median of 3)\n",
      static_cast<double>(fs::file_size(folder / "merged/tower/model.safetensors")) / 1e6, median(merges));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  try {
    at::set_num_threads(2);
    if (what == "steps") return bench_steps(argv[2]), 0;
    if (what == "files") return bench_files(argv[2]), 0;
  } catch (const Error& error) {
    fmt::print(stderr, "bench_tuning: {}\n", error.what());
    return 1;
  }
  fmt::print(stderr, "usage: bench_tuning steps FOLDER | files FOLDER\n");
  return 2;
}
