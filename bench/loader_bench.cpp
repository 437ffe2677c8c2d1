// Windows per second of the loader on a corpus of M5's size, in the sampler's own order.
// bench_loader FOLDER [WINDOWS]: makes FOLDER/bench.corpus when it is not there, draws WINDOWS windows and
// writes the first of them to FOLDER/order.bin for bench/python/loader_peer.py.
#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "bench/setting.h"
#include "data/loader.h"

namespace {

using namespace shelfcast;
using namespace shelfcast::bench;

constexpr std::int64_t kSeries = 30'000, kSteps = 1'941, kBatch = 256;
constexpr std::int64_t kShared = 40'000;  // windows given to the peer

void write_order(const std::filesystem::path& path, const data::Sampler& sampler) {
  std::ofstream file(path, std::ios::binary);
  const data::SuperBlockOrder order = sampler.order(0, 0);
  for (std::int64_t position = 0; position < kShared; ++position) {
    const data::Window window = order.at(position).window;
    file.write(reinterpret_cast<const char*>(&window), sizeof window);
  }
}

void run(const std::filesystem::path& folder, std::int64_t windows) {
  const std::filesystem::path corpus = folder / "bench.corpus";
  if (!std::filesystem::exists(corpus))
    make_corpus(corpus, kSeries, kSteps, [](RandomStream& random) { return random.bits() % 10; });
  const data::FeatureSpec spec = demand_alone();
  const data::Sampler sampler(7, {kSeries, kContext, kSteps - kHorizon, 64, 64});
  write_order(folder / "order.bin", sampler);

  data::LoaderConfig config;
  config.global_batch = config.micro_batch = kBatch;
  config.last_step = windows / kBatch;
  auto began = Clock::now();
  data::Loader loader(corpus, spec, sampler, config);
  double sum = loader.next().target_bh[0];
  fmt::print("first batch after {:.3f} s, of a super-block of {}\n", seconds_since(began),
             format_bytes(64 * 64 * kSteps * 4));
  began = Clock::now();
  for (std::int64_t step = 1; step < config.last_step; ++step)
    sum += static_cast<double>(loader.next().target_bh[0]);
  const double seconds = seconds_since(began);
  fmt::print(
      "loader: {:.0f} windows/s ({} windows of {} + {} steps, batches of {}; checksum {}; {} resident at "
      "most)\n",
      static_cast<double>((config.last_step - 1) * kBatch) / seconds, windows, kContext, kHorizon, kBatch,
      sum, format_bytes(static_cast<double>(memory_use().peak_bytes)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_loader FOLDER [WINDOWS]\n");
    return 2;
  }
  try {
    run(argv[1], argc > 2 ? std::stoll(argv[2]) : 2'000'000);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
