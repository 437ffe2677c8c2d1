// Other programs, started and waited for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::trainer {

// Why this process was asked to leave: nothing, SIGUSR1 (a time limit is near), or SIGTERM and SIGINT (for
// good).
enum class LeaveRequest { none, time_limit, cancelled };

// While one lives, those signals set a flag instead of ending the process. One at a time, on the main thread.
class LeaveSignals {
 public:
  LeaveSignals();
  ~LeaveSignals();
  LeaveSignals(const LeaveSignals&) = delete;
  LeaveSignals& operator=(const LeaveSignals&) = delete;

  static LeaveRequest requested();
  static bool any() { return requested() != LeaveRequest::none; }
};

// The program to start for a run: the `shelfcast` beside this one.
std::filesystem::path shelfcast_program();

// Runs a program, its output appended to `log`, and returns its exit code (128 + signal when it was killed).
// When this process is asked to leave meanwhile, the program gets SIGUSR1: save and leave. When this process
// (this thread of it) dies, the program gets SIGTERM: nobody would wait for it. Throws Error(io) when it
// cannot be started.
int run_logged(const std::vector<std::string>& command, const std::filesystem::path& log);

// Why a program failed: the last line of its log that speaks of an error, else its last line. What the log
// held before (`from` bytes) does not count.
std::string last_words(const std::filesystem::path& log, std::uintmax_t from);
// 0 when there is none.
std::uintmax_t size_of(const std::filesystem::path& path);

struct Answer {
  int exit_code = 0;
  std::string out, err;
};
// Runs a short program and returns what it said. `without_job`: without the SLURM_* variables of the job this
// process is part of, which would speak for the new one. SQUEUE_* are never passed on: they filter what
// squeue shows. Exit code 127 when it is not there.
enum class Environment { whole, without_job };
Answer ask(const std::vector<std::string>& command, Environment environment = Environment::whole);

// "mpirun -n 2" as words.
std::vector<std::string> words(const std::string& text);
// A value for --set, which is YAML: the text itself, whatever it holds.
std::string yaml_text(const std::string& text);

}  // namespace shelfcast::trainer
