#include "trainer/run/step_log.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/memory.h"

namespace shelfcast::trainer {

constexpr double kLargeLoss = 1e4;  // in scales of windows, where a bad forecast has some 10

StepLog::StepLog(parallel::Communicator& communicator, std::int64_t windows_per_step, MetricsLog* metrics,
                 const TrainState& state)
    : stragglers_(communicator),
      ranks_(communicator.size()),
      speaks_(communicator.rank() == 0),
      windows_per_step_(windows_per_step),
      metrics_(metrics),
      loss_(state.loss_sum),
      good_(state.loss_steps) {}

void StepLog::add(const StepNumbers& numbers) {
  ++steps_;
  if (!numbers.good) return;
  loss_ += numbers.loss;
  ++good_;
}

void StepLog::save(TrainState& state) const {
  state.loss_sum = loss_;
  state.loss_steps = good_;
}

void StepLog::report(const StepNumbers& numbers, const RankTimes& times) {
  const double speed = static_cast<double>(steps_ * windows_per_step_) / seconds_since(since_);
  const double loss = loss_ / static_cast<double>(good_);  // not a number when all were skipped
  note_ = fmt::format("loss {:.4f}  {:.0f} windows/s", loss, speed);
  const StragglerReport ranks = stragglers_.report(times - times_before_);
  const std::string complaint = ranks.complaint();
  if (!complaint.empty() && seconds_since(complained_at_) > 60) {
    if (speaks_) log::warn(complaint);
    complained_at_ = Clock::now();
  }
  if (loss > kLargeLoss && !said_large_ && speaks_) {
    log::warn(
        "a loss of {:.3g} at step {} - windows whose history hardly varies are divided by next to nothing; "
        "model.scale_floor (0.5 for sales in units) is the least they are divided by",
        loss, numbers.step);
    said_large_ = true;
  }
  const MemoryUse memory = memory_use();
  if (metrics_ != nullptr)
    metrics_->write(
        {{"step", numbers.step},
         {"epoch", numbers.epoch},
         {"loss", loss},
         {"learning_rate", numbers.learning_rate},
         {"gradient_norm", numbers.gradient_norm},
         {"skipped", numbers.skipped},
         {"windows_per_second", speed},
         {"ranks", ranks_},
         {"seconds", ranks.summary()},
         {"memory_bytes", memory.resident_bytes},
         {"peak_memory_bytes", memory.peak_bytes},
         {"time",
          std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()}});
  since_ = Clock::now();
  times_before_ = times;
  loss_ = 0;
  steps_ = good_ = 0;
}

}  // namespace shelfcast::trainer
