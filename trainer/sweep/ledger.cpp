#include "trainer/sweep/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

namespace shelfcast::trainer {
namespace {

using nlohmann::json;

std::string read_lines(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return "";
  std::string text = read_file(path);
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  return text;
}

void apply_lines(std::string_view text, SweepState& state, const std::filesystem::path& path) {
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const json event = json::parse(text.substr(0, end), nullptr, false);
    if (!event.is_object())
      throw data_error(fmt::format("{}:{} is damaged", path.string(), number), "it is not a JSON object",
                       "remove that line: what it said is found again in the run folders");
    state.apply(event);
    text.remove_prefix(end + 1);
  }
}

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::filesystem::path sweep_lock(const std::filesystem::path& dir) { return dir / "sweep.lock"; }

LedgerSession::LedgerSession(const SweepPlan& plan)
    : path_(plan.ledger()), lock_(sweep_lock(plan.dir)), state_(plan) {
  const std::string text = read_lines(path_);
  apply_lines(text, state_, path_);
  if (std::filesystem::exists(path_) && std::filesystem::file_size(path_) != text.size())
    std::filesystem::resize_file(path_, text.size());
}

void LedgerSession::add(json event) {
  event["time"] = unix_now();
  event["host"] = log::identity().host;
  const std::string line = event.dump() + "\n";
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) throw io_error(fmt::format("cannot write {}", path_.string()), errno);
  const off_t before = ::lseek(descriptor, 0, SEEK_END);
  const ssize_t written = ::write(descriptor, line.data(), line.size());
  int failed = written < 0 ? errno : written != static_cast<ssize_t>(line.size()) ? ENOSPC : 0;
  if (failed == 0 && ::fsync(descriptor) != 0) failed = errno;
  if (failed != 0 && ::ftruncate(descriptor, before) != 0)
    log::warn("{} ends in a torn line, which the next reader cuts off", path_.string());
  ::close(descriptor);
  if (failed != 0)
    throw io_error(fmt::format("cannot write {}", path_.string()), failed,
                   "free some space and submit again");
  state_.apply(event);
}

SweepState read_state(const SweepPlan& plan) {
  SweepState state(plan);
  apply_lines(read_lines(plan.ledger()), state, plan.ledger());
  return state;
}

}  // namespace shelfcast::trainer
