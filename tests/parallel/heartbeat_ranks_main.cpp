// Ranks of which one meets with an accident: started by heartbeat_processes_test under mpirun, once for each
// way in which a rank can be lost, stuck or slow. Arguments: scenario, rank that plays it, a text to find the
// processes by.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/activity.h"
#include "base/error.h"
#include "base/log.h"
#include "parallel/heartbeat.h"
#include "parallel/launch.h"

namespace {

using namespace shelfcast;
using namespace std::chrono_literals;

// So many steps, the accident happens in one of them.
constexpr std::int64_t kSteps = 6, kAccident = 3;
constexpr parallel::Deadlines kDeadlines{20'000ms, 1000ms};

void fill_memory() {
  const rlimit limit{std::size_t{1} << 20, std::size_t{1} << 20};
  ::setrlimit(RLIMIT_AS, &limit);
  const std::vector<double> too_much(std::size_t{1} << 24, 1.0);
  log::this_rank(fmt::format("{} doubles fit into 1 MB", too_much.size()));
}

// The file system that does not answer: opening a pipe that nobody writes to.
void read_stalled_file(const std::string& run) {
  const std::string path = fmt::format("/tmp/shelfcast-stalled-{}", run);
  ::mkfifo(path.c_str(), 0600);
  const activity::Operation reading(activity::Kind::file, "reading " + path);
  ::close(::open(path.c_str(), O_RDONLY));
}

void compute(std::chrono::milliseconds duration, bool tells) {
  const auto until = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(50ms);
    if (tells) activity::note_progress();
  }
}

void play(const std::string& scenario, const std::string& run) {
  const activity::Operation computing(activity::Kind::other, "forward");
  std::this_thread::sleep_for(250ms);  // for a heartbeat or two, which say so
  if (scenario == "killed") ::raise(SIGKILL);
  if (scenario == "stopped") ::raise(SIGSTOP);
  if (scenario == "throws") throw data_error("segment 7 is damaged");
  if (scenario == "exits") std::exit(0);
  if (scenario == "memory") fill_memory();
  if (scenario == "slow") compute(2500ms, true);
  if (scenario == "stuck") compute(1h, false);
  if (scenario == "stalled") read_stalled_file(run);
}

// What a program's main does with an error: say it, stop all ranks.
int fail(const parallel::Launch& launch, const std::string& message) {
  if (log::identity().rank != 0) std::this_thread::sleep_for(500ms);
  log::error(message);
  launch.abort_ranks();
  return 1;
}

void train(parallel::Communicator& world, const std::string& scenario, int culprit, const std::string& run) {
  std::vector<float> gradients(1000, 1.0f);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    activity::enter_phase("train", step);
    if (step == kAccident && world.rank() == culprit) play(scenario, run);
    // Everybody but the culprit computes on: nobody waits for the one that is lost.
    if (scenario == "killed" && culprit == 2 && step == kAccident) compute(1h, true);
    world.all_reduce(std::span(gradients), parallel::ReduceOp::sum, "gradients bucket 0");
    std::this_thread::sleep_for(30ms);
  }
  activity::enter_phase("end");
  world.barrier("end of training");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string scenario = argc > 3 ? argv[1] : "";
  const int culprit = argc > 3 ? std::atoi(argv[2]) : 0;
  const std::string run = argc > 3 ? argv[3] : "";
  parallel::Launch launch(&argc, &argv);
  ::signal(SIGTERM, SIG_IGN);  // a trainer saves and leaves at SIGTERM, which takes longer than mpirun waits
  try {
    activity::enter_phase("start");
    const auto world = launch.world(parallel::Backend::automatic, kDeadlines);
    parallel::Heartbeat heartbeat(
        *world, {.interval = 100ms, .warn_after = 700ms, .deadlines = kDeadlines, .grace = 800ms});
    try {
      train(*world, scenario, culprit, run);
    } catch (const std::exception& error) {
      heartbeat.report_failure(error.what());
      throw;
    }
    log::all("all steps done");
    return 0;
  } catch (const std::exception& error) {
    return fail(launch, error.what());
  }
}
