#include "models/series/chronos2_forecast.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "models/series/quantile_levels.h"

namespace shelfcast::models {

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// Each row `times` times, copies next to each other.
at::Tensor repeated(const at::Tensor& x, std::int64_t times) {
  return x.defined() ? x.repeat_interleave(times, 0) : x;
}

at::Tensor last_steps(const at::Tensor& x, std::int64_t steps) {
  return x.size(1) > steps ? x.narrow(1, x.size(1) - steps, steps) : x;
}

// What is left of the known future after `steps`; undefined when nothing is.
at::Tensor after(const at::Tensor& future, std::int64_t steps) {
  if (!future.defined() || future.size(1) <= steps) return {};
  return future.narrow(1, steps, future.size(1) - steps);
}

// [b, q, h] in the rows' own units, in host memory.
at::Tensor quantiles_of(const Chronos2& tower, const Chronos2Inputs& inputs) {
  return tower.forward(inputs, nullptr).demand_quantiles_bqh().to(at::kCPU);
}

// Paths of a batch into the future, `n` a row, next to each other.
class Paths {
 public:
  Paths(const Chronos2& tower, const Chronos2Inputs& inputs, const std::vector<double>& levels)
      : tower_(tower), levels_(levels), n_(static_cast<std::int64_t>(levels.size())) {
    const std::int64_t rows = inputs.context_bt.size(0);
    if (rows_of_levels(levels, tower.config().quantiles).empty()) {
      throw input_error(fmt::format("the horizon needs unrolling along levels {}", fmt::join(levels, ", ")),
                        fmt::format("the model has {}", fmt::join(tower.config().quantiles, ", ")),
                        "name levels among these or shorten the horizon");
    }
    context_ = repeated(inputs.context_bt, n_);
    future_ = repeated(inputs.future_bh, n_);
    const at::Tensor ids = inputs.group_ids_b.defined() ? inputs.group_ids_b : at::arange(rows, at::kLong);
    // Rows of a group meet only along the same level.
    ids_ = (ids.unsqueeze(1) * n_ + at::arange(n_, ids.options())).flatten();
    weights_ = at::outer(level_masses(levels), level_masses(tower.config().quantiles)).flatten();
  }

  // Goes on by `forecast_bqh`, the last forecast of all rows; returns the next one.
  at::Tensor next(const at::Tensor& forecast_bqh, std::int64_t patches) {
    const Chronos2Config& config = tower_.config();
    const std::int64_t rows = forecast_bqh.size(0), steps = forecast_bqh.size(2);
    const at::Tensor continued =
        interpolate_quantiles(levels_, config.quantiles, forecast_bqh.transpose(1, 2)).transpose(1, 2);
    at::Tensor step = continued.reshape({rows * n_, steps});
    if (future_.defined()) {
      const at::Tensor known =
          at::constant_pad_nd(future_.narrow(1, 0, std::min(steps, future_.size(1))),
                              {0, std::max<std::int64_t>(0, steps - future_.size(1))}, kMissing);
      step = at::where(known.isnan(), step, known);
    }
    context_ = last_steps(at::cat({context_, step}, 1), config.context_length);
    future_ = after(future_, steps);

    Chronos2Inputs inputs{context_, ids_, {}, patches};
    if (future_.defined())
      inputs.future_bh = future_.narrow(1, 0, std::min(future_.size(1), patches * config.patch_size));
    const at::Tensor paths = quantiles_of(tower_, inputs);
    const at::Tensor pooled = paths.view({rows, -1, paths.size(2)}).transpose(1, 2);
    return weighted_quantiles(config.quantiles, weights_, pooled).transpose(1, 2);
  }

 private:
  const Chronos2& tower_;
  std::vector<double> levels_;
  std::int64_t n_;
  at::Tensor context_, future_, ids_, weights_;
};

// Tasks [first, last) as one batch, left-padded to the longest context.
Chronos2Inputs batch_of(const std::vector<PreparedTask>& tasks, std::size_t first, std::size_t last,
                        std::int64_t context_length) {
  std::int64_t steps = 1;
  for (std::size_t i = first; i < last; ++i)
    steps = std::max(steps, std::min(tasks[i].context_rt.size(1), context_length));
  std::vector<at::Tensor> contexts, futures, ids;
  for (std::size_t i = first; i < last; ++i) {
    const at::Tensor context = last_steps(tasks[i].context_rt, context_length);
    contexts.push_back(at::constant_pad_nd(context, {steps - context.size(1), 0}, kMissing));
    futures.push_back(tasks[i].future_rh);
    ids.push_back(at::full({context.size(0)}, static_cast<std::int64_t>(i), at::kLong));
  }
  return {at::cat(contexts, 0), at::cat(ids, 0), at::cat(futures, 0), 1};
}

}  // namespace

std::int64_t rows_in_memory(const Chronos2Config& c, std::int64_t context, std::int64_t horizon,
                            const UnrollOptions& options) {
  constexpr std::int64_t kNumbers = std::int64_t{64} << 20;  // 256 MB
  const std::int64_t tokens = std::min(context, c.context_length) / c.input_patch_stride + 2 +
                              std::min(c.max_output_patches, (horizon + c.patch_size - 1) / c.patch_size);
  const std::int64_t paths = horizon > c.prediction_length() ? std::ssize(options.levels) : 1;
  const std::int64_t rows = kNumbers / (c.num_heads * tokens * tokens * std::max<std::int64_t>(1, paths));
  return std::clamp<std::int64_t>(rows, 1, options.batch_rows);
}

at::Tensor unrolled_forecast(const Chronos2& tower, const Chronos2Inputs& inputs, std::int64_t horizon,
                             const UnrollOptions& options) {
  const at::NoGradGuard no_grad;
  const Chronos2Config& config = tower.config();
  if (horizon < 1) throw input_error(fmt::format("the horizon is {}", horizon), "it must be at least 1");
  const auto patches_for = [&config](std::int64_t steps) {
    return std::min((steps + config.patch_size - 1) / config.patch_size, config.max_output_patches);
  };
  Chronos2Inputs first = inputs;
  first.patches = patches_for(horizon);
  const std::int64_t reach = first.patches * config.patch_size;
  if (inputs.future_bh.defined() && inputs.future_bh.size(1) > reach)
    first.future_bh = inputs.future_bh.narrow(1, 0, reach);
  std::vector<at::Tensor> parts = {quantiles_of(tower, first)};
  std::int64_t left = horizon - reach;
  if (left > 0) {
    Paths paths(tower, inputs, options.levels);
    for (; left > 0; left -= parts.back().size(2))
      parts.push_back(paths.next(parts.back(), patches_for(left)));
  }
  return at::cat(parts, 2).narrow(2, 0, horizon);
}

std::vector<at::Tensor> forecast(const Chronos2& tower, const std::vector<ForecastTask>& tasks,
                                 std::int64_t horizon, const std::vector<double>& levels,
                                 const UnrollOptions& options) {
  const Chronos2Config& config = tower.config();
  const std::vector<PreparedTask> prepared = prepare_tasks(tasks, horizon);
  const std::vector<std::int64_t> rows = rows_of_levels(levels, config.quantiles);
  std::int64_t context = 1;
  for (const PreparedTask& task : prepared) context = std::max(context, task.context_rt.size(1));
  const std::int64_t most = rows_in_memory(config, context, horizon, options);
  std::vector<at::Tensor> result;
  for (std::size_t first = 0, last = 0; first < prepared.size(); first = last) {
    for (std::int64_t count = 0; last < prepared.size() && count < most; ++last)
      count += prepared[last].context_rt.size(0);
    const at::Tensor all =
        unrolled_forecast(tower, batch_of(prepared, first, last, config.context_length), horizon, options);
    std::int64_t row = 0;
    for (std::size_t i = first; i < last; ++i) {
      const at::Tensor own = all.narrow(0, row, prepared[i].targets);
      result.push_back(
          rows.empty() ? interpolate_quantiles(levels, config.quantiles, own.transpose(1, 2)).transpose(1, 2)
                       : own.index_select(1, at::tensor(rows, at::kLong)));
      row += prepared[i].context_rt.size(0);
    }
  }
  return result;
}

}  // namespace shelfcast::models
