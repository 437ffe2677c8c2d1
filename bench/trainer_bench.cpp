// What the trainer costs beside the model: the optimizer's pass, checkpoints in the background, resume, its
// own overhead, texts.
//
//   bench_trainer optimizer          AdamW with clearing against torch's fused one and the memory's bandwidth
//   bench_trainer checkpoint FOLDER  of bolt-base (200 M parameters): blocked, written, training; resume
//   bench_trainer overhead FOLDER    a step's time that is neither the model's nor the loader's
//   bench_trainer text               the vectors of frozen texts, once encoded, in a step
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_adamw.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/measure.h"
#include "bench/setting.h"
#include "models/threads.h"
#include "parallel/flat_buffers.h"
#include "trainer/model_inputs.h"
#include "trainer/model_state.h"
#include "trainer/text/series_texts.h"
#include "trainer/trainer.h"
#include "trainer/tune.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::bench;

// A model with its buffers and optimizer, trained on noise.
struct Training {
  explicit Training(const std::string& tower)
      : Training(std::make_unique<models::DemandModel>(make_config(tower), 1)) {}
  explicit Training(std::unique_ptr<models::DemandModel> given)
      : model(std::move(given)),
        buffers(trainer::trained_parameters(*model, {})),
        optimizer(trainer::make_optimizer({}, buffers)),
        batch(noise_batch(2)) {}

  static models::DemandModelConfig make_config(const std::string& tower) {
    models::ModelConfig config;
    config.tower = tower;
    return trainer::make_model_config(config, demand_alone());
  }
  void forward_and_backward() {
    const models::DropoutKeys keys{1, step++, batch.sample_b};
    const data::FeatureSpec spec = demand_alone();
    models::loss_sums(model->forward(trainer::make_inputs(batch, spec, {}), &keys),
                      trainer::make_targets(batch, spec), model->config())
        .loss.backward();
  }
  std::unique_ptr<models::DemandModel> model;
  parallel::FlatBuffers buffers;
  std::unique_ptr<trainer::Optimizer> optimizer;
  trainer::WeightAverage average{buffers, 0.0};
  trainer::HostCopies copies;
  data::Batch batch;
  std::int64_t step = 0;
};

// --- optimizer
// ---------------------------------------------------------------------------------------------------------

// Bytes a second of the fastest of two passes that read and write every element once, with next to no
// arithmetic: over one array, and over four at once as AdamW's.
double bandwidth(const std::vector<at::Tensor>& arrays) {
  std::array<float*, 4> data{};
  for (std::size_t i = 0; i < 4; ++i) data[i] = arrays[i].mutable_data_ptr<float>();
  const std::int64_t elements = arrays[0].numel();
  constexpr std::int64_t kPiece = 16384;
  const double one = seconds_of([&] {
    models::parallel_for(elements / kPiece, 1, [&](std::int64_t begin, std::int64_t end) {
      float* const a = data[0];
      for (std::int64_t i = begin * kPiece; i < end * kPiece; ++i) a[i] = a[i] * 0.999F + 1e-3F;
    });
  });
  const double four = seconds_of([&] {
    models::parallel_for(elements / kPiece, 1, [&](std::int64_t begin, std::int64_t end) {
      float *const a = data[0], *const b = data[1], *const c = data[2], *const d = data[3];
#pragma GCC ivdep
      for (std::int64_t i = begin * kPiece; i < end * kPiece; ++i) {
        a[i] = a[i] * 0.999F;
        b[i] = b[i] * 0.999F;
        c[i] = c[i] * 0.999F;
        d[i] = d[i] * 0.999F;
      }
    });
  });
  const double bytes = 8.0 * static_cast<double>(elements);
  return std::max(bytes / one, 4.0 * bytes / four);
}

void bench_optimizer() {
  Training ours("bolt-base"), peer("bolt-base");
  // The peer's tensors lie as PyTorch allocates them, one by one.
  std::vector<at::Tensor> values, gradients, first, second, steps, none;
  for (const at::Tensor& tensor : peer.buffers.tensors()) {
    values.push_back(tensor.detach().clone());
    gradients.push_back(at::full_like(values.back(), 1e-3));
    first.push_back(at::zeros_like(values.back()));
    second.push_back(at::zeros_like(values.back()));
    steps.push_back(at::ones({}));
  }
  std::vector<at::Tensor> scratch;
  for (int i = 0; i < 4; ++i) scratch.push_back(at::ones({ours.buffers.elements()}));
  const double bytes = 32.0 * static_cast<double>(ours.buffers.elements());  // four arrays read, four written
  std::vector<double> ours_seconds, peer_seconds, peak;
  for (int round = 0; round < 9; ++round) {
    ours.buffers.gradients().fill_(1e-3);
    for (const at::Tensor& gradient : gradients) gradient.fill_(1e-3);
    peak.push_back(bandwidth(scratch));
    ours_seconds.push_back(seconds_of([&] { ours.optimizer->step(1e-3, 1.0); }));
    peer_seconds.push_back(seconds_of([&] {
      at::_fused_adamw_(values, gradients, first, second, none, steps, 1e-3, 0.9, 0.999, 0.01, 1e-8, false,
                        false);
      for (const at::Tensor& gradient : gradients) gradient.zero_();
    }));
  }
  const double own = bytes / median(ours_seconds);
  fmt::print("{:.1f} M parameters, {} threads, medians of 9\n",
             static_cast<double>(ours.buffers.elements()) / 1e6, at::get_num_threads());
  fmt::print("memory bandwidth (read and write in place)  {:.2f} GB/s\n", median(peak) / 1e9);
  fmt::print("AdamW with clearing   {:.1f} ms, {:.2f} GB/s, {:.0f} % of the bandwidth\n",
             1e3 * median(ours_seconds), own / 1e9, 100 * own / median(peak));
  fmt::print("torch fused + zero_   {:.1f} ms, {:.2f} times ours\n", 1e3 * median(peer_seconds),
             median(peer_seconds) / median(ours_seconds));
}

// --- checkpoint and resume
// ----------------------------------------------------------------------------------------------

void bench_checkpoint(const std::filesystem::path& folder) {
  const trainer::Checkpoints checkpoints(folder);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  {
    Training training("bolt-base");
    const auto train_step = [&] {
      training.forward_and_backward();
      training.optimizer->step(1e-4, 1e-2);
    };
    std::vector<double> usual;
    for (int i = 0; i < 5; ++i) usual.push_back(seconds_of(train_step));
    fmt::print("step without a checkpoint {:.2f} s\n", median(usual));
    trainer::CheckpointWriter writer(
        checkpoints,
        trainer::checkpoint_source(*training.model, training.buffers, *training.optimizer, training.average,
                                   training.copies),
        0, 1, 2);
    for (std::int64_t number = 1; number <= 3; ++number) {
      const trainer::CheckpointWriter::Times before = writer.times();
      trainer::CheckpointNotes notes;
      notes.state.step = number;
      std::vector<double> meanwhile;
      writer.start(notes);
      do {
        meanwhile.push_back(seconds_of([&] {
          training.forward_and_backward();
          writer.finish_copy();
          training.optimizer->step(1e-4, 1e-2);
        }));
      } while (!writer.part_written());
      const double part = writer.times().write;
      writer.commit();
      while (writer.times().write == part) meanwhile.push_back(seconds_of(train_step));
      writer.wait_until_committed();
      const trainer::CheckpointWriter::Times after = writer.times();
      const double write = after.write - before.write, blocked = after.blocked - before.blocked;
      fmt::print(
          "checkpoint {}: copied in {:.2f} s, written in {:.2f} s, training blocked for {:.1f} ms ({:.2f} % "
          "of writing), "
          "steps meanwhile {:.2f} s ({:.2f} times as long)\n",
          number, after.copy - before.copy, write, 1e3 * blocked, 100 * blocked / write, median(meanwhile),
          median(meanwhile) / median(usual));
    }
  }
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(checkpoints.path_of(3)))
    if (entry.is_regular_file()) bytes += entry.file_size();
  std::vector<double> resume;
  for (int round = 0; round < 3; ++round)
    resume.push_back(seconds_of([&] {
      const std::int64_t step = checkpoints.newest_valid().value();
      Training again(
          std::make_unique<models::DemandModel>(models::DemandModel::load(checkpoints.path_of(step))));
      again.optimizer->set_steps(checkpoints.read_optimizer(
          step, again.buffers.ranges(),
          trainer::stored_state(*again.optimizer, again.buffers, again.average, again.copies)));
    }));
  fmt::print("resume from {:.2f} GB, checksums included: {:.2f} s (median of 3)\n",
             static_cast<double>(bytes) / 1e9, median(resume));
}

// --- overhead

void bench_overhead(const std::filesystem::path& folder) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  make_corpus(folder / "noise.corpus", 64, 200, poisson_demand);
  const trainer::Recipe recipe = trainer::parse_recipe(
      "data: {context: 14, horizon: 7}\n"
      "model: {tower: bolt-nano, patch: 7, heads: {quantiles: [0.5]}}\n"
      "train: {steps: 6000, batch: 1, micro_batch: 1, validate_every: 100000, validate_windows: 1, "
      "checkpoint_every: 100000, "
      "log_every: 1000}\n"
      "backtest: {origins: 2, stride: 7, horizon: 7}\n",
      "bench", {"data.corpus=" + (folder / "noise.corpus").string(), "run.dir=" + (folder / "run").string()});
  const auto single = parallel::make_single();
  trainer::train(recipe, {}, *single);
  std::ifstream metrics(folder / "run" / "metrics.jsonl");
  std::vector<double> overheads, wholes;
  for (std::string text; std::getline(metrics, text);) {
    const nlohmann::json line = nlohmann::json::parse(text);
    if (!line.contains("windows_per_second")) continue;
    const double whole = 1.0 / line.at("windows_per_second").get<double>();
    const nlohmann::json& seconds = line.at("seconds");
    const double outside =
        (seconds.at("compute").at("max").get<double>() + seconds.at("load").at("max").get<double>()) / 1000;
    overheads.push_back(whole - outside);
    wholes.push_back(whole);
  }
  // The norm and the optimizer's pass grow with the model; a model without parameters would not have them.
  Training same(std::make_unique<models::DemandModel>(
      models::DemandModel::load(trainer::Checkpoints(folder / "run" / "checkpoints").path_of(6000))));
  at::set_num_threads(1);
  std::vector<double> updates;
  at::Tensor others = at::ones({16 << 20});  // a step's activations push the parameters out of the caches
  for (int i = 0; i < 200; ++i) {
    others.add_(1);
    updates.push_back(seconds_of([&] {
      same.buffers.gradient_norm();
      same.optimizer->step(1e-9, 1.0);
    }));
  }
  fmt::print(
      "step {:.0f} us, of which {:.0f} us are neither loading nor forward and backward (median of {} "
      "thousands)\n",
      1e6 * median(wholes), 1e6 * median(overheads), overheads.size());
  fmt::print("norm and optimizer over {} parameters {:.0f} us: {:.0f} us are the trainer's own\n",
             same.buffers.elements(), 1e6 * median(updates), 1e6 * (median(overheads) - median(updates)));
}

// --- text
// -------------------------------------------------------------------------------------------------------------

// What every epoch but the first spends on frozen texts: a row of a table for each window.
void bench_text() {
  constexpr std::int64_t kSeries = 30490, kWidth = 384, kWindows = 32;
  std::vector<std::int64_t> row_of_series(kSeries);
  std::iota(row_of_series.begin(), row_of_series.end(), 0);
  const trainer::SeriesTexts texts(at::randn({kSeries, kWidth}), row_of_series);
  Training training("bolt-tiny");
  training.batch = noise_batch(kWindows);
  RandomStream random(5);
  std::vector<double> text_seconds, step_seconds;
  for (int round = 0; round < 15; ++round) {
    for (data::Window& window : training.batch.window_b)
      window.series = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(kSeries)));
    at::Tensor text_bw;
    text_seconds.push_back(seconds_of([&] { text_bw = texts.of(training.batch.window_b); }));
    step_seconds.push_back(seconds_of([&] {
      training.forward_and_backward();
      training.optimizer->step(1e-3, 1.0);
    }));
  }
  fmt::print("{} windows, {} threads, medians of 15: texts {:.3f} ms of a step of {:.1f} ms, {:.4f} %\n",
             kWindows, at::get_num_threads(), 1e3 * median(text_seconds), 1e3 * median(step_seconds),
             100 * median(text_seconds) / (median(text_seconds) + median(step_seconds)));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    at::set_num_threads(2);
    if (what == "optimizer" && argc == 2) return bench_optimizer(), 0;
    if (what == "checkpoint" && argc == 3) return bench_checkpoint(argv[2]), 0;
    if (what == "text" && argc == 2) return bench_text(), 0;
    if (what == "overhead" && argc == 3) return bench_overhead(argv[2]), 0;
  } catch (const Error& error) {
    fmt::print(stderr, "bench_trainer: {}\n", error.what());
    return 1;
  }
  fmt::print(stderr, "usage: bench_trainer optimizer | checkpoint FOLDER | overhead FOLDER | text\n");
  return 2;
}
