#include "eval/error_table.h"

#include <algorithm>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

std::size_t index(std::int64_t value) { return static_cast<std::size_t>(value); }

void add_to(std::span<double> sums, std::span<const double> part) {
  for (std::size_t i = 0; i < part.size(); ++i) sums[i] += part[i];
}

std::vector<double> take(std::span<const double>& in, std::size_t count) {
  SHELFCAST_ASSERT(count <= in.size());
  std::vector<double> taken(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(count));
  in = in.subspan(count);
  return taken;
}

void append(std::vector<double>& out, std::span<const double> values) {
  out.insert(out.end(), values.begin(), values.end());
}

}  // namespace

ErrorTable::ErrorTable(ErrorLayout layout, TableShape shape)
    : layout_(std::move(layout)),
      shape_(shape),
      by_series_(index(shape.series) * layout_.width()),
      by_origin_(index(shape.origins) * layout_.width()),
      by_step_(index(shape.horizon) * layout_.width()),
      delta_(layout_.width()) {}

std::span<const double> ErrorTable::add(std::int64_t series, std::int64_t origin, std::int64_t step,
                                        const Judged& judged) {
  std::ranges::fill(delta_, 0.0);
  layout_.add(judged, delta_);
  const std::size_t width = layout_.width();
  add_to(std::span(by_series_).subspan(index(series - shape_.first_series) * width, width), delta_);
  add_to(std::span(by_origin_).subspan(index(origin) * width, width), delta_);
  add_to(std::span(by_step_).subspan(index(step) * width, width), delta_);
  return delta_;
}

void ErrorTable::merge(const ErrorTable& part) {
  SHELFCAST_ASSERT(part.layout_.levels() == layout_.levels() && part.shape_.origins == shape_.origins &&
                   part.shape_.horizon == shape_.horizon);
  const std::int64_t offset = part.shape_.first_series - shape_.first_series;
  SHELFCAST_ASSERT(offset >= 0 && offset + part.shape_.series <= shape_.series);
  add_to(std::span(by_series_).subspan(index(offset) * layout_.width()), part.by_series_);
  add_to(by_origin_, part.by_origin_);
  add_to(by_step_, part.by_step_);
}

std::span<const double> ErrorTable::series(std::int64_t series) const {
  return std::span(by_series_)
      .subspan(index(series - shape_.first_series) * layout_.width(), layout_.width());
}

std::span<const double> ErrorTable::origin(std::int64_t origin) const {
  return std::span(by_origin_).subspan(index(origin) * layout_.width(), layout_.width());
}

std::span<const double> ErrorTable::step(std::int64_t step) const {
  return std::span(by_step_).subspan(index(step) * layout_.width(), layout_.width());
}

std::vector<std::vector<double>> ErrorTable::by_level(std::span<const std::size_t> level_of,
                                                      std::size_t levels) const {
  SHELFCAST_ASSERT(std::ssize(level_of) == shape_.series);
  std::vector<std::vector<double>> sums(levels, std::vector<double>(layout_.width()));
  for (std::size_t i = 0; i < level_of.size(); ++i)
    add_to(sums[level_of[i]], series(shape_.first_series + static_cast<std::int64_t>(i)));
  return sums;
}

std::vector<double> ErrorTable::total() const {
  std::vector<double> sums(layout_.width());
  for (std::int64_t i = 0; i < shape_.series; ++i) add_to(sums, series(shape_.first_series + i));
  return sums;
}

void ErrorTable::pack(std::vector<double>& out) const {
  for (const std::int64_t number :
       {std::ssize(layout_.levels()), shape_.first_series, shape_.series, shape_.origins, shape_.horizon})
    out.push_back(static_cast<double>(number));
  append(out, layout_.levels());
  append(out, by_series_);
  append(out, by_origin_);
  append(out, by_step_);
}

ErrorTable ErrorTable::unpack(std::span<const double>& in) {
  const std::vector<double> head = take(in, 5);
  const auto number = [&](std::size_t i) { return static_cast<std::int64_t>(head[i]); };
  const TableShape shape{number(1), number(2), number(3), number(4)};
  ErrorTable table(ErrorLayout(take(in, index(number(0)))), shape);
  table.by_series_ = take(in, table.by_series_.size());
  table.by_origin_ = take(in, table.by_origin_.size());
  table.by_step_ = take(in, table.by_step_.size());
  return table;
}

}  // namespace shelfcast::eval
