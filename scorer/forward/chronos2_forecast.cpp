#include "scorer/forward/chronos2_forecast.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/share.h"
#include "scorer/forward/quantile_levels.h"

namespace shelfcast::scorer {
namespace {

constexpr double kSameLevel = 1e-6;      // levels closer than this are one level
constexpr std::int64_t kBlockRows = 32;  // rows a thread takes at a time, in whole groups

using Group = std::vector<std::int64_t>;  // rows of the series

std::int64_t index_of_level(const std::vector<double>& levels, double level) {
  const auto found =
      std::ranges::find_if(levels, [&](double known) { return std::abs(known - level) < kSameLevel; });
  return found == levels.end() ? -1 : found - levels.begin();
}

void check(const Chronos2& model, const Chronos2Series& series, const Chronos2Options& options) {
  const TowerConfig& config = model.config();
  if (series.rows < 1 || series.steps < 1)
    throw input_error("Chronos-2 got no context",
                      "it needs at least one series and one step, even if missing");
  if (options.horizon < 1)
    throw input_error(fmt::format("the horizon is {}", options.horizon), "it must be at least 1");
  if (series.known > options.horizon)
    throw input_error(fmt::format("Chronos-2 got {} known steps ahead", series.known),
                      fmt::format("the horizon is {}", options.horizon));
  if (!series.groups.empty() && std::ssize(series.groups) != series.rows)
    throw input_error("Chronos-2 got group ids that do not fit", "there must be one for each series");
  for (const double level : options.levels)
    if (!(level >= 0.0 && level <= 1.0))
      throw input_error(fmt::format("there is no quantile at level {}", level), "levels lie between 0 and 1");
  if (options.horizon <= config.prediction_length) return;
  const auto known = [&](double level) { return index_of_level(config.quantiles, level) >= 0; };
  if (options.unroll.empty() || !std::ranges::all_of(options.unroll, known) ||
      !std::ranges::is_sorted(options.unroll))
    throw input_error(
        fmt::format("the horizon needs unrolling along levels {}", fmt::join(options.unroll, ", ")),
        fmt::format("the model has {}", fmt::join(config.quantiles, ", ")),
        "name levels among these, ascending, or shorten the horizon");
}

std::vector<Group> groups_of(const Chronos2Series& series) {
  std::vector<Group> groups;
  std::unordered_map<std::int64_t, std::size_t> place;
  for (std::int64_t row = 0; row < series.rows; ++row) {
    const std::int64_t id = series.groups.empty() ? row : series.groups[static_cast<std::size_t>(row)];
    const auto [found, fresh] = place.emplace(id, groups.size());
    if (fresh) groups.emplace_back();
    groups[found->second].push_back(row);
  }
  return groups;
}

// Groups [first, last) of each block.
std::vector<std::pair<std::size_t, std::size_t>> blocks_of(const std::vector<Group>& groups) {
  std::vector<std::pair<std::size_t, std::size_t>> blocks;
  for (std::size_t first = 0, last = 0; first < groups.size(); first = last) {
    for (std::size_t rows = 0; last < groups.size() && rows < kBlockRows; ++last) rows += groups[last].size();
    blocks.emplace_back(first, last);
  }
  return blocks;
}

// Rows of a batch that own their numbers; all rows are equally long.
struct Batch {
  std::vector<std::vector<float>> context, future;
  std::vector<std::int64_t> group_sizes;
  std::int64_t rows() const { return std::ssize(context); }
};

// A batch's rows, each once a level that is followed.
struct Paths {
  Batch batch;
  std::vector<std::int64_t> row, level;  // of each path: the row it began with, which of the levels
};

// Forecasts of a block of groups.
class Forecaster {
 public:
  Forecaster(const Chronos2& model, const Chronos2Series& series, const Chronos2Options& options)
      : model_(model), config_(model.config()), series_(series), options_(options) {}

  // Writes the forecasts of the groups' rows into `out`, [rows, levels, horizon] of all series.
  void run(std::span<const Group> groups, float* out) {
    const Batch batch = gather(groups);
    std::int64_t patches = patches_for(options_.horizon);
    std::int64_t done = patches * config_.patch;
    std::vector<float> part = forward(batch, patches);
    write(groups, part, done, 0, out);
    if (done >= options_.horizon) return;
    Paths paths = paths_of(batch);
    while (done < options_.horizon) {
      advance(paths, part, patches * config_.patch);
      patches = patches_for(options_.horizon - done);
      part = pooled(paths, forward(paths.batch, patches), batch.rows(), patches * config_.patch);
      write(groups, part, patches * config_.patch, done, out);
      done += patches * config_.patch;
    }
  }

 private:
  std::int64_t levels() const { return std::ssize(config_.quantiles); }
  std::int64_t patches_for(std::int64_t steps) const {
    return std::min((steps + config_.patch - 1) / config_.patch, model_.most_patches());
  }

  Batch gather(std::span<const Group> groups) const {
    Batch batch;
    const std::int64_t steps = std::min(series_.steps, config_.context_length);
    for (const Group& group : groups) {
      batch.group_sizes.push_back(std::ssize(group));
      for (const std::int64_t row : group) {
        const float* end = series_.context + (row + 1) * series_.steps;
        const float* future = series_.future + row * series_.known;
        batch.context.emplace_back(end - steps, end);
        batch.future.emplace_back(future, future + series_.known);
      }
    }
    return batch;
  }

  // Rows of a group meet only along the same level.
  Paths paths_of(const Batch& batch) const {
    Paths paths;
    std::int64_t first = 0;
    for (const std::int64_t size : batch.group_sizes) {
      for (std::int64_t level = 0; level < std::ssize(options_.unroll); ++level) {
        paths.batch.group_sizes.push_back(size);
        for (std::int64_t row = first; row < first + size; ++row) {
          paths.batch.context.push_back(batch.context[row]);
          paths.batch.future.push_back(batch.future[row]);
          paths.row.push_back(row);
          paths.level.push_back(level);
        }
      }
      first += size;
    }
    return paths;
  }

  // [rows, model's levels, patches * patch].
  std::vector<float> forward(const Batch& batch, std::int64_t patches) {
    const std::int64_t reach = patches * config_.patch, steps = std::ssize(batch.context.front());
    const std::int64_t known = std::min<std::int64_t>(reach, std::ssize(batch.future.front()));
    std::vector<float> context, future, quantiles(static_cast<std::size_t>(batch.rows() * levels() * reach));
    for (std::int64_t row = 0; row < batch.rows(); ++row) {
      context.insert(context.end(), batch.context[row].begin(), batch.context[row].end());
      future.insert(future.end(), batch.future[row].begin(), batch.future[row].begin() + known);
    }
    model_.forward({batch.rows(), steps, known, context.data(), future.data(), batch.group_sizes}, patches,
                   scratch_, quantiles.data());
    return quantiles;
  }

  // Continues every path by `part`, the last forecast [rows, model's levels, steps] of all rows.
  void advance(Paths& paths, const std::vector<float>& part, std::int64_t steps) {
    for (std::int64_t i = 0; i < paths.batch.rows(); ++i) {
      std::vector<float>& context = paths.batch.context[i];
      std::vector<float>& future = paths.batch.future[i];
      const float* row = part.data() + paths.row[i] * levels() * steps;
      const double level = options_.unroll[static_cast<std::size_t>(paths.level[i])];
      const std::int64_t known = std::min<std::int64_t>(steps, std::ssize(future));
      for (std::int64_t t = 0; t < steps; ++t)
        context.push_back(t < known && !std::isnan(future[t]) ? future[t] : at_level(row + t, steps, level));
      if (const std::int64_t surplus = std::ssize(context) - config_.context_length; surplus > 0)
        context.erase(context.begin(), context.begin() + surplus);
      future.erase(future.begin(), future.begin() + known);
    }
  }

  // The paths' quantiles [paths, levels, steps] as quantiles [rows, levels, steps].
  std::vector<float> pooled(const Paths& paths, const std::vector<float>& forecasts, std::int64_t rows,
                            std::int64_t steps) {
    const std::vector<float> path_masses = level_masses(options_.unroll),
                             masses = level_masses(config_.quantiles);
    std::vector<std::vector<std::int64_t>> paths_of(static_cast<std::size_t>(rows));
    for (std::int64_t i = 0; i < paths.batch.rows(); ++i) paths_of[paths.row[i]].push_back(i);
    std::vector<float> result(static_cast<std::size_t>(rows * levels() * steps));
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t t = 0; t < steps; ++t) {
        points_.clear();
        for (const std::int64_t path : paths_of[row])
          for (std::int64_t q = 0; q < levels(); ++q)
            points_.emplace_back(forecasts[(path * levels() + q) * steps + t],
                                 path_masses[paths.level[path]] * masses[q]);
        to_distribution(points_);
        for (std::int64_t q = 0; q < levels(); ++q)
          result[(row * levels() + q) * steps + t] =
              interpolate(static_cast<float>(config_.quantiles[q]), points_);
      }
    return result;
  }

  // The value at `level` of the model's quantiles, `stride` floats apart.
  float at_level(const float* quantiles, std::int64_t stride, double level) {
    if (const std::int64_t q = index_of_level(config_.quantiles, level); q >= 0) return quantiles[q * stride];
    points_.clear();
    for (std::int64_t q = 0; q < levels(); ++q)
      points_.emplace_back(static_cast<float>(config_.quantiles[q]), quantiles[q * stride]);
    return interpolate(static_cast<float>(level), points_);
  }

  // Steps from `first` on.
  void write(std::span<const Group> groups, const std::vector<float>& part, std::int64_t steps,
             std::int64_t first, float* out) {
    const std::vector<double>& wanted = options_.levels.empty() ? config_.quantiles : options_.levels;
    const std::int64_t count = std::min(steps, options_.horizon - first);
    const float* from = part.data();
    for (const Group& group : groups)
      for (const std::int64_t row : group) {
        for (std::int64_t q = 0; q < std::ssize(wanted); ++q)
          for (std::int64_t t = 0; t < count; ++t)
            out[(row * std::ssize(wanted) + q) * options_.horizon + first + t] =
                at_level(from + t, steps, wanted[q]);
        from += levels() * steps;
      }
  }

  const Chronos2& model_;
  const TowerConfig& config_;
  const Chronos2Series& series_;
  const Chronos2Options& options_;
  Chronos2Scratch scratch_;
  std::vector<std::pair<float, float>> points_;
};

}  // namespace

std::vector<float> forecast(const Chronos2& model, const Chronos2Series& series,
                            const Chronos2Options& options) {
  check(model, series, options);
  const std::vector<Group> groups = groups_of(series);
  const auto blocks = blocks_of(groups);
  const std::int64_t levels =
      options.levels.empty() ? std::ssize(model.config().quantiles) : std::ssize(options.levels);
  std::vector<float> out(static_cast<std::size_t>(series.rows * levels * options.horizon));
  share(blocks.size(), options.threads, [&](std::size_t block) {
    const auto& [first, last] = blocks[block];
    Forecaster(model, series, options).run(std::span(groups).subspan(first, last - first), out.data());
  });
  return out;
}

}  // namespace shelfcast::scorer
