#include "models/series/quantile_levels.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace shelfcast::models {

namespace {

constexpr double kSameLevel = 1e-6;  // levels closer than this are one level

void require_levels(const std::vector<double>& levels) {
  for (const double level : levels) {
    if (!(level >= 0.0 && level <= 1.0)) {
      throw input_error(fmt::format("there is no quantile at level {}", level), "levels lie between 0 and 1");
    }
  }
  if (levels.empty()) throw input_error("no quantile level was named", "", "name at least one, such as 0.5");
}

void require_as_many(std::size_t have, const at::Tensor& values, const char* what) {
  if (values.dim() == 0 || static_cast<std::int64_t>(have) != values.size(-1)) {
    throw input_error(
        fmt::format("{} {} do not fit values of shape [{}]", have, what, fmt::join(values.sizes(), ", ")),
        "there must be one for each value");
  }
}

// Both [rows, n], levels ascending in each row; in float32, as published.
at::Tensor interpolate(const std::vector<double>& wanted, at::Tensor levels, at::Tensor values) {
  const auto edge = [&](double level) { return at::full({levels.size(0), 1}, level, levels.options()); };
  if (levels.min().item<float>() > 0.0F) {
    levels = at::cat({edge(0.0), levels}, 1);
    values = at::cat({values.narrow(1, 0, 1), values}, 1);
  }
  if (levels.max().item<float>() < 1.0F) {
    levels = at::cat({levels, edge(1.0)}, 1);
    values = at::cat({values, values.narrow(1, values.size(1) - 1, 1)}, 1);
  }
  const at::Tensor at_levels =
      at::tensor(wanted, at::kFloat).to(levels.device()).expand({levels.size(0), -1}).contiguous();
  const at::Tensor upper =
      at::searchsorted(levels.contiguous(), at_levels, /*out_int32=*/false, /*right=*/true)
          .clamp(1, levels.size(1) - 1);
  const at::Tensor lower = upper - 1;
  const at::Tensor low = levels.gather(1, lower), low_value = values.gather(1, lower);
  const at::Tensor share = at::nan_to_num((at_levels - low) / (levels.gather(1, upper) - low), 0.0);
  return low_value + share * (values.gather(1, upper) - low_value);
}

at::Tensor with_last(const at::Tensor& rows, const at::Tensor& like) {
  std::vector<std::int64_t> shape = like.sizes().vec();
  shape.back() = rows.size(1);
  return rows.view(shape).to(like.scalar_type());
}

at::Tensor as_rows(const at::Tensor& x) { return x.to(at::kFloat).reshape({-1, x.size(-1)}); }

}  // namespace

at::Tensor interpolate_quantiles(const std::vector<double>& wanted, const std::vector<double>& levels,
                                 const at::Tensor& values) {
  require_levels(wanted);
  require_levels(levels);
  require_as_many(levels.size(), values, "levels");
  const at::Tensor rows = as_rows(values);
  const auto [sorted, index] = at::tensor(levels, at::kFloat).to(values.device()).sort();
  const at::Tensor result =
      interpolate(wanted, sorted.expand({rows.size(0), -1}), rows.index_select(1, index));
  return with_last(result, values);
}

at::Tensor weighted_quantiles(const std::vector<double>& wanted, const at::Tensor& weights_n,
                              const at::Tensor& samples) {
  require_levels(wanted);
  require_as_many(static_cast<std::size_t>(weights_n.numel()), samples, "weights");
  if (!(weights_n > 0.0).all().item<bool>()) throw input_error("a sample's weight is not positive");
  at::Tensor weight = weights_n.to(samples.device(), at::kFloat).flatten();
  weight = weight / weight.sum();
  const auto [sorted, index] = as_rows(samples).sort(1);
  const at::Tensor levels =
      weight.index_select(0, index.flatten()).view(index.sizes()).cumsum(1).clamp(0.0, 1.0);
  return with_last(interpolate(wanted, levels, sorted), samples);
}

at::Tensor level_masses(const std::vector<double>& levels) {
  const auto n = static_cast<std::int64_t>(levels.size());
  const at::Tensor edge = at::zeros({1}, at::kFloat);
  const at::Tensor bounds = at::cat({edge, at::tensor(levels, at::kFloat), edge + 1.0});
  const at::Tensor masses = (bounds.narrow(0, 2, n) - bounds.narrow(0, 0, n)) / 2.0;
  return masses / masses.sum();
}

std::vector<std::int64_t> rows_of_levels(const std::vector<double>& wanted,
                                         const std::vector<double>& levels) {
  std::vector<std::int64_t> rows;
  for (const double level : wanted) {
    std::size_t row = 0;
    while (row < levels.size() && std::abs(levels[row] - level) >= kSameLevel) ++row;
    if (row == levels.size()) return {};
    rows.push_back(static_cast<std::int64_t>(row));
  }
  return rows;
}

}  // namespace shelfcast::models
