// Training steps and forecasts of the 28 M Chronos-2 size. bench_chronos2 [SIZE] answers each line "train
// STEPS GROUP" and "infer PASSES GROUP" on stdin with the seconds those took; GROUP rows exchange information
// (1 = each for itself). bench/python/chronos2_peer.py drives it in turns with the reference package.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <ctime>
#include <iostream>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "models/series/chronos2_files.h"
#include "models/series/chronos2_loss.h"
#include "parallel/flat_buffers.h"
#include "trainer/optimizer.h"

namespace {

using namespace shelfcast;

constexpr std::int64_t kContext = 512, kHorizon = 64, kBatch = 32;

class Bench {
 public:
  explicit Bench(const std::string& size)
      : model_(models::make_chronos2(models::named_chronos2(size), 1)),
        buffers_(flat()),
        optimizer_(trainer::make_optimizer({}, buffers_)) {
    at::manual_seed(1);
    inputs_.context_bt = at::poisson(at::full({kBatch, kContext}, 4.0F));
    inputs_.patches = kHorizon / model_.tower.config().patch_size;
    target_bh_ = at::poisson(at::full({kBatch, kHorizon}, 4.0F));
  }

  void train(std::int64_t group) {
    models::DropoutKeys keys{1, number_++, {}};
    for (std::int64_t row = 0; row < kBatch; ++row) keys.sample_b.push_back(number_ * kBatch + row);
    set_group(group);
    const models::LossSums sums = models::chronos2_loss(model_.tower.forward(inputs_, &keys), inputs_,
                                                        target_bh_, {}, model_.tower.config());
    sums.loss.backward();
    const double valid = sums.valid_targets.item<double>(), norm = buffers_.gradient_norm() / valid;
    optimizer_->step(1e-4, (norm > 1.0 ? 1.0 / norm : 1.0) / valid);
  }

  void infer(std::int64_t group) {
    const at::NoGradGuard no_grad;
    set_group(group);
    (void)model_.tower.forward(inputs_, nullptr).demand_quantiles_bqh();
  }

 private:
  std::vector<parallel::FlatParameter> flat() const {
    std::vector<parallel::FlatParameter> result;
    for (const models::Parameter& p : model_.parameters) result.push_back({p.name, p.tensor, 1.0, p.decay});
    return result;
  }
  void set_group(std::int64_t size) {
    inputs_.group_ids_b = at::arange(kBatch, at::kLong).floor_divide(size);
  }

  models::Chronos2Model model_;
  parallel::FlatBuffers buffers_;
  std::unique_ptr<trainer::Optimizer> optimizer_;
  models::Chronos2Inputs inputs_;
  at::Tensor target_bh_;
  std::int64_t number_ = 0;
};

void run(int threads, const std::string& size) {
  at::set_num_threads(threads);
  Bench bench(size);
  std::string what;
  std::int64_t times = 0, group = 1;
  while (std::cin >> what >> times >> group) {
    const auto began = Clock::now();
    const std::clock_t cpu_began = std::clock();
    for (; times > 0; --times) what == "train" ? bench.train(group) : bench.infer(group);
    fmt::print("{} {}\n", seconds_since(began),
               static_cast<double>(std::clock() - cpu_began) / CLOCKS_PER_SEC);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? std::stoi(argv[1]) : 2, argc > 2 ? argv[2] : "chronos-2-small");
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
