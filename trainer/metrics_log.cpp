#include "trainer/metrics_log.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/activity.h"
#include "base/error.h"
#include "base/files.h"

namespace shelfcast::trainer {
namespace {

// The lines of the file whose step is at most `step`; a torn last line is dropped.
std::string lines_until(const std::filesystem::path& path, std::int64_t step) {
  std::istringstream lines(read_file(path));
  std::string line, kept;
  while (std::getline(lines, line)) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= step) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, std::int64_t step) : path_(path) {
  if (std::filesystem::exists(path)) write_file_atomically(path, lines_until(path, step));
  const activity::Operation watched(activity::Kind::file, path.native());
  file_.open(path, std::ios::app);
  if (!file_) throw io_error(fmt::format("cannot write {}", path.string()), errno);
}

void MetricsLog::write(const nlohmann::json& line) {
  const activity::Operation watched(activity::Kind::file, path_.native());
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) throw io_error(fmt::format("cannot write {}", path_.string()), errno);
}

}  // namespace shelfcast::trainer
