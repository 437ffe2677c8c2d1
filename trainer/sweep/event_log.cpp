#include "trainer/sweep/event_log.h"

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

std::string read_whole_lines(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return "";
  std::string text = read_file(path);
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  return text;
}

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

void read_events(const std::filesystem::path& path, const std::function<void(const json&)>& apply) {
  const std::string lines = read_whole_lines(path);
  std::string_view text = lines;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const json event = json::parse(text.substr(0, end), nullptr, false);
    if (!event.is_object())
      throw data_error(fmt::format("{}:{} is damaged", path.string(), number), "it is not a JSON object",
                       "remove that line: what it said is found again in the folders");
    apply(event);
    text.remove_prefix(end + 1);
  }
}

void mend_events(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return;
  const std::string whole = read_whole_lines(path);
  if (std::filesystem::file_size(path) != whole.size()) std::filesystem::resize_file(path, whole.size());
}

void append_event(const std::filesystem::path& path, json& event) {
  event["time"] = unix_now();
  event["host"] = log::identity().host;
  // Words of other programs, such as the end of a log, may be cut inside a character or hold any bytes.
  const std::string line = event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) throw io_error(fmt::format("cannot write {}", path.string()), errno);
  const off_t before = ::lseek(descriptor, 0, SEEK_END);
  const ssize_t written = ::write(descriptor, line.data(), line.size());
  int failed = written < 0 ? errno : written != static_cast<ssize_t>(line.size()) ? ENOSPC : 0;
  if (failed == 0 && ::fsync(descriptor) != 0) failed = errno;
  if (failed != 0 && ::ftruncate(descriptor, before) != 0)
    log::warn("{} ends in a torn line, which the next reader cuts off", path.string());
  ::close(descriptor);
  if (failed != 0)
    throw io_error(fmt::format("cannot write {}", path.string()), failed, "free some space and call again");
}

}  // namespace shelfcast::trainer
