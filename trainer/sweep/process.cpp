#include "trainer/sweep/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

// Signal handlers reach nothing but globals.
volatile std::sig_atomic_t time_limit_near = 0, cancelled = 0;

extern "C" void note_leave(int signal) { (signal == SIGUSR1 ? time_limit_near : cancelled) = 1; }

constexpr std::array kSignals = {SIGUSR1, SIGTERM, SIGINT};

// What posix_spawn wants: pointers to words that live.
class Words {
 public:
  explicit Words(const std::vector<std::string>& words) : words_(words) {
    for (std::string& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  char* const* get() const { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::vector<std::string> environment_of(Environment kind) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    // What somebody wants to see of the queue (SQUEUE_STATES, SQUEUE_PARTITION) hides jobs from us.
    if (text.starts_with("SQUEUE_")) continue;
    const bool of_the_job =
        text.starts_with("SLURM_") || text.starts_with("SLURMD_") || text.starts_with("PMI");
    // Which cluster is asked is no matter of the job.
    const bool of_the_cluster = text.starts_with("SLURM_CONF=") || text.starts_with("SLURM_CLUSTERS=");
    if (kind == Environment::without_job && of_the_job && !of_the_cluster) continue;
    variables.emplace_back(text);
  }
  return variables;
}

// Whoever started us may have left SIGCHLD ignored, which is inherited: nobody could then say how a child
// ended.
void keep_exit_codes() { std::signal(SIGCHLD, SIG_DFL); }

// Waits for a child as waitpid() does; `status` is filled when it has ended. Throws Error(io).
bool has_ended(pid_t process, int& status, int options) {
  pid_t ended = 0;
  while ((ended = ::waitpid(process, &status, options)) < 0 && errno == EINTR) {
  }
  if (ended < 0) throw io_error("cannot find out how a program ended", errno);
  return ended != 0;
}

// The process, or 0 with errno set.
pid_t spawn(const std::vector<std::string>& command, FileActions& actions, Environment environment) {
  const Words arguments(command), variables(environment_of(environment));
  pid_t process = 0;
  keep_exit_codes();
  const int failed =
      posix_spawnp(&process, arguments.get()[0], actions.get(), nullptr, arguments.get(), variables.get());
  errno = failed;
  return failed == 0 ? process : 0;
}

// A process that gets SIGTERM when this thread dies, which posix_spawn cannot ask for; or 0 with errno set.
// Between fork and exec only calls that are safe in a signal handler.
pid_t start_dependent(const std::vector<std::string>& command, const std::filesystem::path& log) {
  const Words arguments(command);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (output < 0) return 0;
  std::array<int, 2> failure{};
  if (::pipe2(failure.data(), O_CLOEXEC) != 0) return ::close(output), 0;
  keep_exit_codes();
  const pid_t parent = ::getpid(), process = ::fork();
  if (process == 0) {
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    // The parent may be dead already.
    if (::getppid() == parent) ::execvp(arguments.get()[0], arguments.get());
    const int failed = errno;
    if (::write(failure[1], &failed, sizeof failed) < 0) ::_exit(126);
    ::_exit(127);
  }
  int failed = process < 0 ? errno : 0;
  ::close(output);
  ::close(failure[1]);
  if (process > 0 && ::read(failure[0], &failed, sizeof failed) > 0) ::waitpid(process, nullptr, 0);
  ::close(failure[0]);
  errno = failed;
  return failed == 0 ? process : 0;
}

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

void close_pair(const std::array<int, 2>& pair) {
  for (const int end : pair) ::close(end);
}

}  // namespace

LeaveSignals::LeaveSignals() {
  time_limit_near = 0;
  cancelled = 0;
  for (const int signal : kSignals) std::signal(signal, note_leave);
}

LeaveSignals::~LeaveSignals() {
  time_limit_near = 0;
  cancelled = 0;
  for (const int signal : kSignals) std::signal(signal, SIG_DFL);
}

LeaveRequest LeaveSignals::requested() {
  // A job that is cancelled while it leaves for its time limit must not come back.
  if (cancelled != 0) return LeaveRequest::cancelled;
  return time_limit_near != 0 ? LeaveRequest::time_limit : LeaveRequest::none;
}

std::filesystem::path shelfcast_program() {
  // libexec/shelfcast-sweep -> bin/shelfcast
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / "shelfcast";
}

int run_logged(const std::vector<std::string>& command, const std::filesystem::path& log) {
  const pid_t process = start_dependent(command, log);
  if (process == 0) throw io_error(fmt::format("cannot start {}", command.front()), errno);
  bool told = false;
  int status = 0;
  while (!has_ended(process, status, WNOHANG)) {
    if (!told && LeaveSignals::any()) {
      ::kill(process, SIGUSR1);
      told = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return exit_code_of(status);
}

Answer ask(const std::vector<std::string>& command, Environment environment) {
  std::array<int, 2> out{}, err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0) throw io_error("cannot make a pipe", errno);
  if (::pipe2(err.data(), O_CLOEXEC) != 0) {
    close_pair(out);
    throw io_error("cannot make a pipe", errno);
  }
  FileActions actions;
  posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(actions.get(), out[1], 1);
  posix_spawn_file_actions_adddup2(actions.get(), err[1], 2);
  const pid_t process = spawn(command, actions, environment);
  if (process == 0) {
    const int failed = errno;
    close_pair(out);
    close_pair(err);
    if (failed == ENOENT) return {127, "", fmt::format("{}: not found", command.front())};
    throw io_error(fmt::format("cannot start {}", command.front()), failed);
  }
  ::close(out[1]);
  ::close(err[1]);
  Answer answer;
  std::array<pollfd, 2> ends = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
  std::array<char, 65536> piece{};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (::poll(ends.data(), ends.size(), -1) < 0) continue;  // a signal
    for (pollfd& end : ends) {
      if (end.fd < 0 || end.revents == 0) continue;
      const ssize_t got = ::read(end.fd, piece.data(), piece.size());
      if (got > 0)
        (&end == ends.data() ? answer.out : answer.err).append(piece.data(), static_cast<std::size_t>(got));
      else if (got == 0 || errno != EINTR)
        end.fd = -1;
    }
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  has_ended(process, status, 0);
  answer.exit_code = exit_code_of(status);
  return answer;
}

std::string last_words(const std::filesystem::path& log, std::uintmax_t from) {
  std::ifstream file(log);
  file.seekg(static_cast<std::streamoff>(from));
  std::string last, error;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    last = line;
    if (line.find("rror") != std::string::npos) error = line;
  }
  const std::string& words = error.empty() ? last : error;
  return words.substr(0, 500);
}

std::uintmax_t size_of(const std::filesystem::path& path) {
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  return failed ? 0 : size;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> found;
  for (std::string word; stream >> word;) found.push_back(word);
  return found;
}

std::string yaml_text(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += c;
    quoted += c;
  }
  quoted += "'";
  return quoted;
}

}  // namespace shelfcast::trainer
