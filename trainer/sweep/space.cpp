#include "trainer/sweep/space.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "trainer/sweep/sobol.h"

namespace shelfcast::trainer {
namespace {

constexpr std::int64_t kFarTooMany = std::int64_t{1} << 40;

// A drawn number in four digits, because names of runs are read by people, or in as many as leave it within
// `most` of where it was drawn, and inside of the interval.
std::string drawn_text(const SweepAxis& axis, double value, double most) {
  constexpr int kAll = 17;
  for (int digits = 4; digits < kAll; ++digits) {
    std::string text = fmt::format("{:.{}g}", value, digits);
    const double read = std::stod(text);
    if (read >= axis.low && read <= axis.high && std::abs(read - value) <= most) return text;
  }
  return fmt::format("{:.{}g}", std::clamp(value, axis.low, axis.high), kAll);
}

// The value of an axis at `u` in [0, 1); drawn numbers to a thousandth of their interval.
std::string value_at(const SweepAxis& axis, double u) {
  switch (axis.kind) {
    case SweepAxis::Kind::list:
      return axis.values[static_cast<std::size_t>(u * static_cast<double>(axis.values.size()))];
    case SweepAxis::Kind::uniform:
      return drawn_text(axis, axis.low + u * (axis.high - axis.low), (axis.high - axis.low) / 1000);
    case SweepAxis::Kind::log_uniform: {
      const double value = axis.low * std::pow(axis.high / axis.low, u);
      return drawn_text(axis, value, value * std::log(axis.high / axis.low) / 1000);
    }
    case SweepAxis::Kind::whole:
      return fmt::format("{}",
                         static_cast<std::int64_t>(std::floor(axis.low + u * (axis.high - axis.low + 1))));
  }
  return "";
}

double draw(const SweepFile& sweep, std::int64_t point, std::size_t axis) {
  const std::uint64_t key = mix(static_cast<std::uint64_t>(sweep.seed), key_of(sweep.axes[axis].key));
  if (sweep.method == SweepMethod::random)
    return RandomStream(mix(key, static_cast<std::uint64_t>(point))).uniform();
  const std::uint32_t shifted = sobol(static_cast<std::uint32_t>(point), static_cast<int>(axis)) ^
                                static_cast<std::uint32_t>(key >> 32);
  return shifted * 0x1p-32;
}

// Combination `point` of the lists: its digits in the mixed base of their lengths.
std::vector<std::string> combination(const SweepFile& sweep, std::int64_t point) {
  std::vector<std::string> overrides(sweep.axes.size());
  for (std::size_t i = sweep.axes.size(); i-- > 0;) {
    const auto size = static_cast<std::int64_t>(sweep.axes[i].values.size());
    overrides[i] =
        fmt::format("{}={}", sweep.axes[i].key, sweep.axes[i].values[static_cast<std::size_t>(point % size)]);
    point /= size;
  }
  return overrides;
}

void check_count(const SweepFile& sweep, std::int64_t count) {
  const std::string file = sweep.file.string();
  for (const SweepAxis& axis : sweep.axes)
    if (axis.kind == SweepAxis::Kind::list && axis.values.empty())
      throw input_error(fmt::format("{}: the sweep expands to nothing", axis.place),
                        fmt::format("{} has no values", axis.key), "list at least one");
  if (sweep.axes.empty())
    throw input_error(fmt::format("{}: the sweep expands to nothing", file), "it varies no key",
                      "list some under `keys`");
  if (count < 1)
    throw input_error(fmt::format("{}: the sweep expands to nothing", file),
                      fmt::format("runs is {}", sweep.runs), "set runs: to the number of points to draw");
  if (count > sweep.most_runs)
    throw input_error(fmt::format("{}: the sweep expands to {} runs", file,
                                  count >= kFarTooMany ? "far too many" : fmt::format("{}", count)),
                      fmt::format("most_runs is {}", sweep.most_runs),
                      "vary fewer keys, draw with method: random or sobol, or raise most_runs");
  if (sweep.method == SweepMethod::sobol && sweep.axes.size() > static_cast<std::size_t>(kSobolDimensions))
    throw input_error(fmt::format("{}: {} keys are too many for sobol", file, sweep.axes.size()),
                      fmt::format("it has {} dimensions", kSobolDimensions), "use method: random");
}

}  // namespace

std::int64_t count_points(const SweepFile& sweep) {
  if (sweep.method != SweepMethod::grid) return std::min(sweep.runs, kFarTooMany);
  std::int64_t count = 1;
  for (const SweepAxis& axis : sweep.axes)
    count = std::min(kFarTooMany,
                     count * static_cast<std::int64_t>(std::min<std::size_t>(axis.values.size(), 1 << 20)));
  return count;
}

std::vector<std::vector<std::string>> expand(const SweepFile& sweep) {
  const std::int64_t count = count_points(sweep);
  check_count(sweep, count);
  std::vector<std::vector<std::string>> points;
  for (std::int64_t point = 0; point < count; ++point) {
    if (sweep.method == SweepMethod::grid) {
      points.push_back(combination(sweep, point));
      continue;
    }
    std::vector<std::string>& overrides = points.emplace_back();
    for (std::size_t i = 0; i < sweep.axes.size(); ++i)
      overrides.push_back(
          fmt::format("{}={}", sweep.axes[i].key, value_at(sweep.axes[i], draw(sweep, point, i))));
  }
  return points;
}

}  // namespace shelfcast::trainer
