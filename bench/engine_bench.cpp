// What the parallel engine hides of communication and what it costs, on links as slow as one wishes.
//   bench_engine overlap TOWER WINDOWS [BUCKET_MB]   two ranks as threads, links of 1 and of 10 GB/s: whole
//                           gradients, shares of them (ZeRO-2), and both in 16 bits
//   mpirun -n N bench_engine sums MEGABYTES [BUCKET_MB]
//                           so many gradients in buckets, all under way at once, against one bare
//                           MPI_Allreduce
//   bench_engine schedule   the cost model's exposed time against layers and links that sleep
//   bench_engine foretell MILLIONS MICRO_BATCH SECONDS RANKS [bucket_mb=N] [zero=N] [sharers=N] [NAME=VALUE
//   ...]
//                           the cost model for so many parameters and seconds of a micro-batch, 256
//                           micro-batches a step (docs/scaling.md)
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <mpi.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/measure.h"
#include "bench/setting.h"
#include "parallel/buckets.h"
#include "parallel/gradient_sync.h"
#include "parallel/launch.h"
#include "parallel/threads/delayed_link.h"
#include "trainer/cost_model.h"
#include "trainer/model_inputs.h"
#include "trainer/tune.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::bench;

// A published tower's model on noise.
struct Training {
  // `held`: the half whose gradients are held; none = whole.
  Training(const std::string& tower, std::int64_t windows, std::optional<parallel::Part> held)
      : model(make_config(tower), 1),
        buffers(trainer::trained_parameters(model, {}), 2, held),
        batch(noise_batch(windows)) {}
  static models::DemandModelConfig make_config(const std::string& tower) {
    models::ModelConfig config;
    config.tower = tower;
    return trainer::make_model_config(config, demand_alone());
  }
  at::Tensor loss(std::int64_t step) {
    const models::DropoutKeys keys{1, step, batch.sample_b};
    const data::FeatureSpec spec = demand_alone();
    return models::loss_sums(model.forward(trainer::make_inputs(batch, spec, {}), &keys),
                             trainer::make_targets(batch, spec), model.config())
        .loss;
  }
  models::DemandModel model;
  parallel::FlatBuffers buffers;
  data::Batch batch;
};

// When the last of the ranks came here. Collective.
Clock::time_point last_of(parallel::Communicator& ranks) {
  std::int64_t latest = Clock::now().time_since_epoch().count();
  ranks.all_reduce(std::span(&latest, 1), parallel::ReduceOp::max, "latest");
  return Clock::time_point(Clock::duration(latest));
}

// --- overlap

struct Overlap {
  std::vector<double> backward, link, exposed, hidden, waited;  // seconds of a step, and the hidden share
};

enum class Gradients { whole, shares };

// Exposed is what the link still has to do once the slower rank has ended its backward, and what rank 0
// waited for within its own: shares have room for two buckets.
Overlap measure_overlap(const std::string& tower, std::int64_t windows, std::int64_t bucket_bytes,
                        parallel::LinkSpeed speed, Gradients gradients, parallel::GradientFormat format) {
  Overlap result;
  const auto link = std::make_shared<parallel::DelayedLink>(speed, 2);
  std::mutex building;
  parallel::run_ranks_as_threads(2, [&](parallel::Communicator& ranks) {
    at::set_num_threads(1);
    std::unique_ptr<Training> training;
    {
      const std::lock_guard lock(building);
      training = std::make_unique<Training>(
          tower, windows,
          gradients == Gradients::whole ? std::nullopt : std::optional(parallel::Part{ranks.rank(), 2}));
    }
    const auto slow = parallel::make_delayed(ranks, link);
    parallel::GradientSync sync(training->buffers, *slow, bucket_bytes, format);
    for (std::int64_t step = 0; step < 9; ++step) {
      training->buffers.zero_gradients();
      const at::Tensor loss = training->loss(step);
      ranks.barrier("forward");
      const double before = link->busy_seconds(), waited_before = sync.waited_seconds();
      sync.arm();
      const auto began = Clock::now();
      loss.backward();
      const double waited = sync.waited_seconds() - waited_before;
      const auto ended = last_of(ranks);
      sync.finish();  // starts the buckets of parameters that this loss does not use
      const double left = std::chrono::duration<double>(link->busy_until() - ended).count();
      if (ranks.rank() != 0 || step == 0) continue;  // the first step finds cold caches
      const double busy = link->busy_seconds() - before;
      result.backward.push_back(std::chrono::duration<double>(ended - began).count());
      result.link.push_back(busy);
      result.exposed.push_back(std::max(0.0, left));
      result.hidden.push_back(1 - std::max(0.0, left) / busy);
      result.waited.push_back(waited);
    }
  });
  return result;
}

void bench_overlap(const std::string& tower, std::int64_t windows, std::int64_t bucket_mb) {
  fmt::print("{}, {} windows a rank, buckets of {} MB, medians of 8 steps\n", tower, windows, bucket_mb);
  for (const double gigabytes : {1.0, 10.0})
    for (const Gradients gradients : {Gradients::whole, Gradients::shares})
      for (const auto format : {parallel::GradientFormat::fp32, parallel::GradientFormat::bf16}) {
        const Overlap one = measure_overlap(tower, windows, bucket_mb * 1'000'000, {gigabytes * 1e9, 20e-6},
                                            gradients, format);
        fmt::print(
            "{:4.0f} GB/s, {:<6} {}: backward {:6.1f} ms, waited {:5.2f} ms of it, link {:6.1f} ms, exposed "
            "{:6.2f} ms, hidden {:.1f} %\n",
            gigabytes, gradients == Gradients::whole ? "whole" : "shares",
            format == parallel::GradientFormat::fp32 ? "fp32" : "bf16", 1e3 * median(one.backward),
            1e3 * median(one.waited), 1e3 * median(one.link), 1e3 * median(one.exposed),
            100 * median(one.hidden));
      }
}

// --- sums

void bench_sums(parallel::Launch& launch, std::int64_t megabytes, std::int64_t bucket_mb) {
  const auto ranks = launch.world(parallel::Backend::mpi, {});
  std::vector<float> values(static_cast<std::size_t>(megabytes * 1'000'000) / sizeof(float), 1.0F);
  // Where the trainer's gradients lie.
  const auto memory = ranks->allocate(values.size() * sizeof(float), "gradients");
  const std::span<float> gradients(reinterpret_cast<float*>(memory.get()), values.size());
  std::ranges::fill(gradients, 1.0F);
  const std::size_t bucket = static_cast<std::size_t>(bucket_mb * 1'000'000) / sizeof(float);
  std::vector<double> bare, ours;
  for (int round = 0; round < 15; ++round) {
    ranks->barrier("round");
    const double in_one = seconds_of([&] {
      MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM,
                    MPI_COMM_WORLD);
    });
    ranks->barrier("round");
    const double in_buckets = seconds_of([&] {
      std::vector<std::unique_ptr<parallel::Pending>> under_way;
      for (std::size_t at = 0; at < gradients.size(); at += bucket)
        under_way.push_back(ranks->start_all_reduce(
            gradients.subspan(at, std::min(bucket, gradients.size() - at)), "bucket"));
      for (const auto& sum : under_way) sum->wait();
    });
    if (round < 2) continue;  // cold memory
    bare.push_back(in_one);
    ours.push_back(in_buckets);
    std::ranges::fill(values, 1.0F);
    std::ranges::fill(gradients, 1.0F);
  }
  if (ranks->rank() != 0) return;
  const double bytes = 1e6 * static_cast<double>(megabytes);
  fmt::print(
      "{} ranks, {} MB: one MPI_Allreduce {:.2f} GB/s, in buckets of {} MB {:.2f} GB/s, ratio {:.2f}\n",
      ranks->size(), megabytes, bytes / median(bare) / 1e9, bucket_mb, bytes / median(ours) / 1e9,
      median(bare) / median(ours));
}

// --- schedule

// x as it is; sleeps when its gradient comes by, as a layer that computes elsewhere.
struct Sleep : torch::autograd::Function<Sleep> {
  static at::Tensor forward(torch::autograd::AutogradContext* /*context*/, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* /*context*/,
                                                 const torch::autograd::variable_list& gradients) {
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
    return gradients;
  }
};

constexpr int kLayers = 24;
constexpr std::int64_t kLayer = 100'000;  // parameters

struct Exposed {
  double backward = 0, measured = 0, foretold = 0;  // seconds
};

Exposed measure_schedule(int count, double gigabytes, std::int64_t bucket_bytes) {
  constexpr double kLatency = 20e-6;
  const auto link =
      std::make_shared<parallel::DelayedLink>(parallel::LinkSpeed{gigabytes * 1e9, kLatency}, count);
  std::vector<double> backward, measured;
  std::vector<parallel::Bucket> buckets;
  parallel::run_ranks_as_threads(count, [&](parallel::Communicator& ranks) {
    at::set_num_threads(1);
    std::vector<parallel::FlatParameter> layers;
    for (int i = 0; i < kLayers; ++i)
      layers.push_back({fmt::format("layer {}", i), at::ones({kLayer}).set_requires_grad(true)});
    parallel::FlatBuffers buffers(layers);
    const auto slow = parallel::make_delayed(ranks, link);
    parallel::GradientSync sync(buffers, *slow, bucket_bytes);
    for (int step = 0; step < 8; ++step) {
      at::Tensor y = at::zeros({});
      for (const parallel::FlatParameter& layer : layers) y = Sleep::apply(y + layer.tensor.select(0, 0));
      ranks.barrier("forward");
      sync.arm();
      const auto began = Clock::now();
      y.backward();
      const auto ended = last_of(ranks);
      sync.finish();  // starts the buckets of parameters that this loss does not use
      const double left = std::chrono::duration<double>(link->busy_until() - ended).count();
      if (ranks.rank() != 0 || step == 0) continue;
      backward.push_back(std::chrono::duration<double>(ended - began).count());
      measured.push_back(std::max(0.0, left));
      buckets = parallel::cut_buckets(buffers.ranges(), buffers.elements(), bucket_bytes);
    }
  });
  trainer::CostAssumptions assumed;
  assumed.gpus_per_node = count;
  assumed.node_gb_s = gigabytes;
  assumed.node_latency_us = 1e6 * kLatency;
  std::vector<double> bytes, seconds;
  for (const parallel::Bucket& bucket : buckets) {
    bytes.push_back(static_cast<double>(bucket.elements) * sizeof(float));
    seconds.push_back(trainer::all_reduce_seconds(assumed, count, bytes.back()));
  }
  return {median(backward), median(measured), trainer::exposed_seconds(median(backward), bytes, seconds)};
}

void bench_schedule() {
  fmt::print("{} layers of {} parameters that sleep 4 ms, medians of 7 steps\n", kLayers, kLayer);
  fmt::print("ranks  GB/s  bucket MB  backward ms  exposed ms  foretold ms  step over foretold\n");
  for (const int ranks : {2, 4})
    for (const double gigabytes : {0.05, 0.1, 0.5})
      for (const std::int64_t bucket_mb : {1, 3, 25}) {
        const Exposed one = measure_schedule(ranks, gigabytes, bucket_mb * 1'000'000);
        fmt::print("{:5}{:6}{:11}{:13.1f}{:12.1f}{:13.1f}{:20.3f}\n", ranks, gigabytes, bucket_mb,
                   1e3 * one.backward, 1e3 * one.measured, 1e3 * one.foretold,
                   (one.backward + one.measured) / (one.backward + one.foretold));
      }
}

// --- foretell

// Parameters in matrices of a million; a run of 10,000 steps with a checkpoint every 500.
void foretell(const std::vector<std::string>& words) {
  constexpr std::int64_t kMatrix = 1'000'000;
  trainer::CostInputs inputs;
  const std::int64_t matrices = std::stoll(words[1]);
  for (std::int64_t i = 0; i < matrices; ++i)
    inputs.ranges.push_back({fmt::format("matrix {}", i), {kMatrix}, i * kMatrix, kMatrix});
  inputs.elements = matrices * kMatrix;
  inputs.micro_batch = std::stoll(words[2]);
  inputs.batch = 256 * inputs.micro_batch;
  inputs.steps = 10'000;
  inputs.checkpoint_every = 500;
  inputs.checkpoint_bytes = 12.0 * static_cast<double>(inputs.elements);
  trainer::CostAssumptions assumed;
  assumed.micro_batch_s = std::stod(words[3]);
  std::int64_t bucket_mb = 25;
  const std::map<std::string, std::int64_t*> numbers = {
      {"bucket_mb", &bucket_mb}, {"zero", &inputs.zero}, {"sharers", &inputs.sharers}};
  for (std::size_t i = 5; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const auto number = numbers.find(words[i].substr(0, equals));
    if (number == numbers.end())
      assumed.set(words[i]);
    else
      *number->second = std::stoll(words[i].substr(equals + 1));
  }
  inputs.bucket_bytes = bucket_mb * 1'000'000;
  fmt::print("{}\n", trainer::describe_cost(inputs, assumed, std::stoll(words[4])));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() >= 2 && words.size() <= 3 && words[0] == "sums") {
      parallel::Launch launch(&argc, &argv);
      return bench_sums(launch, std::stoll(words[1]), words.size() > 2 ? std::stoll(words[2]) : 25), 0;
    }
    if (words.size() >= 3 && words.size() <= 4 && words[0] == "overlap")
      return bench_overlap(words[1], std::stoll(words[2]), words.size() > 3 ? std::stoll(words[3]) : 25), 0;
    if (words.size() == 1 && words[0] == "schedule") return bench_schedule(), 0;
    if (words.size() >= 5 && words[0] == "foretell") return foretell(words), 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_engine: {}\n", error.what());
    return 1;
  }
  fmt::print(stderr,
             "usage: bench_engine overlap TOWER WINDOWS [BUCKET_MB] | sums MEGABYTES [BUCKET_MB] | schedule "
             "| foretell "
             "MILLIONS MICRO_BATCH SECONDS RANKS [NAME=VALUE ...]\n");
  return 2;
}
