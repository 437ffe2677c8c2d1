#include "trainer/run/watched.h"

#include "base/activity.h"
#include "parallel/heartbeat.h"

namespace shelfcast::trainer {

void run_watched(const ParallelConfig& config, parallel::Communicator& world,
                 const std::function<void()>& body) {
  activity::enter_phase("start");
  parallel::HeartbeatOptions options;
  options.interval = config.heartbeat;
  options.warn_after = config.warn_after;
  options.file_deadline = config.file_deadline;
  options.deadlines = {config.start_deadline, config.step_deadline};
  parallel::Heartbeat heartbeat(world, options);
  try {
    body();
  } catch (const std::exception& error) {
    heartbeat.report_failure(error.what());
    throw;
  }
}

}  // namespace shelfcast::trainer
