// Training does not depend on how its work was split: compared with a plain loop of its own over whole
// batches.
#include <ATen/Parallel.h>

#include "tests/trainer/training_fixture.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/recipe/schedule.h"
#include "trainer/validation.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kSteps = 20, kBatch = 48;

// Half of the series have nothing, others a few days: counts of valid targets are very uneven.
float mostly_missing(std::int64_t series, std::int64_t step, float demand) {
  const bool missing = series % 2 == 1 || (series % 4 == 2 && step % 9 != 0);
  return missing ? std::numeric_limits<float>::quiet_NaN() : demand;
}

class Exactness : public Training {
 protected:
  Exactness()
      : Training({.series = 48, .steps = 160, .all_missing_series = true, .change = mostly_missing}) {}

  Recipe sgd_recipe(const std::string& run, std::int64_t micro_batch,
                    const std::vector<std::string>& changes = {}) const {
    std::vector<std::string> all = {fmt::format("train.batch={}", kBatch),
                                    fmt::format("train.steps={}", kSteps),
                                    fmt::format("train.micro_batch={}", micro_batch),
                                    "train.optimizer.name=sgd",
                                    "train.optimizer.lr=0.02",
                                    "train.optimizer.momentum=0",
                                    "train.log_every=1",
                                    "train.clip=0",
                                    "train.validate_every=1000",
                                    "train.checkpoint_every=1000"};
    all.insert(all.end(), changes.begin(), changes.end());
    return recipe(run, all);
  }

  std::vector<double> losses(const std::string& run) const {
    std::vector<double> all;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("loss")) all.push_back(line.at("loss").get<double>());
    return all;
  }
};

// What a step divides by. The second is the mistake this file guards against.
enum class Normalisation { all_valid_targets, each_micro_batch };

struct Reference {
  std::vector<double> losses;
  std::vector<float> first, last;  // all weights before and after
  std::int64_t empty_micro_batches = 0;
};

std::vector<float> all_values(const models::DemandModel& model) {
  std::vector<float> all;
  for (const models::Parameter& parameter : model.parameters()) {
    const at::Tensor flat = parameter.tensor.detach().contiguous().view(-1);
    all.insert(all.end(), flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
  }
  return all;
}

// Plain gradient descent with autograd, without buffers, ranks or buckets.
Reference train_plainly(const Recipe& recipe, Normalisation normalisation) {
  at::set_num_threads(1);
  const data::Corpus corpus(recipe.data.corpus);
  const DataPlan plan = make_plan(recipe, corpus);
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  models::DemandModel model(make_model_config(recipe.model, plan.features), seed);
  data::Loader loader(recipe.data.corpus, plan.features, data::Sampler(seed, plan.train_space),
                      {.global_batch = kBatch, .micro_batch = recipe.train.micro_batch, .last_step = kSteps});
  Reference reference;
  reference.first = all_values(model);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    double loss = 0, valid = 0;
    for (std::int64_t micro = 0; micro < loader.micro_batches(); ++micro) {
      auto& batch = const_cast<data::Batch&>(loader.next());
      const models::DropoutKeys keys{seed, step, batch.sample_b};
      const models::LossSums sums =
          models::loss_sums(model.forward(make_inputs(batch, plan.features, {}), &keys),
                            make_targets(batch, plan.features, plan.classes), model.config());
      if (sums.valid_targets.item<double>() == 0) ++reference.empty_micro_batches;
      const double divisor =
          normalisation == Normalisation::each_micro_batch
              ? std::max(1.0, sums.valid_targets.item<double>()) * static_cast<double>(loader.micro_batches())
              : 1.0;
      (sums.loss / divisor).backward();
      loss += sums.loss.item<double>() / divisor;
      valid += sums.valid_targets.item<double>();
    }
    const double scale = normalisation == Normalisation::all_valid_targets ? 1.0 / valid : 1.0;
    reference.losses.push_back(loss * scale);
    const double lr =
        recipe.train.optimizer.lr * schedule_factor(recipe.train.schedule, step, recipe.train.steps);
    const at::NoGradGuard no_grad;
    for (const models::Parameter& parameter : model.parameters()) {
      const double keep = parameter.decay ? 1.0 - lr * recipe.train.optimizer.weight_decay : 1.0;
      at::Tensor values = parameter.tensor;
      values.mul_(keep);
      if (!values.grad().defined()) continue;
      values.sub_(values.grad() * (lr * scale));
      values.mutable_grad().reset();
    }
  }
  reference.last = all_values(model);
  return reference;
}

double worst_relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(b[i]));
  return worst;
}

constexpr double kLossTolerance = 1.5e-5;  // rounding grows over the steps, on some CPUs more than on others

using Changes = std::vector<std::string>;
class ExactnessOfModels : public Exactness, public ::testing::WithParamInterface<Changes> {};
INSTANTIATE_TEST_SUITE_P(
    Models, ExactnessOfModels,
    ::testing::Values(Changes{}, Changes{"model.tower=chronos-2-nano"},
                      Changes{"model.tower=chronos-2-nano", "model.groups=true"}, Changes{"model.tower=lstm"},
                      Changes{"model.tower=tcn"}, Changes{"model.tower=transformer"},
                      Changes{"model.heads.counts=zero_inflated", "model.loss.counts=1",
                              "model.loss.mean_loss=tweedie", "train.optimizer.lr=0.005"},
                      Changes{"model.heads.classes=[0.25, 0.75]", "model.loss.class=1",
                              "model.loss.class_weights=balanced", "model.loss.label_smoothing=0.1"},
                      Changes{"model.heads.cumulated=true", "model.loss.cumulated=1"},
                      Changes{"data.inventory=visits", "model.heads.inventory=true",
                              "model.loss.inventory=0.5"}));

TEST_P(ExactnessOfModels, ranks_accumulation_and_micro_batches_give_the_training_of_the_whole_batch) {
  const Reference reference =
      train_plainly(sgd_recipe("reference", kBatch, GetParam()), Normalisation::all_valid_targets);
  std::vector<float> change(reference.first.size());
  for (std::size_t i = 0; i < change.size(); ++i) change[i] = reference.last[i] - reference.first[i];
  // The others differ from it in a part alone: for them the corners are enough.
  const bool corners = !GetParam().empty();
  for (int ranks = 1; ranks <= 4; ranks += corners ? 3 : 1) {
    for (std::int64_t accumulation = 1; accumulation <= 4; accumulation *= corners ? 4 : 2) {
      const std::int64_t micro_batch = kBatch / ranks / accumulation;
      const std::string run = fmt::format("{}-ranks-{}-micro-batches", ranks, accumulation);
      train_on(ranks, sgd_recipe(run, micro_batch, GetParam()));
      EXPECT_LT(worst_relative_difference(losses(run), reference.losses), kLossTolerance) << run;
      const models::DemandModel model =
          models::DemandModel::load(Checkpoints(folder_ / run / "checkpoints").path_of(kSteps));
      std::vector<float> moved = all_values(model);
      for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= reference.first[i];
      EXPECT_LT(relative_distance(change, moved), 1e-4) << run;
    }
  }
}

TEST_F(Exactness, micro_batches_that_do_not_divide_the_slices_of_uneven_ranks_change_nothing) {
  const Reference reference =
      train_plainly(sgd_recipe("reference", kBatch), Normalisation::all_valid_targets);
  for (const auto& [ranks, micro_batch] : std::vector<std::pair<int, int>>{{1, 7}, {5, 4}, {5, 3}}) {
    const std::string run = fmt::format("{}-ranks-of-{}", ranks, micro_batch);
    train_on(ranks, sgd_recipe(run, micro_batch));
    EXPECT_LT(worst_relative_difference(losses(run), reference.losses), kLossTolerance) << run;
  }
}

TEST_F(Exactness, the_mean_of_micro_batch_means_is_another_training) {
  // Three windows at a time, as with four ranks and four micro-batches: some hold no target at all.
  const Reference whole = train_plainly(sgd_recipe("whole", kBatch), Normalisation::all_valid_targets);
  const Reference right = train_plainly(sgd_recipe("right", 3), Normalisation::all_valid_targets);
  const Reference wrong = train_plainly(sgd_recipe("wrong", 3), Normalisation::each_micro_batch);
  EXPECT_GT(right.empty_micro_batches, 0);
  EXPECT_LT(worst_relative_difference(right.losses, whole.losses), kLossTolerance);
  EXPECT_GT(worst_relative_difference(wrong.losses, whole.losses), 100 * kLossTolerance);
}

TEST_F(Exactness, validation_is_the_same_number_on_1_2_3_and_5_ranks) {
  const Recipe wanted = recipe("unused");
  const data::Corpus corpus(wanted.data.corpus);
  const DataPlan plan = make_plan(wanted, corpus);
  const models::DemandModel model(make_model_config(wanted.model, plan.features), 3);
  std::vector<double> results;
  for (const int ranks : {1, 2, 3, 5})
    parallel::run_ranks_as_threads(ranks, [&](parallel::Communicator& communicator) {
      at::set_num_threads(1);
      Validation validation(wanted.data.corpus, plan, {}, 7);  // a batch size that leaves a short tail
      const auto loss = validation.loss(
          model, [] { return false; }, communicator);
      if (communicator.rank() == 0) results.push_back(*loss);
    });
  ASSERT_EQ(results.size(), 4U);
  for (const double result : results) EXPECT_EQ(result, results[0]);
}

TEST_F(Exactness, the_same_run_twice_gives_the_same_bits) {
  for (const char* run : {"once", "again"}) train_on(2, recipe(run, {"train.steps=8"}));
  EXPECT_EQ(weights("once"), weights("again"));
}

}  // namespace
}  // namespace shelfcast::trainer
