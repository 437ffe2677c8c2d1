#include "trainer/trainer.h"

#include <ATen/Parallel.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/activity.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "models/product.h"
#include "trainer/command_line.h"
#include "trainer/device.h"
#include "trainer/environment.h"
#include "trainer/learner.h"
#include "trainer/recipe/schedule.h"
#include "trainer/run/agreement.h"
#include "trainer/run/checkpoint_writer.h"
#include "trainer/run/metrics_log.h"
#include "trainer/run/run_lock.h"
#include "trainer/run/step_log.h"
#include "trainer/run/stop_signal.h"
#include "trainer/run_corpus.h"
#include "trainer/step_guard.h"
#include "trainer/task.h"

namespace shelfcast::trainer {
namespace {

// Rank 0's number to everyone.
std::int64_t share(std::int64_t value, parallel::Communicator& communicator, std::string_view label) {
  std::int64_t slot = communicator.rank() == 0 ? value : 0;
  communicator.all_reduce(std::span(&slot, 1), parallel::ReduceOp::sum, label);
  return slot;
}

// What one optimizer step did, summed over ranks.
struct StepSums {
  double loss = 0;    // mean over valid targets
  double norm = 0;    // of the gradient before clipping
  double valid = 0;   // valid targets
  bool stop = false;  // some rank was asked to stop
  bool good = true;   // the weights were updated
};

// One process' share of a run: built once, then loop().
class Run {
 public:
  Run(const PlannedTask& plan, const TrainOptions& options, parallel::Communicator& communicator,
      bool goes_on);
  TrainResult loop();

 private:
  std::int64_t resume_step(bool goes_on) const;
  TaskStart task_start() const;
  void restore();
  void open_logs(bool goes_on);
  bool stop_requested();
  StepSums step();
  void update_weights(const StepSums& sums);
  void handle_bad_step(StepVerdict verdict, const StepSums& sums);
  void log_step(const StepSums& sums);
  bool validate();
  void save();
  void finish_checkpoint();
  bool leaves(bool stop, Ending& ending) const;
  bool close_step(bool stop, Ending& ending);

  const Recipe& recipe_;
  const TrainOptions& options_;
  parallel::Communicator& communicator_;
  RunFolder folder_;
  Checkpoints checkpoints_;
  std::int64_t resume_step_;  // -1 = from scratch
  TrainState state_;
  std::unique_ptr<Task> task_;
  Learner learner_;
  std::int64_t saved_step_ = -1;
  CheckpointWriter writer_;
  std::unique_ptr<MetricsLog> metrics_, bad_steps_;  // rank 0
  std::optional<StepLog> log_;
  StopSignal signal_;
  std::optional<StopRequest> request_;  // rank 0
};

Run::Run(const PlannedTask& plan, const TrainOptions& options, parallel::Communicator& communicator,
         bool goes_on)
    : recipe_(plan.recipe),
      options_(options),
      communicator_(communicator),
      folder_(recipe_.run.dir),
      checkpoints_(folder_.checkpoints()),
      resume_step_(resume_step(goes_on)),
      state_(resume_step_ < 0 ? TrainState() : checkpoints_.read_state(resume_step_)),
      task_(plan.start(task_start())),
      learner_(recipe_, *task_, communicator, state_.bucket_mb),
      writer_(checkpoints_,
              learner_.checkpoint_source([this](const std::filesystem::path& folder, CopiedValues& values) {
                task_->save(folder, values);
              }),
              communicator.rank(), communicator.size(), recipe_.train.keep_last) {
  restore();
  // What the weights are held by is measured once, at the beginning.
  if (recipe_.train.ewc.strength > 0) learner_.hold_weights(folder_.anchor(), resume_step_ >= 0);
  if (communicator_.rank() == 0) open_logs(goes_on);
  if (recipe_.train.precision == "bf16" && options_.gpu < 0 && !models::cpu_has_bf16())
    log::warn(
        "this CPU does not multiply bf16 itself - train.precision=bf16 is right here, but slower than fp32");
  log_.emplace(communicator_, recipe_.train.batch, metrics_.get(), state_);
}

void Run::open_logs(bool goes_on) {
  request_.emplace(folder_.path());
  const MetricsLog::Kept kept{resume_step_, !state_.validation_pending};
  metrics_ = std::make_unique<MetricsLog>(folder_.metrics(), kept);
  metrics_->write_events(folder_.path(), state_.step);
  bad_steps_ = std::make_unique<MetricsLog>(folder_.bad_steps(), kept);
  // A run may have been stopped before it came here.
  if (!goes_on || !std::filesystem::exists(folder_.environment())) {
    task_->describe(folder_);
    write_file_atomically(folder_.environment(),
                          describe_environment(communicator_, options_.device_name).dump(2) + "\n");
  }
}

std::int64_t Run::resume_step(bool goes_on) const {
  std::int64_t step = -1;
  if (communicator_.rank() == 0) {
    checkpoints_.remove_unfinished();
    if (goes_on) step = checkpoints_.newest_valid().value_or(-1);
  }
  return share(step, communicator_, "checkpoint to resume from");
}

TaskStart Run::task_start() const {
  TaskStart start{{}, 0, communicator_, device_of(options_.gpu)};
  if (recipe_.train.cuda_graphs && start.device.is_cuda()) start.make_graph = make_cuda_graph;
  if (recipe_.train.cuda_graphs && options_.make_graph) start.make_graph = options_.make_graph;
  if (resume_step_ < 0) return start;
  start.checkpoint = checkpoints_.path_of(resume_step_);
  start.step = state_.step;
  return start;
}

void Run::restore() {
  if (resume_step_ < 0) return;
  saved_step_ = resume_step_;
  learner_.restore(checkpoints_, resume_step_);
  log::all("resuming {} at step {}", folder_.path().string(), state_.step);
  const nlohmann::json then = checkpoints_.read_conditions(resume_step_),
                       now =
                           bit_conditions(recipe_, communicator_, options_.device_name, learner_.bucket_mb());
  for (const auto& [name, value] : now.items())
    if (then.value(name, nlohmann::json()) != value && communicator_.rank() == 0)
      log::warn("{} was {} and is {} now - the run goes on, equal to rounding, not to the bit", name,
                then.value(name, nlohmann::json()).dump(), value.dump());
}

bool Run::stop_requested() { return signal_.requested() || (request_ && request_->there()); }

StepSums Run::step() {
  activity::enter_phase("train", state_.step + 1);
  const std::array<double, 2> own = learner_.backward(state_.step);
  const bool written = writer_.under_way() && writer_.part_written();
  std::array<double, 4> totals = {own[0], own[1], stop_requested() ? 1.0 : 0.0, written ? 1.0 : 0.0};
  communicator_.all_reduce(std::span<double>(totals), parallel::ReduceOp::sum, "loss");
  StepSums sums{.loss = totals[1] > 0 ? totals[0] / totals[1] : totals[0],
                .norm = 0,
                .valid = totals[1],
                .stop = totals[2] > 0};
  sums.norm = learner_.regularise(sums.valid);
  if (totals[3] == communicator_.size()) writer_.commit();
  const StepVerdict verdict = judge_step(recipe_.train.guard, state_, sums.loss, sums.norm);
  sums.good = verdict == StepVerdict::good;
  if (!sums.good) {
    handle_bad_step(verdict, sums);
  } else {
    update_weights(sums);
  }
  ++state_.step;
  return sums;
}

void Run::update_weights(const StepSums& sums) {
  // Without a single observed target there is no gradient; decaying the weights alone would be training on
  // nothing.
  if (sums.valid == 0) return learner_.discard();
  note_step(state_, StepVerdict::good, sums.norm);
  const double clip =
      recipe_.train.clip > 0 && sums.norm > recipe_.train.clip ? recipe_.train.clip / sums.norm : 1.0;
  const double factor = schedule_factor(recipe_.train.schedule, state_.step, recipe_.train.steps);
  writer_.finish_copy();
  learner_.update(state_.step + 1, recipe_.train.optimizer.lr * factor, clip, sums.valid);
}

// The weights stay as they are; all ranks have come to the same verdict.
void Run::handle_bad_step(StepVerdict verdict, const StepSums& sums) {
  note_step(state_, verdict, sums.norm);
  const bool skips =
      recipe_.train.guard.action == BadStepAction::skip && state_.bad_in_a_row <= recipe_.train.guard.most;
  const BadStep bad{state_.step + 1, verdict,   skips ? "skip" : "stop",
                    sums.loss,       sums.norm, state_.norm_average};
  const std::string worst = task_->report_bad_step(bad, bad_steps_.get(), communicator_);
  const std::string what = fmt::format("step {}: {}", bad.step, describe(verdict));
  const std::string why =
      fmt::format("loss {:.6g}, gradient norm {:.6g} where {:.6g} is usual; worst sample: {}", sums.loss,
                  sums.norm, state_.norm_average, worst);
  if (!skips)
    throw data_error(
        what, why,
        fmt::format("look at {}; lower train.optimizer.lr, set train.clip, set model.scale_floor for "
                    "sparse demand, or train.guard.action=skip; the last checkpoint is untouched",
                    folder_.bad_steps().string()));
  ++state_.skipped;
  if (communicator_.rank() == 0) log::warn("{} ({}) - skipped", what, why);
  learner_.discard();
}

void Run::log_step(const StepSums& sums) {
  const StepNumbers numbers{
      .step = state_.step,
      .skipped = state_.skipped,
      .epoch = static_cast<double>(state_.step) / static_cast<double>(task_->steps_per_epoch()),
      .loss = sums.loss,
      .learning_rate = recipe_.train.optimizer.lr *
                       schedule_factor(recipe_.train.schedule, state_.step - 1, recipe_.train.steps),
      .gradient_norm = sums.norm,
      .good = sums.good};
  log_->add(numbers);
  if (state_.step % recipe_.train.log_every != 0 && state_.step != recipe_.train.steps) return;
  if (metrics_)
    if (const std::optional<double> penalty = learner_.penalty())
      metrics_->write({{"step", state_.step}, {"ewc_penalty", *penalty}});
  log_->report(numbers, {.load = task_->waited_seconds(),
                         .compute = learner_.compute_seconds(),
                         .wait = learner_.waited_seconds(),
                         .save = writer_.times().blocked});
}

// Whether the validation went through; not when somebody was asked to stop meanwhile.
bool Run::validate() {
  if (!task_->validates()) return true;
  activity::enter_phase("validate", state_.step);
  const auto started = Clock::now();
  writer_.finish_copy();
  const WeightAverage::Use use = learner_.use_average();
  const std::optional<double> loss =
      task_->validation_loss([this] { return stop_requested(); }, communicator_);
  state_.validation_pending = !loss;
  if (!loss) return false;
  // What is not finite is never the best: nothing could be better than it, or stored.
  if (std::isfinite(*loss) && (state_.best_step < 0 || *loss < state_.best_metric)) {
    state_.best_metric = *loss;
    state_.best_step = state_.step;
    state_.validations_without_best = 0;
  } else {
    ++state_.validations_without_best;
  }
  if (metrics_) {
    nlohmann::json line = {{"step", state_.step},
                           {"validation_loss", *loss},
                           {"best_step", state_.best_step},
                           {"validation_seconds", seconds_since(started)}};
    line.update(task_->validation_scores());
    metrics_->write(line);
  }
  log_->leave_out(Clock::now() - started);
  return true;
}

// Begins to save this step; it is written while the next steps run.
void Run::save() {
  if (saved_step_ == state_.step) return;
  saved_step_ = state_.step;
  activity::enter_phase("save", state_.step);
  finish_checkpoint();
  learner_.copy_to_host();
  state_.bucket_mb = learner_.found_bucket_mb();
  log_->save(state_);
  for (const auto* log : {metrics_.get(), bad_steps_.get()})
    if (log != nullptr) log->make_durable();
  writer_.start({state_, learner_.optimizer_steps(), to_yaml(recipe_),
                 bit_conditions(recipe_, communicator_, options_.device_name, learner_.bucket_mb())});
}

// Returns when the checkpoint under way is in place. Collective.
void Run::finish_checkpoint() {
  if (writer_.under_way()) {
    writer_.wait_until_part_written();
    communicator_.barrier("checkpoint written");
    writer_.commit();
  }
  writer_.wait_until_committed();
}

bool Run::leaves(bool stop, Ending& ending) const {
  if (stop) return ending = Ending::signalled, true;
  if (options_.stop_after && state_.step >= *options_.stop_after) return ending = Ending::stop_after, true;
  if (state_.stopped_early(recipe_.train.early_stop)) return ending = Ending::stopped_early, true;
  return false;
}

// What is due after a step: validation, checkpoint. `stop`: some rank was asked to. Returns whether the run
// leaves.
bool Run::close_step(bool stop, Ending& ending) {
  const bool last = state_.step == recipe_.train.steps;
  if (state_.step % recipe_.train.validate_every == 0 || last) {
    // Asked to stop already: the validation is made up for at resume.
    state_.validation_pending = stop && task_->validates();
    if (!stop) stop = !validate();
  }
  const bool left = leaves(stop, ending);
  if (left || last || state_.step % recipe_.train.checkpoint_every == 0 || state_.best_step == state_.step)
    save();
  return left;
}

TrainResult Run::loop() {
  const auto started = Clock::now();
  Ending ending = Ending::finished;
  Progress progress("train", recipe_.train.steps, "step", state_.step);
  bool left = false;
  if (resume_step_ < 0 && task_->begins_trained()) {
    // Fine-tuning never ends worse than it began: what was published is the first best.
    left = close_step(false, ending);
  } else if (state_.validation_pending) {
    saved_step_ = -1;  // what it finds out belongs into this step's checkpoint
    left = close_step(false, ending);
  } else {
    left = leaves(false, ending);  // a run that had ended already (early stop) ends again at once
  }
  while (!left && state_.step < recipe_.train.steps) {
    const StepSums sums = step();
    log_step(sums);
    left = close_step(sums.stop, ending);
    progress.update(
        state_.step,
        log_->note() + (state_.best_step < 0 ? "" : fmt::format("  best {:.4f}", state_.best_metric)));
  }
  activity::enter_phase("end", state_.step);
  finish_checkpoint();
  progress.finish();
  if (request_) request_->remove();
  communicator_.barrier("end of training");
  return {ending, state_.step, state_.best_metric, state_.best_step, seconds_since(started)};
}

}  // namespace

TrainResult train(const Recipe& wanted, const TrainOptions& options, parallel::Communicator& communicator) {
  at::set_num_threads(static_cast<int>(wanted.train.threads));
  prepare(device_of(options.gpu), wanted.train.cuda_graphs ? WorkStream::recordable : WorkStream::shared);
  const RunFolder folder(wanted.run.dir);
  // Everything the recipe could ask for in vain is found before the folder is made.
  const PlannedTask plan = plan_task(wanted, communicator.size());
  const Recipe& recipe = plan.recipe;
  std::vector<SharedFact> facts = {{"recipe", to_yaml(recipe)},
                                   {"build", build_id()},
                                   {"--stop-after", std::to_string(options.stop_after.value_or(0))}};
  facts.insert(facts.end(), plan.facts.begin(), plan.facts.end());
  check_agreement(facts, communicator);
  // Rank 0 alone decides and makes the folder; a refusal there stops every rank.
  bool goes_on = false;
  std::optional<RunLock> lock;
  if (communicator.rank() == 0) {
    (void)folder.goes_on(recipe, options.resume);  // a refusal leaves no folder
    folder.make();
    lock.emplace(folder.path());
    // Looked at once more: it may have become another process' run meanwhile.
    goes_on = folder.goes_on(recipe, options.resume);
    if (goes_on) {
      if (plan.corpus != nullptr) check_corpus(folder, recipe.data.corpus, plan.corpus->digest());
      plan.check_resumed(folder);
    } else {
      if (plan.corpus != nullptr) note_corpus(folder, plan.corpus->digest());
      folder.begin(recipe);
    }
    StopRequest(folder.path()).remove();  // meant for the training before
  }
  goes_on = share(goes_on ? 1 : 0, communicator, "run folder") != 0;
  log::open_file(folder.log(communicator.rank()));
  activity::enter_phase("start");
  try {
    Run run(plan, options, communicator, goes_on);
    return run.loop();
  } catch (const c10::OutOfMemoryError& error) {
    throw out_of_memory(error, activity::snapshot(communicator.rank()).phase);
  }
}

}  // namespace shelfcast::trainer
