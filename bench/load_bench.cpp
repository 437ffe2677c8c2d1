// How long and how much memory to open a published model: bench_load FOLDER. Prints seconds of each of five
// openings and the peak of the process' memory over the weights' size.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>

#include "base/clock.h"
#include "base/error.h"
#include "models/series/series_model.h"

int main(int argc, char** argv) {
  using namespace shelfcast;
  if (argc != 2) {
    fmt::print(stderr, "usage: bench_load FOLDER\n");
    return 2;
  }
  try {
    for (int i = 0; i < 5; ++i) {
      const auto began = Clock::now();
      const auto model = models::open_series_model(argv[1]);
      const double took = seconds_since(began);
      std::int64_t bytes = 0;
      for (const models::Parameter& parameter : model->parameters()) bytes += parameter.tensor.numel() * 4;
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      fmt::print("{:.3f} s, peak {:.3f} of {} MB of weights\n", took,
                 static_cast<double>(usage.ru_maxrss) * 1024.0 / static_cast<double>(bytes),
                 bytes / 1'000'000);
    }
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
