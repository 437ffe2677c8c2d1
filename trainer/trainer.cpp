#include "trainer/trainer.h"

#include <ATen/Parallel.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "parallel/gradient_sync.h"
#include "trainer/checkpoint.h"
#include "trainer/environment.h"
#include "trainer/metrics_log.h"
#include "trainer/model_inputs.h"
#include "trainer/plan.h"
#include "trainer/schedule.h"
#include "trainer/stop_signal.h"
#include "trainer/validation.h"

namespace shelfcast::trainer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Rank 0's number to everyone.
std::int64_t share(std::int64_t value, parallel::Communicator& communicator, std::string_view label) {
  std::int64_t slot = communicator.rank() == 0 ? value : 0;
  communicator.all_reduce(std::span(&slot, 1), parallel::ReduceOp::sum, label);
  return slot;
}

void check_ranks(const Recipe& recipe, const DataPlan& plan, int ranks) {
  if (plan.train_space.windows() < ranks)
    throw input_error(fmt::format("{} ranks for {} training windows", ranks, plan.train_space.windows()),
                      "every rank needs at least one", "use fewer ranks or a larger corpus");
  if (recipe.train.batch < ranks)
    throw input_error(fmt::format("train.batch {} is smaller than the {} ranks", recipe.train.batch, ranks),
                      "every rank needs at least one window of each batch",
                      "raise train.batch or use fewer ranks");
}

// What one optimizer step did, summed over ranks.
struct StepSums {
  double loss = 0;    // mean over valid targets
  double norm = 0;    // of the gradient before clipping
  double valid = 0;   // valid targets
  bool stop = false;  // some rank was asked to stop
};

// One process' share of a run: built once, then loop().
class Run {
 public:
  Run(const Recipe& recipe, const TrainOptions& options, DataPlan plan, parallel::Communicator& communicator,
      bool goes_on);
  TrainResult loop();

 private:
  std::int64_t resume_step(bool goes_on) const;
  std::unique_ptr<models::DemandModel> make_model() const;
  std::vector<parallel::FlatParameter> flat_parameters() const;
  void restore();
  void start_loader();
  StepSums step();
  double accumulate_micro_batches(double& valid);
  void log_step(const StepSums& sums);
  void validate();
  void save();
  bool leaves(const StepSums& sums, Ending& ending) const;

  const Recipe& recipe_;
  const TrainOptions& options_;
  parallel::Communicator& communicator_;
  RunFolder folder_;
  Checkpoints checkpoints_;
  std::filesystem::path corpus_path_;
  DataPlan plan_;
  std::int64_t resume_step_;  // -1 = from scratch
  std::unique_ptr<models::DemandModel> model_;
  parallel::FlatBuffers buffers_;
  AdamW optimizer_;
  parallel::GradientSync sync_;
  Validation validation_;
  TrainState state_;
  std::int64_t saved_step_ = -1;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<MetricsLog> metrics_;
  StopSignal signal_;

  // Since the last line of the metrics log.
  Clock::time_point logged_at_ = Clock::now();
  double loss_since_ = 0, compute_since_ = 0, load_before_ = 0, wait_before_ = 0;
  std::int64_t steps_since_ = 0;
  std::string note_;
};

Run::Run(const Recipe& recipe, const TrainOptions& options, DataPlan plan,
         parallel::Communicator& communicator, bool goes_on)
    : recipe_(recipe),
      options_(options),
      communicator_(communicator),
      folder_(recipe.run.dir),
      checkpoints_(folder_.checkpoints()),
      corpus_path_(recipe.data.corpus),
      plan_(std::move(plan)),
      resume_step_(resume_step(goes_on)),
      model_(make_model()),
      buffers_(flat_parameters()),
      optimizer_(recipe.train.optimizer, buffers_),
      sync_(buffers_, communicator, recipe.parallel.bucket_mb * 1'000'000),
      validation_(corpus_path_, plan_, recipe.backtest.batch) {
  restore();
  start_loader();
  if (communicator_.rank() != 0) return;
  metrics_ = std::make_unique<MetricsLog>(folder_.metrics(), state_.step);
  if (!goes_on) {
    write_file_atomically(folder_.environment(), describe_environment(communicator).dump(2) + "\n");
    write_file_atomically(folder_.features(), data::to_json(plan_.features).dump(2) + "\n");
  }
}

std::int64_t Run::resume_step(bool goes_on) const {
  std::int64_t step = -1;
  if (goes_on && communicator_.rank() == 0) step = checkpoints_.newest_valid().value_or(-1);
  return share(step, communicator_, "checkpoint to resume from");
}

std::unique_ptr<models::DemandModel> Run::make_model() const {
  if (resume_step_ >= 0)
    return std::make_unique<models::DemandModel>(
        models::DemandModel::load(checkpoints_.path_of(resume_step_)));
  return std::make_unique<models::DemandModel>(make_model_config(recipe_.model, plan_.features),
                                               static_cast<std::uint64_t>(recipe_.run.seed));
}

std::vector<parallel::FlatParameter> Run::flat_parameters() const {
  std::vector<parallel::FlatParameter> flat;
  for (const models::Parameter& parameter : model_->parameters())
    flat.push_back({parameter.name, parameter.tensor, 1.0, parameter.decay});
  return flat;
}

void Run::restore() {
  if (resume_step_ < 0) return;
  state_ = checkpoints_.read_state(resume_step_);
  saved_step_ = resume_step_;
  checkpoints_.read_optimizer(resume_step_, buffers_, optimizer_);
  log::all("resuming {} at step {}", folder_.path().string(), state_.step);
  const nlohmann::json then = checkpoints_.read_conditions(resume_step_),
                       now = bit_conditions(recipe_, communicator_);
  for (const auto& [name, value] : now.items())
    if (then.value(name, nlohmann::json()) != value && communicator_.rank() == 0)
      log::warn("{} was {} and is {} now - the run goes on, equal to rounding, not to the bit", name,
                then.value(name, nlohmann::json()).dump(), value.dump());
}

void Run::start_loader() {
  const data::Sampler sampler(static_cast<std::uint64_t>(recipe_.run.seed), plan_.train_space);
  loader_ = std::make_unique<data::Loader>(corpus_path_, plan_.features, sampler,
                                           data::LoaderConfig{.global_batch = recipe_.train.batch,
                                                              .micro_batch = recipe_.train.micro_batch,
                                                              .rank = communicator_.rank(),
                                                              .ranks = communicator_.size(),
                                                              .first_step = state_.step,
                                                              .last_step = recipe_.train.steps});
}

// Forward and backward of this rank's slice; returns the summed loss and adds up the valid targets.
double Run::accumulate_micro_batches(double& valid) {
  double loss = 0;
  for (std::int64_t micro = 0; micro < loader_->micro_batches(); ++micro) {
    // The model only reads the batch; from_blob wants a mutable pointer.
    auto& batch = const_cast<data::Batch&>(loader_->next());
    const auto started = Clock::now();
    const models::DropoutKeys keys{static_cast<std::uint64_t>(recipe_.run.seed), state_.step, batch.sample_b};
    const models::Forecast forecast = model_->forward(make_inputs(batch, plan_.features), &keys);
    const models::LossSums sums =
        models::loss_sums(forecast, make_targets(batch, plan_.features), model_->config());
    if (micro + 1 == loader_->micro_batches()) sync_.arm();
    sums.loss.backward();
    loss += sums.loss.item<double>();
    valid += sums.valid_targets;
    compute_since_ += seconds_since(started);
  }
  return loss;
}

StepSums Run::step() {
  double valid = 0;
  const double loss = accumulate_micro_batches(valid);
  sync_.finish();
  std::array<double, 3> totals = {loss, valid, signal_.requested() ? 1.0 : 0.0};
  communicator_.all_reduce(std::span<double>(totals), parallel::ReduceOp::sum, "loss");
  StepSums sums{.loss = totals[1] > 0 ? totals[0] / totals[1] : 0,
                .norm = 0,
                .valid = totals[1],
                .stop = totals[2] > 0};
  if (!std::isfinite(sums.loss))
    throw data_error(
        fmt::format("the loss of step {} is not finite", state_.step + 1), fmt::format("loss {}", sums.loss),
        "lower train.optimizer.lr, set train.clip, or set model.scale_floor for sparse demand; the last "
        "checkpoint is untouched");
  // Without a single observed target there is no gradient; decaying the weights alone would be training on
  // nothing.
  if (sums.valid > 0) {
    const double scale = 1.0 / sums.valid;
    sums.norm = buffers_.gradient_norm() * scale;
    const double clip =
        recipe_.train.clip > 0 && sums.norm > recipe_.train.clip ? recipe_.train.clip / sums.norm : 1.0;
    const double factor = schedule_factor(recipe_.train.schedule, state_.step, recipe_.train.steps);
    optimizer_.step(recipe_.train.optimizer.lr * factor, scale * clip);
  } else {
    buffers_.zero_gradients();
  }
  ++state_.step;
  return sums;
}

void Run::log_step(const StepSums& sums) {
  loss_since_ += sums.loss;
  ++steps_since_;
  if (state_.step % recipe_.train.log_every != 0 && state_.step != recipe_.train.steps) return;
  const double elapsed = seconds_since(logged_at_);
  const double speed = static_cast<double>(steps_since_ * recipe_.train.batch) / elapsed;
  note_ =
      fmt::format("loss {:.4f}  {:.0f} windows/s", loss_since_ / static_cast<double>(steps_since_), speed);
  if (metrics_)
    metrics_->write(
        {{"step", state_.step},
         {"epoch",
          static_cast<double>(state_.step) / static_cast<double>(data::Loader::steps_per_epoch(
                                                 data::Sampler(0, plan_.train_space), recipe_.train.batch))},
         {"loss", loss_since_ / static_cast<double>(steps_since_)},
         {"learning_rate", recipe_.train.optimizer.lr *
                               schedule_factor(recipe_.train.schedule, state_.step - 1, recipe_.train.steps)},
         {"gradient_norm", sums.norm},
         {"windows_per_second", speed},
         {"load_seconds", loader_->waited_seconds() - load_before_},
         {"compute_seconds", compute_since_},
         {"wait_seconds", sync_.waited_seconds() - wait_before_},
         {"memory_bytes", memory_use().resident_bytes},
         {"time",
          std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()}});
  logged_at_ = Clock::now();
  loss_since_ = compute_since_ = 0;
  load_before_ = loader_->waited_seconds();
  wait_before_ = sync_.waited_seconds();
  steps_since_ = 0;
}

void Run::validate() {
  if (validation_.empty()) return;
  const auto started = Clock::now();
  const double loss = validation_.loss(*model_, communicator_);
  if (state_.best_step < 0 || loss < state_.best_metric) {
    state_.best_metric = loss;
    state_.best_step = state_.step;
    state_.validations_without_best = 0;
  } else {
    ++state_.validations_without_best;
  }
  if (metrics_)
    metrics_->write({{"step", state_.step},
                     {"validation_loss", loss},
                     {"best_step", state_.best_step},
                     {"validation_seconds", seconds_since(started)}});
  // A validation is not training: it must not count as slow windows.
  logged_at_ += Clock::now() - started;
}

void Run::save() {
  if (saved_step_ == state_.step) return;
  saved_step_ = state_.step;
  if (communicator_.rank() != 0) return;
  const auto started = Clock::now();
  checkpoints_.save(*model_, buffers_, optimizer_, state_, to_yaml(recipe_),
                    bit_conditions(recipe_, communicator_));
  checkpoints_.retain(state_.best_step, recipe_.train.keep_last);
  logged_at_ += Clock::now() - started;
}

bool Run::leaves(const StepSums& sums, Ending& ending) const {
  if (sums.stop) return ending = Ending::signalled, true;
  if (options_.stop_after && state_.step >= *options_.stop_after) return ending = Ending::stop_after, true;
  if (recipe_.train.early_stop > 0 && state_.validations_without_best >= recipe_.train.early_stop)
    return ending = Ending::stopped_early, true;
  return false;
}

TrainResult Run::loop() {
  const auto started = Clock::now();
  Ending ending = Ending::finished;
  Progress progress("train", recipe_.train.steps, "step", state_.step);
  // A run that had ended already (early stop) ends again at once.
  bool left = leaves({}, ending);
  while (!left && state_.step < recipe_.train.steps) {
    const StepSums sums = step();
    log_step(sums);
    const bool last = state_.step == recipe_.train.steps;
    if (state_.step % recipe_.train.validate_every == 0 || last) validate();
    left = leaves(sums, ending);
    if (left || last || state_.step % recipe_.train.checkpoint_every == 0 || state_.best_step == state_.step)
      save();
    progress.update(state_.step,
                    note_ + (state_.best_step < 0 ? "" : fmt::format("  best {:.4f}", state_.best_metric)));
  }
  progress.finish();
  communicator_.barrier("end of training");
  return {ending, state_.step, state_.best_metric, state_.best_step, seconds_since(started)};
}

}  // namespace

TrainResult train(const Recipe& wanted, const TrainOptions& options, parallel::Communicator& communicator) {
  at::set_num_threads(static_cast<int>(wanted.train.threads));
  const RunFolder folder(wanted.run.dir);
  // Everything the recipe could ask for in vain is found before the folder is made.
  const data::Corpus corpus(wanted.data.corpus);
  DataPlan plan = make_plan(wanted, corpus);
  const Recipe recipe = with_dates(wanted, plan, corpus);
  check_ranks(recipe, plan, communicator.size());
  // Rank 0 alone decides and makes the folder; a refusal there stops every rank.
  bool goes_on = false;
  if (communicator.rank() == 0) goes_on = folder.prepare(recipe, options.resume);
  goes_on = share(goes_on ? 1 : 0, communicator, "run folder") != 0;
  log::open_file(folder.log(communicator.rank()));
  Run run(recipe, options, std::move(plan), communicator, goes_on);
  return run.loop();
}

}  // namespace shelfcast::trainer
