#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.h"

namespace shelfcast {
namespace {

using std::chrono::steady_clock;

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr auto kPrintEvery = std::chrono::seconds(10);
constexpr int kBarWidth = 24;

bool stderr_is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && !(kind != nullptr && std::strcmp(kind, "dumb") == 0);
}

std::size_t terminal_width() {
  winsize window{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

std::string plural(const std::string& unit) {
  if (unit.empty() || unit.back() == 's') return unit;
  return unit.ends_with("ch") ? unit + "es" : unit + "s";
}

std::string bar(double share) {
  const int filled = std::clamp(static_cast<int>(share * kBarWidth), 0, kBarWidth);
  return fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kBarWidth - filled, '.'));
}

// To stderr in one write, so that other ranks' lines do not come in between.
void print(const std::string& text) {
  std::fflush(stdout);
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

Progress::Progress(std::string what, std::int64_t total, std::string unit, std::int64_t done)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      first_(done),
      done_(done),
      started_(steady_clock::now()),
      drawn_(started_),
      terminal_(stderr_is_terminal()),
      quiet_(log::identity().rank != 0) {}

Progress::~Progress() { finish(); }

void Progress::update(std::int64_t done, const std::string& note) {
  done_ = done;
  note_ = note;
  if (quiet_ || finished_) return;
  if (steady_clock::now() - drawn_ < (terminal_ ? steady_clock::duration(kRedrawEvery) : kPrintEvery)) return;
  draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!quiet_) draw(true);
}

void Progress::draw(bool last) {
  drawn_ = steady_clock::now();
  const double seconds = std::chrono::duration<double>(drawn_ - started_).count();
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0.0;
  std::string line = what_ + ": ";
  if (terminal_ && total_ > 0) line += bar(share);
  line += total_ > 0
              ? fmt::format("{}/{} {} ({:.0f} %)", done_, total_, plural(unit_), std::floor(100.0 * share))
              : fmt::format("{} {}", done_, plural(unit_));
  if (last) {
    line += ", took " + format_duration(seconds);
  } else if (total_ > 0 && done_ > first_) {
    const double left = seconds / static_cast<double>(done_ - first_) * static_cast<double>(total_ - done_);
    line += ", " + format_duration(left) + " left";
  }
  if (!note_.empty()) line += ", " + note_;
  if (terminal_) {
    line.resize(std::min(line.size(), terminal_width() - 1));
    print("\r\x1b[K" + line + (last ? "\n" : ""));
  } else {
    print(line + "\n");
  }
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) return "unknown time";
  seconds = std::max(seconds, 0.0);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  const std::int64_t minutes = (whole + 30) / 60;
  if (minutes < 24 * 60) return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  const std::int64_t hours = (minutes + 30) / 60;
  return fmt::format("{} d {:02} h", hours / 24, hours % 24);
}

std::string format_bytes(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  // 999.5 of a unit would print as 1000 of it.
  while (std::abs(bytes) >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000.0;
    ++unit;
  }
  const bool decimal = unit > 0 && std::abs(bytes) < 9.95;
  return decimal ? fmt::format("{:.1f} {}", bytes, kUnits[unit])
                 : fmt::format("{:.0f} {}", bytes, kUnits[unit]);
}

}  // namespace shelfcast
