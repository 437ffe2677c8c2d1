#include "parallel/heartbeat.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "base/activity.h"
#include "base/log.h"
#include "parallel/heartbeat_peers.h"
#include "parallel/heartbeat_watch.h"
#include "parallel/side_channel.h"

namespace shelfcast::parallel {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// mpirun kills what is left of a run a second after it lost a rank: somebody must have spoken by then.
constexpr milliseconds kSpeakAfter = 400ms;
// How long the last words of a rank may take to leave.
constexpr milliseconds kLastWords = 500ms;

// What the heartbeat thread, the main thread and the waits share; it outlives the Heartbeat with the
// communicators that have it as a witness.
struct Core {
  std::shared_ptr<RunTable> table;
  int rank = 0;
  milliseconds interval{0};
  bool table_is_whole = true;  // without asking rank 0
  Bell bell;
  std::atomic<bool> runs = false;      // whether the thread is there
  std::atomic<bool> question = false;  // somebody wants the table
  // The main thread knows that the run has failed.
  std::atomic<bool> is_taken = false;

  // Brings the table up to date where it can be.
  void refresh() {
    if (table_is_whole || !runs) return;
    const std::uint64_t seen = table->tables();
    question = true;
    bell.ring();
    table->wait_for_table(seen, 2 * interval);
  }
};

class Witness : public RankWitness {
 public:
  explicit Witness(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  std::optional<Error> failure() const override {
    if (!core_->table->has_failed()) return std::nullopt;
    core_->is_taken = true;
    return core_->table->failure();
  }
  Verdict judge(std::span<const int> awaited, milliseconds deadline) override {
    core_->refresh();
    const std::vector<RankStatus> run = core_->table->all();
    const milliseconds blur = 2 * core_->interval;
    Verdict verdict = judge_wait(run, awaited, deadline, blur);
    if (verdict.extension > blur && speaks_for(run, awaited)) warn(verdict, deadline);
    return verdict;
  }

 private:
  // One voice is enough: that of the first rank that is not awaited itself.
  bool speaks_for(std::span<const RankStatus> run, std::span<const int> awaited) const {
    for (const RankStatus& status : run)
      if (std::find(awaited.begin(), awaited.end(), status.last.rank) == awaited.end())
        return status.last.rank == core_->rank;
    return false;
  }
  void warn(const Verdict& verdict, milliseconds deadline) {
    const auto waiting = activity::snapshot(core_->rank).operation;
    if (!waiting) return;
    const std::lock_guard lock(mutex_);
    if (!alarm_ || waiting->seconds < alarmed_at_)
      alarm_.emplace(std::chrono::duration<double>(deadline).count() / 2.0);
    alarmed_at_ = waiting->seconds;
    if (!alarm_->is_due(waiting->seconds)) return;
    log::warn("\"{}\" has waited {:.1f} s for a slow rank, which makes progress: {}; the wait goes on",
              waiting->what, waiting->seconds, verdict.text);
  }

  std::shared_ptr<Core> core_;
  std::mutex mutex_;  // guards what follows
  std::optional<DoublingAlarm> alarm_;
  double alarmed_at_ = 0.0;
};

// Prints and ends the process, in a way that neither a lock held by a stuck thread nor a log file on a
// stalled disk can stop.
void end_with(const std::string& message, const std::function<void()>& end) {
  const auto said = std::make_shared<std::atomic<bool>>(false);
  try {
    std::thread([message, end, said] {
      std::this_thread::sleep_for(kLastWords);
      if (*said) return;
      const std::string line = fmt::format("error: {}\n", message);
      [[maybe_unused]] const ssize_t count = ::write(STDERR_FILENO, line.data(), line.size());
      end();
    }).detach();
  } catch (const std::exception&) {
    // No memory for a thread: the log has to do.
  }
  log::error(message);
  *said = true;
  end();
}

}  // namespace

struct Heartbeat::Impl {
  Impl(Communicator& world, HeartbeatOptions given);
  void run();
  void turn();
  void poll_until(steady_clock::time_point until);
  void beat();
  void watch_files();
  void pass_failure_on();
  void guard_failure();
  void finish(const std::string& message);
  void fail(const std::string& message);
  milliseconds file_deadline(const activity::Snapshot& own) const;

  HeartbeatOptions options;
  log::Identity identity;
  std::shared_ptr<Core> core;
  std::unique_ptr<Peers> peers;
  LateRanks late_ranks;
  StalledFiles stalled_files;
  steady_clock::time_point next_beat = steady_clock::now();
  bool has_spoken = false, has_finished = false;
  std::mutex mutex;                // guards what follows
  std::condition_variable passed;  // failure_is_out has become true
  bool failure_is_out = false;
  std::atomic<bool> stop = false;
  int uncaught = std::uncaught_exceptions();
  std::thread thread;
};

Heartbeat::Impl::Impl(Communicator& world, HeartbeatOptions given)
    : options(std::move(given)),
      identity(log::identity()),
      core(std::make_shared<Core>()),
      late_ranks(options.warn_after),
      stalled_files(options.warn_after) {
  if (!options.end_process) options.end_process = [] { ::_exit(1); };
  const bool in_process =
      options.path == BeatPath::automatic && (world.size() == 1 || world.backend() == "threads");
  auto [table, met] = (in_process ? meet_in_process : meet_over_tcp)(world, identity.host, options.interval);
  core->table = std::move(table);
  core->rank = world.rank();
  core->interval = options.interval;
  peers = std::move(met);
  core->table_is_whole = peers->knows_all();
  world.set_witness(std::make_shared<Witness>(core));
  core->runs = true;
  // Signals are the main thread's.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Heartbeat::Impl::run() {
  const log::ThreadIdentity as_rank(identity);
  while (!stop) {
    try {
      turn();
    } catch (const std::exception&) {
      // Out of memory, most likely: the next turn may do better, and the others hear of it from the main
      // thread.
      std::this_thread::sleep_for(100ms);
    }
  }
}

void Heartbeat::Impl::turn() {
  const auto soon = steady_clock::now() + 100ms;
  poll_until(core->table->has_failed() ? std::min(next_beat, soon) : next_beat);
  peers->serve();
  pass_failure_on();
  if (core->question.exchange(false) && !peers->knows_all()) peers->send(Question());
  if (steady_clock::now() >= next_beat) {
    beat();
    watch_files();
    next_beat = steady_clock::now() + options.interval;
  }
  guard_failure();
}

void Heartbeat::Impl::poll_until(steady_clock::time_point until) {
  std::vector<pollfd> watched = {{core->bell.descriptor(), POLLIN, 0}};
  peers->add_descriptors(watched);
  const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
  ::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
  core->bell.silence();
}

void Heartbeat::Impl::beat() {
  const Beat own = beat_of(core->rank, identity.host);
  core->table->record(own);
  peers->send(own);
  if (core->rank != 0) return;
  for (const std::string& warning : late_ranks.look(core->table->all())) log::warn(warning);
}

milliseconds Heartbeat::Impl::file_deadline(const activity::Snapshot& own) const {
  if (options.file_deadline) return *options.file_deadline;
  return own.phase.empty() || own.phase == "start" ? options.deadlines.start : options.deadlines.step;
}

void Heartbeat::Impl::watch_files() {
  const activity::Snapshot own = activity::snapshot(core->rank);
  if (own.longest_file &&
      own.longest_file->seconds > std::chrono::duration<double>(file_deadline(own)).count()) {
    const Beat doing = beat_of(core->rank, identity.host);
    const std::string message = fmt::format(
        "the file system does not answer: \"{}\" has lasted {:.1f} s ({}) - look at the file system",
        own.longest_file->what, own.longest_file->seconds, doing_of({.last = doing}));
    core->table->fail(failed_error({.last = doing}, message));
    pass_failure_on();
    return finish(failed_error({.last = doing}, message).what());
  }
  if (const auto warning = stalled_files.look(own)) log::warn(*warning);
}

void Heartbeat::Impl::pass_failure_on() {
  const std::lock_guard lock(mutex);
  if (failure_is_out || !core->table->has_failed()) return;
  peers->send(Failure{*core->table->failure()});
  peers->flush(kLastWords);
  failure_is_out = true;
  passed.notify_all();
}

void Heartbeat::Impl::guard_failure() {
  const std::optional<Error> failure = core->table->failure();
  if (!failure) return;
  const auto age = core->table->failed_for();
  const int speaker = failure->rank == 0 ? 1 : 0;
  if (core->rank == speaker && age > kSpeakAfter && !core->is_taken && !std::exchange(has_spoken, true))
    log::error(failure->what());
  if (age > (core->is_taken ? options.unwinding : options.grace))
    finish(fmt::format("{}; this rank does not come back from {}", failure->what(),
                       doing_of({.last = beat_of(core->rank, identity.host)})));
}

void Heartbeat::Impl::finish(const std::string& message) {
  if (std::exchange(has_finished, true)) return;  // in tests the process goes on
  end_with(message, options.end_process);
}

void Heartbeat::Impl::fail(const std::string& message) {
  core->is_taken = true;
  const RankStatus own{.last = beat_of(core->rank, identity.host)};
  if (!core->table->fail(failed_error(own, message))) return;
  core->bell.ring();
  std::unique_lock lock(mutex);
  passed.wait_for(lock, kLastWords, [this] { return failure_is_out; });
}

Heartbeat::Heartbeat(Communicator& world, HeartbeatOptions options)
    : impl_(std::make_unique<Impl>(world, std::move(options))) {}

Heartbeat::~Heartbeat() {
  try {
    if (std::uncaught_exceptions() > impl_->uncaught)
      impl_->fail("it was left by an error - look at its log");
  } catch (const std::exception& error) {
    log::warn(error.what());
  }
  impl_->core->runs = false;
  impl_->stop = true;
  impl_->core->bell.ring();
  impl_->thread.join();
  try {
    impl_->peers->send(Goodbye());
    impl_->peers->flush(kLastWords);
  } catch (const std::exception& error) {
    log::warn(error.what());
  }
}

void Heartbeat::report_failure(const std::string& message) { impl_->fail(message); }

RankStatus Heartbeat::status(int rank) {
  impl_->core->refresh();
  return impl_->core->table->status(rank);
}

std::string Heartbeat::table() {
  impl_->core->refresh();
  std::vector<std::string> lines;
  for (const RankStatus& status : impl_->core->table->all()) lines.push_back(describe(status));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace shelfcast::parallel
