// shelfcast stop RUN: ask a training to save and leave.
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "trainer/commands/commands.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/run_lock.h"

namespace shelfcast::trainer {

void run(const StopCommand& options, parallel::Launch&) {
  const RunFolder folder(options.run);
  if (!folder.exists())
    throw input_error(fmt::format("{} is not a run folder", options.run), "it has no recipe.yaml",
                      "name the folder that `shelfcast train` made, e.g. runs/m5");
  const auto holder = RunLock::holder(folder.path());
  if (!holder)
    throw input_error(fmt::format("nobody trains in {}", options.run), "its lock is free",
                      "there is nothing to stop");
  StopRequest(folder.path()).make();
  log::all("asked the training on {} to save and leave after its current step", *holder);
  while (options.wait && RunLock::holder(folder.path()))
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if (options.wait) log::all("it has left");
}

}  // namespace shelfcast::trainer
