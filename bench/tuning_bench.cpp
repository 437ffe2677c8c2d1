// What an adapter of low rank saves over training everything: time, memory, files; and what fusion costs.
//
//   bench_tuning steps FOLDER  bolt-small, all and lora in turns: windows a second, memory beyond the weights
//   bench_tuning files FOLDER  an adapter of bolt-small stored; one of bolt-base (200 M parameters) read,
//                              merged and stored as a tower
//   bench_tuning fusion FOLDER bolt-small with and without 10 covariates, 5 statics and a frozen text, in
//   turns
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
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

// Five columns known ahead, five of the past, five statics and a text.
data::FeatureSpec fused() {
  data::FeatureSpec spec = demand_alone();
  for (int i = 0; i < 5; ++i) {
    spec.known_numeric.push_back({fmt::format("known {}", i), data::Kind::numeric, "series", {}, {}});
    spec.past_numeric.push_back({fmt::format("past {}", i), data::Kind::numeric, "series", {}, {}});
    spec.statics.push_back({fmt::format("fact {}", i), std::vector<std::string>(50)});
  }
  spec.text.width = 384;
  return spec;
}

data::Batch noise_of(const data::FeatureSpec& spec) {
  data::Batch batch, demand = noise_batch(kWindows);
  batch.resize(spec, kWindows);
  batch.context_bt = demand.context_bt, batch.target_bh = demand.target_bh, batch.weight_b = demand.weight_b;
  RandomStream random(4);
  for (auto* values : {&batch.past_bnt, &batch.known_bnu})
    for (float& value : *values) value = static_cast<float>(random.normal());
  for (std::int32_t& code : batch.statics_bs) code = static_cast<std::int32_t>(random.below(51));
  for (std::int64_t row = 0; row < kWindows; ++row) batch.window_b[static_cast<std::size_t>(row)] = {row, 0};
  return batch;
}

trainer::SeriesTexts noise_texts(const data::FeatureSpec& spec) {
  if (spec.text.width == 0) return {};
  std::vector<std::int64_t> rows(kWindows);
  std::iota(rows.begin(), rows.end(), 0);
  return {at::randn({kWindows, spec.text.width}), rows};
}

// Training on noise by one method.
struct Training {
  Training(const fs::path& weights, const std::string& method, data::FeatureSpec columns = demand_alone())
      : spec(std::move(columns)),
        model(trainer::make_model(recipe_of(weights, method), spec)),
        buffers(trainer::trained_parameters(model, recipe_of(weights, method).tune)),
        optimizer(trainer::make_optimizer({}, buffers)),
        batch(noise_of(spec)),
        texts(noise_texts(spec)) {}
  void forward_and_backward() {
    const models::DropoutKeys keys{1, done++, batch.sample_b};
    models::loss_sums(model.forward(trainer::make_inputs(batch, spec, texts), &keys),
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
  data::FeatureSpec spec;
  models::DemandModel model;
  parallel::FlatBuffers buffers;
  std::unique_ptr<trainer::Optimizer> optimizer;
  data::Batch batch;
  trainer::SeriesTexts texts;
  std::int64_t done = 0;
};

// Windows a second of two trainings that take turns, medians of their steps.
std::pair<double, double> rates(Training& one, Training& other) {
  constexpr int kWarmUp = 2, kSteps = 10;
  std::vector<double> of_one, of_other;
  for (int round = 0; round < kWarmUp + kSteps; ++round) {
    const double a = seconds_of([&] { one.step(); }), b = seconds_of([&] { other.step(); });
    if (round < kWarmUp) continue;
    of_one.push_back(a);
    of_other.push_back(b);
  }
  return {kWindows / median(of_one), kWindows / median(of_other)};
}

void bench_fusion(const fs::path& folder) {
  const fs::path weights = published("bolt-small", folder / "small");
  Training plain(weights, "all"), with_all(weights, "all", fused());
  const auto [alone, together] = rates(plain, with_all);
  fmt::print("windows/s: demand alone {:.1f}, fused {:.1f}: {:.1f} % fewer\n", alone, together,
             100 * (1 - together / alone));
}

void bench_steps(const fs::path& folder) {
  const fs::path weights = published("bolt-small", folder / "small");
  Training all(weights, "all"), lora(weights, "lora");
  const auto [of_all, of_lora] = rates(all, lora);
  fmt::print("windows/s: all {:.1f}, lora {:.1f}: {:.2f} times (medians of steps of {} windows)\n", of_all,
             of_lora, of_lora / of_all, kWindows);
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
    if (what == "fusion") return bench_fusion(argv[2]), 0;
  } catch (const Error& error) {
    fmt::print(stderr, "bench_tuning: {}\n", error.what());
    return 1;
  }
  fmt::print(stderr, "usage: bench_tuning steps FOLDER | files FOLDER | fusion FOLDER\n");
  return 2;
}
