#include "data/segment_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/corpus_parts.h"

namespace shelfcast::data {
namespace {

// Pieces of equal length, none longer than `longest`: a last piece of a few steps would waste most of its
// chunk.
std::int64_t even_chunk(std::int64_t steps, std::int64_t longest) {
  const std::int64_t pieces = (steps + longest - 1) / longest;
  return (steps + pieces - 1) / pieces;
}

}  // namespace

std::int64_t first_infinite(std::span<const float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isinf(values[i])) return static_cast<std::int64_t>(i);
  return -1;
}

std::int64_t first_bad_code(std::span<const float> values, std::size_t size) {
  const float end = static_cast<float>(size);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!(values[i] >= -1.0F && values[i] < end && values[i] == std::floor(values[i])))
      return static_cast<std::int64_t>(i);
  return -1;
}

SegmentWriter::SegmentWriter(std::filesystem::path folder, const CorpusInfo& info,
                             const std::vector<std::string>& names, PanelRegion region,
                             std::int64_t first_number, LayoutOptions layout)
    : folder_(std::move(folder)),
      info_(info),
      names_(names),
      region_(region),
      next_number_(first_number),
      layout_(layout) {
  layout_.chunk_series =
      std::clamp<std::int64_t>(layout_.chunk_series, 1, std::max<std::int64_t>(1, region_.series));
  layout_.chunk_steps = even_chunk(region_.steps, std::max<std::int64_t>(1, layout_.chunk_steps));
  // Segments hold whole chunks.
  layout_.segment_series =
      std::max(layout_.segment_series / layout_.chunk_series, std::int64_t{1}) * layout_.chunk_series;
  for (std::size_t i = 0; i < info_.covariates.size(); ++i)
    if (info_.covariates[i].per == "series") per_series_.push_back(i);
  waiting_.resize(1 + per_series_.size());
}

PanelLayout SegmentWriter::panel(std::int64_t rows, StoredType type) const {
  return {rows, region_.steps, std::min(rows, layout_.chunk_series), layout_.chunk_steps, layout_.compression,
          type};
}

void SegmentWriter::open() {
  segment_rows_ = std::min(layout_.segment_series, region_.series - rows_taken_);
  rows_written_ = 0;
  const std::string name = fmt::format("segment-{:06}.h5", next_number_++);
  const std::int64_t first = region_.first_series + rows_taken_;
  segments_.push_back(
      {{name, 0, {}}, first, segment_rows_, region_.first_step, region_.steps, region_.steps});
  file_ = create_part(folder_ / name, "shelfcast-segment");
  file_->set_attribute("first_series", first);
  file_->set_attribute("first_step", region_.first_step);
  columns_.push_back(file_->create_dataset("demand", panel(segment_rows_, StoredType::float32)));
  for (const std::size_t i : per_series_)
    columns_.push_back(file_->create_dataset(dataset_of(info_.covariates[i]),
                                             panel(segment_rows_, stored_type(info_.covariates[i]))));
  file_->reserve_space();
}

void SegmentWriter::close() {
  columns_.clear();
  file_->close();
  const std::filesystem::path path = file_->path();
  file_.reset();
  segments_.back().file = describe_file(path);
}

// Writes rows [from, from + rows) of the sources as the segment's next rows.
void SegmentWriter::write_rows(std::int64_t rows, const Sources& sources, std::int64_t from) {
  for (std::size_t i = 0; i < columns_.size(); ++i)
    columns_[i].write({rows_written_, rows, 0, region_.steps}, sources[i].data() + from * region_.steps);
  rows_written_ += rows;
}

void SegmentWriter::flush_waiting() {
  if (rows_waiting_ == 0) return;
  write_rows(rows_waiting_, {waiting_.begin(), waiting_.end()}, 0);
  rows_waiting_ = 0;
  for (auto& column : waiting_) column.clear();
}

void SegmentWriter::check(const Sources& sources) const {
  const auto where = [&](std::int64_t index) {
    const std::int64_t series = region_.first_series + rows_taken_ + index / region_.steps;
    return fmt::format("series {}, {}", names_[static_cast<std::size_t>(series)],
                       format_date(info_.axis.date_of(region_.first_step + index % region_.steps)));
  };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const CovariateInfo* covariate = i == 0 ? nullptr : &info_.covariates[per_series_[i - 1]];
    const std::string name = covariate == nullptr ? "demand" : covariate->name;
    if (covariate != nullptr && covariate->kind == Kind::categorical) {
      const std::int64_t bad = first_bad_code(sources[i], covariate->vocabulary.size());
      if (bad >= 0)
        throw Error(ErrorKind::internal, fmt::format("{} of {} is not in its vocabulary", name, where(bad)));
    } else if (const std::int64_t bad = first_infinite(sources[i]); bad >= 0) {
      throw input_error(fmt::format("{} is infinite", name), where(bad),
                        "leave the cell empty if it is not known");
    }
  }
}

void SegmentWriter::append(std::int64_t rows, std::span<const float> demand,
                           std::span<const std::vector<float>> covariates) {
  if (rows_taken_ + rows > region_.series)
    throw Error(ErrorKind::internal, fmt::format("more than {} series were appended", region_.series));
  SHELFCAST_ASSERT(covariates.size() == per_series_.size());
  Sources sources{demand};
  for (const auto& values : covariates) sources.emplace_back(values);
  for (const auto& source : sources)
    SHELFCAST_ASSERT(static_cast<std::int64_t>(source.size()) == rows * region_.steps);
  check(sources);
  for (std::int64_t from = 0; from < rows;) {
    if (!file_) open();
    const std::int64_t left = std::min(rows - from, segment_rows_ - rows_written_ - rows_waiting_);
    const std::int64_t whole = left / layout_.chunk_series * layout_.chunk_series;
    const bool at_once = rows_waiting_ == 0 && whole > 0;
    const std::int64_t count = at_once ? whole : std::min(left, layout_.chunk_series - rows_waiting_);
    if (at_once) {
      write_rows(count, sources, from);
    } else {
      for (std::size_t i = 0; i < waiting_.size(); ++i) {
        const auto part = sources[i].subspan(static_cast<std::size_t>(from * region_.steps),
                                             static_cast<std::size_t>(count * region_.steps));
        waiting_[i].insert(waiting_[i].end(), part.begin(), part.end());
      }
      rows_waiting_ += count;
    }
    from += count;
    rows_taken_ += count;
    if (rows_waiting_ == layout_.chunk_series || rows_written_ + rows_waiting_ == segment_rows_)
      flush_waiting();
    if (rows_written_ == segment_rows_) close();
  }
}

std::vector<SegmentEntry> SegmentWriter::take() {
  SHELFCAST_ASSERT(rows_taken_ == region_.series && !file_);
  return std::move(segments_);
}

}  // namespace shelfcast::data
