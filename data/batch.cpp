#include "data/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "data/calendar.h"
#include "data/censored.h"

namespace shelfcast::data {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr float kClosedBelow = -0.5F;  // of data.open, scaled: 0 = open or missing, -1 = closed
// Calendar values are looked up for this many steps from the start of the corpus (44 years of days) and
// worked out date by date beyond.
constexpr std::int64_t kCalendarSteps = 16384;

// The steps [first, first + count) that a block holds: entries [begin, end) of the destination, read from
// `from`.
struct Overlap {
  std::int64_t begin = 0, end = 0;
  const float* from = nullptr;
};

Overlap overlap(const PanelBlock& block, const float* row, std::int64_t first, std::int64_t count) {
  const std::int64_t begin = std::clamp<std::int64_t>(block.first_step - first, 0, count);
  const std::int64_t end = std::clamp<std::int64_t>(block.first_step + block.steps - first, begin, count);
  return {begin, end, begin < end ? row + (first + begin - block.first_step) : row};
}

const float* column_row(const PanelBlock& block, int index, std::int64_t series) {
  return block.row(static_cast<std::size_t>(index), series).data();
}

// Steps [first, first + count) of `row`, NaN where the block has none.
void copy_steps(const PanelBlock& block, const float* row, std::int64_t first, std::int64_t count,
                float* to) {
  const Overlap part = overlap(block, row, first, count);
  std::fill_n(to, count, kMissing);
  std::copy_n(part.from, part.end - part.begin, to + part.begin);
}

// out = scaled value, NaN where missing.
void scale(const float* from, std::int64_t count, float mean, float inverse_std, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = (from[i] - mean) * inverse_std;
}

float log_or_missing(float value) { return value > 0.0F ? std::log(value) : kMissing; }

// The logarithm minus its mean over the first `context` values; minus `fallback` where none of those is
// observed.
void scale_log_ratio(float* values, std::int64_t count, std::int64_t context, float fallback,
                     float inverse_std) {
  double sum = 0.0;
  std::int64_t observed = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = log_or_missing(values[i]);
    if (i < context && values[i] == values[i]) {
      sum += static_cast<double>(values[i]);
      ++observed;
    }
  }
  const float centre = observed > 0 ? static_cast<float>(sum / static_cast<double>(observed)) : fallback;
  scale(values, count, centre, inverse_std, values);
}

// Codes of one vocabulary in another: entry c + 1 for code c, entry 0 for missing; words that are not there
// become 0.
std::vector<std::int32_t> recoding(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  std::unordered_map<std::string, std::int32_t> model_code;
  for (std::size_t i = 0; i < to.size(); ++i) model_code.emplace(to[i], static_cast<std::int32_t>(i) + 1);
  std::vector<std::int32_t> table{0};
  for (const std::string& word : from) {
    const auto found = model_code.find(word);
    table.push_back(found == model_code.end() ? 0 : found->second);
  }
  return table;
}

template <typename T>
void fill_row(std::vector<T>& values, std::int64_t row, std::size_t width, T value) {
  std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(row) * static_cast<std::ptrdiff_t>(width), width,
              value);
}

}  // namespace

void Batch::resize(const FeatureSpec& spec, std::int64_t count) {
  windows = count;
  const auto b = static_cast<std::size_t>(count), t = static_cast<std::size_t>(spec.context),
             h = static_cast<std::size_t>(spec.horizon);
  window_b.resize(b);
  sample_b.resize(b);
  context_bt.resize(b * t);
  past_bnt.resize(b * spec.past_numeric.size() * t);
  past_codes_bct.resize(b * spec.past_categorical.size() * t);
  known_bnu.resize(b * spec.known_numeric.size() * (t + h));
  known_codes_bcu.resize(b * spec.known_categorical.size() * (t + h));
  statics_bs.resize(b * spec.statics.size());
  static_numbers_bn.resize(b * 2 * spec.static_numbers.size());
  target_bh.resize(b * h);
  bound_bh.resize(spec.censored.empty() ? 0 : b * h);
  inventory_bu.resize(spec.inventory.empty() ? 0 : b * (t + h));
  weight_b.resize(b);
  for (std::int64_t row = 0; row < count; ++row) pad(spec, row);
}

void Batch::pad(const FeatureSpec& spec, std::int64_t row) {
  const auto t = static_cast<std::size_t>(spec.context), h = static_cast<std::size_t>(spec.horizon);
  const auto index = static_cast<std::size_t>(row);
  window_b[index] = {-1, 0};
  sample_b[index] = -1;
  weight_b[index] = 0.0F;
  fill_row(context_bt, row, t, kMissing);
  fill_row(target_bh, row, h, kMissing);
  if (!bound_bh.empty()) fill_row(bound_bh, row, h, kMissing);
  if (!inventory_bu.empty()) fill_row(inventory_bu, row, t + h, kMissing);
  fill_row(past_bnt, row, spec.past_numeric.size() * t, kMissing);
  fill_row(past_codes_bct, row, spec.past_categorical.size() * t, std::int32_t{0});
  fill_row(known_bnu, row, spec.known_numeric.size() * (t + h), kMissing);
  fill_row(known_codes_bcu, row, spec.known_categorical.size() * (t + h), std::int32_t{0});
  fill_row(statics_bs, row, spec.statics.size(), std::int32_t{0});
  fill_row(static_numbers_bn, row, 2 * spec.static_numbers.size(), 0.0F);
}

WindowAssembler::WindowAssembler(FeatureSpec spec, TimeAxis axis,
                                 std::vector<std::vector<std::int32_t>> statics,
                                 std::vector<std::vector<float>> static_numbers)
    : spec_(std::move(spec)),
      axis_(axis),
      statics_(std::move(statics)),
      static_numbers_(std::move(static_numbers)),
      calendar_first_(-spec_.context) {
  SHELFCAST_ASSERT(statics_.size() == spec_.statics.size() &&
                   static_numbers_.size() == spec_.static_numbers.size() && spec_.context >= 1 &&
                   spec_.horizon >= 1);
  known_numeric_ = make_sources(spec_.known_numeric);
  known_categorical_ = make_sources(spec_.known_categorical);
  past_numeric_ = make_sources(spec_.past_numeric);
  past_categorical_ = make_sources(spec_.past_categorical);
  if (!spec_.censored.empty()) censored_ = column_index(spec_.censored);
  if (!spec_.inventory.empty()) inventory_ = column_index(spec_.inventory);
}

std::vector<WindowAssembler::Source> WindowAssembler::make_sources(
    const std::vector<FeatureColumn>& columns) {
  std::vector<Source> sources;
  for (const FeatureColumn& column : columns) sources.push_back(make_source(column));
  return sources;
}

WindowAssembler::Source WindowAssembler::make_source(const FeatureColumn& column) {
  Source source;
  source.name = column.name;
  source.scaler = column.scaler;
  source.inverse_std = 1.0F / column.scaler.std;
  if (is_calendar(column)) {
    for (std::int64_t i = 0; i < kCalendarSteps; ++i)
      source.calendar.push_back(calendar_value(column.name, axis_.date_of(calendar_first_ + i)));
    return source;
  }
  source.block_column = column_index(column.name);
  for (std::size_t code = 0; code <= column.vocabulary.size(); ++code)
    source.recode.push_back(static_cast<std::int32_t>(code));
  return source;
}

int WindowAssembler::column_index(const std::string& name) {
  const auto found = std::find(columns_.begin(), columns_.end(), name);
  if (found == columns_.end()) columns_.push_back(name);
  return static_cast<int>(std::find(columns_.begin(), columns_.end(), name) - columns_.begin());
}

float WindowAssembler::calendar_at(const Source& source, std::int64_t step) const {
  const std::int64_t index = step - calendar_first_;
  if (index >= 0 && index < kCalendarSteps) return source.calendar[static_cast<std::size_t>(index)];
  return calendar_value(source.name, axis_.date_of(step));
}

void WindowAssembler::fill_demand(const PanelBlock& block, std::int64_t series, std::int64_t first,
                                  std::int64_t count, float* to, float* bound) const {
  copy_steps(block, block.demand.data() + (series - block.first_series) * block.steps, first, count, to);
  if (censored_ < 0) return;
  const Overlap cut = overlap(block, column_row(block, censored_, series), first, count);
  if (bound != nullptr) std::fill_n(bound, count, kMissing);
  for (std::int64_t i = cut.begin; i < cut.end; ++i) {
    const bool hidden = is_cut(cut.from[i - cut.begin]);
    if (bound != nullptr) bound[i] = hidden ? to[i] : kMissing;
    to[i] = hidden ? kMissing : to[i];
  }
}

void WindowAssembler::fill_numbers(const Source& source, const PanelBlock& block, std::int64_t series,
                                   std::int64_t first, std::int64_t count, std::int64_t context,
                                   float* to) const {
  if (source.block_column < 0) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = calendar_at(source, first + i);
    return;
  }
  copy_steps(block, column_row(block, source.block_column, series), first, count, to);
  if (source.scaler.kind == Scaler::Kind::log_ratio)
    scale_log_ratio(to, count, context, source.scaler.mean, source.inverse_std);
  if (source.scaler.kind == Scaler::Kind::standard)
    scale(to, count, source.scaler.mean, source.inverse_std, to);
}

void WindowAssembler::fill_codes(const Source& source, const PanelBlock& block, std::int64_t series,
                                 std::int64_t first, std::int64_t count, std::int32_t* to) const {
  if (source.block_column < 0) {
    for (std::int64_t i = 0; i < count; ++i)
      to[i] = static_cast<std::int32_t>(calendar_at(source, first + i));
    return;
  }
  const Overlap part = overlap(block, column_row(block, source.block_column, series), first, count);
  const auto words = static_cast<float>(source.recode.size());
  std::fill_n(to, count, 0);
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    const float code = part.from[i - part.begin] + 1.0F;
    if (code > 0.0F && code < words) to[i] = source.recode[static_cast<std::size_t>(code)];
  }
}

namespace {

// What is seen of closed steps is no demand, for whoever changes or hides parts of a history as well.
// `known`: the window's known numbers, [n, u].
void hide_closed(const FeatureSpec& spec, std::int64_t steps, const float* known, std::span<float> context) {
  if (spec.open.empty()) return;
  const auto column = std::ranges::find(spec.known_numeric, spec.open, &FeatureColumn::name);
  if (column == spec.known_numeric.end()) return;
  const float* open = known + (column - spec.known_numeric.begin()) * steps;
  for (std::size_t t = 0; t < context.size(); ++t)
    if (open[t] < kClosedBelow) context[t] = kMissing;
}

}  // namespace

void WindowAssembler::assemble(const PanelBlock& block, Window window, std::int64_t sample, std::int64_t row,
                               Batch& batch) const {
  SHELFCAST_ASSERT(row >= 0 && row < batch.windows && window.series >= block.first_series &&
                   window.series < block.first_series + block.series);
  const std::int64_t t = spec_.context, h = spec_.horizon, u = t + h, first = window.origin - t;
  const auto index = static_cast<std::size_t>(row);
  batch.window_b[index] = window;
  batch.sample_b[index] = sample;
  batch.weight_b[index] = 1.0F;
  fill_demand(block, window.series, first, t, batch.context_bt.data() + row * t);
  fill_demand(block, window.series, window.origin, h, batch.target_bh.data() + row * h,
              batch.bound_bh.empty() ? nullptr : batch.bound_bh.data() + row * h);
  const auto numbers = [&](const std::vector<Source>& sources, std::int64_t count, std::vector<float>& to) {
    float* place = to.data() + row * static_cast<std::int64_t>(sources.size()) * count;
    for (const Source& source : sources) {
      fill_numbers(source, block, window.series, first, count, t, place);
      place += count;
    }
  };
  const auto codes = [&](const std::vector<Source>& sources, std::int64_t count,
                         std::vector<std::int32_t>& to) {
    std::int32_t* place = to.data() + row * static_cast<std::int64_t>(sources.size()) * count;
    for (const Source& source : sources) {
      fill_codes(source, block, window.series, first, count, place);
      place += count;
    }
  };
  if (inventory_ >= 0)
    copy_steps(block, column_row(block, inventory_, window.series), first, u,
               batch.inventory_bu.data() + row * u);
  numbers(past_numeric_, t, batch.past_bnt);
  codes(past_categorical_, t, batch.past_codes_bct);
  numbers(known_numeric_, u, batch.known_bnu);
  hide_closed(
      spec_, u, batch.known_bnu.data() + row * std::ssize(known_numeric_) * u,
      std::span(batch.context_bt).subspan(index * static_cast<std::size_t>(t), static_cast<std::size_t>(t)));
  codes(known_categorical_, u, batch.known_codes_bcu);
  for (std::size_t s = 0; s < statics_.size(); ++s)
    batch.statics_bs[index * statics_.size() + s] = statics_[s][static_cast<std::size_t>(window.series)];
  for (std::size_t n = 0; n < static_numbers_.size(); ++n) {
    const auto numbers_of_fact =
        spec_.static_numbers[n].model_numbers(static_numbers_[n][static_cast<std::size_t>(window.series)]);
    std::ranges::copy(numbers_of_fact,
                      batch.static_numbers_bn.begin() +
                          static_cast<std::ptrdiff_t>(2 * (index * static_numbers_.size() + n)));
  }
}

WindowAssembler make_assembler(const FeatureSpec& spec, const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  if (spec.frequency != info.axis.frequency)
    throw input_error(
        fmt::format("{} has frequency {}", corpus.folder().string(), to_string(info.axis.frequency)),
        fmt::format("the model was made for {}", to_string(spec.frequency)),
        "use a corpus of that frequency");
  std::vector<std::vector<std::int32_t>> statics;
  for (const StaticColumn& column : spec.statics) {
    const std::size_t index = info.static_index(column.name);
    const auto table = recoding(info.statics[index].vocabulary, column.vocabulary);
    statics.emplace_back();
    for (const std::int32_t code : corpus.static_codes(index))
      statics.back().push_back(table[static_cast<std::size_t>(std::int64_t{code} + 1)]);
  }
  std::vector<std::vector<float>> static_numbers;
  for (const NumericStatic& fact : spec.static_numbers) {
    const std::span<const float> values = corpus.static_values(info.static_index(fact.name));
    if (std::ssize(values) != info.series)
      throw input_error(fmt::format("static \"{}\" of {} is a category", fact.name, corpus.folder().string()),
                        "the model was made for a number", "ingest it as the model's corpus was");
    static_numbers.emplace_back(values.begin(), values.end());
  }
  WindowAssembler assembler(spec, info.axis, std::move(statics), std::move(static_numbers));
  const auto recode = [&](std::vector<WindowAssembler::Source>& sources,
                          const std::vector<FeatureColumn>& columns) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i].block_column < 0) continue;
      const CovariateInfo& covariate = info.covariates[info.covariate_index(columns[i].name)];
      if (covariate.kind != columns[i].kind)
        throw input_error(fmt::format("covariate \"{}\" of {} is of another kind than the model's",
                                      columns[i].name, corpus.folder().string()));
      sources[i].recode = recoding(covariate.vocabulary, columns[i].vocabulary);
    }
  };
  recode(assembler.past_numeric_, spec.past_numeric);
  recode(assembler.past_categorical_, spec.past_categorical);
  recode(assembler.known_numeric_, spec.known_numeric);
  recode(assembler.known_categorical_, spec.known_categorical);
  return assembler;
}

}  // namespace shelfcast::data
