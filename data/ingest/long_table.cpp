#include "data/ingest/long_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "data/ingest/long_rows.h"

namespace shelfcast::data {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Date date_of(std::int32_t day) { return Date{std::chrono::days{day}}; }

// Everything fill() needs: the rows, sorted by series, and where they stand on the axis.
struct LongPanel {
  LongMap map;
  LongRows rows;
  CorpusInfo info;
  std::vector<std::int64_t> order;  // rows by series, in the table's order within one
  std::vector<std::int64_t> first;  // [series + 1]: where a series' rows begin in `order`
  std::vector<std::int32_t> step;   // per row
  std::optional<Past> past;         // of the first past->names.size() series
};

void place_on_axis(LongPanel& panel) {
  const auto [low, high] = std::minmax_element(panel.rows.day.begin(), panel.rows.day.end());
  panel.info.axis = {date_of(*low), panel.map.frequency};
  if (panel.past) panel.info.axis.start = std::min(panel.info.axis.start, panel.past->demand_end);
  panel.step.resize(panel.rows.day.size());
  for (std::size_t row = 0; row < panel.step.size(); ++row) {
    const Date date = date_of(panel.rows.day[row]);
    const auto step = panel.info.axis.step_of(date);
    if (!step) {
      throw input_error(
          fmt::format("{}: {} is off the {} grid that starts on {}", panel.rows.place(row), format_date(date),
                      panel.map.frequency == Frequency::weekly ? "weekly" : "monthly",
                      format_date(panel.info.axis.start)),
          "dates of irregular frequency",
          "correct the date, or map the table as daily and sum up with --frequency");
    }
    panel.step[row] = static_cast<std::int32_t>(*step);
  }
  panel.info.steps = *panel.info.axis.step_of(date_of(*high)) + 1;
  if (panel.past)
    panel.info.steps = std::max(panel.info.steps, panel.info.axis.step_at_or_before(panel.past->end));
}

void sort_by_series(LongPanel& panel) {
  const auto& series = panel.rows.series;
  panel.first.assign(panel.rows.names.size() + 1, 0);
  for (const std::int32_t s : series) ++panel.first[static_cast<std::size_t>(s) + 1];
  std::partial_sum(panel.first.begin(), panel.first.end(), panel.first.begin());
  auto next = panel.first;
  panel.order.resize(series.size());
  for (std::size_t row = 0; row < series.size(); ++row) {
    panel.order[static_cast<std::size_t>(next[static_cast<std::size_t>(series[row])]++)] =
        static_cast<std::int64_t>(row);
  }
}

// The rows of one series.
std::span<const std::int64_t> rows_of(const LongPanel& panel, std::int64_t series) {
  const auto at = static_cast<std::size_t>(series);
  return std::span(panel.order)
      .subspan(static_cast<std::size_t>(panel.first[at]),
               static_cast<std::size_t>(panel.first[at + 1] - panel.first[at]));
}

void refuse_duplicates(const LongPanel& panel) {
  if (panel.map.duplicates != Duplicates::error) return;
  std::vector<std::int64_t> seen(static_cast<std::size_t>(panel.info.steps), -1);
  for (std::int64_t series = 0; series < panel.info.series; ++series) {
    const auto begin = panel.first[static_cast<std::size_t>(series)];
    std::int64_t position = begin;
    for (const std::int64_t row : rows_of(panel, series)) {
      auto& before = seen[static_cast<std::size_t>(panel.step[static_cast<std::size_t>(row)])];
      if (before >= begin) {
        const auto first = static_cast<std::size_t>(panel.order[static_cast<std::size_t>(before)]),
                   second = static_cast<std::size_t>(row);
        throw input_error(fmt::format("series {} has two rows on {}: {} and {}",
                                      panel.rows.names[static_cast<std::size_t>(series)],
                                      format_date(date_of(panel.rows.day[second])), panel.rows.place(first),
                                      panel.rows.place(second)),
                          "duplicate (series, date)",
                          "remove one, or map them with duplicates: sum (or mean, last)");
      }
      before = position++;
    }
  }
}

std::int64_t demand_end_of(const LongPanel& panel) {
  std::int64_t end = 0;
  for (std::size_t row = 0; row < panel.step.size(); ++row) {
    if (!std::isnan(panel.rows.target[row])) end = std::max<std::int64_t>(end, panel.step[row] + 1);
  }
  if (panel.past) end = std::max(end, panel.info.axis.step_at_or_before(panel.past->demand_end));
  return end;
}

// The first step on which a series' silence is a gap, as far as the past knows.
std::int64_t begun_before(const LongPanel& panel, std::int64_t series) {
  const auto at = static_cast<std::size_t>(series);
  if (!panel.past || at >= panel.past->begun.size() || panel.past->begun[at] == Past::kNever)
    return panel.info.steps;
  return std::max<std::int64_t>(0, panel.info.axis.step_at_or_before(panel.past->begun[at]));
}

// Combines the values put on each step of one series.
class StepValues {
 public:
  explicit StepValues(std::int64_t steps) : sum_(static_cast<std::size_t>(steps)), count_(sum_.size()) {}
  void clear() {
    std::fill(sum_.begin(), sum_.end(), 0.0);
    std::fill(count_.begin(), count_.end(), 0);
  }
  void put(std::int32_t step, float value, Aggregate aggregate) {
    const auto at = static_cast<std::size_t>(step);
    if (aggregate == Aggregate::last || count_[at] == 0)
      sum_[at] = value;
    else if (aggregate != Aggregate::first)
      sum_[at] += value;
    ++count_[at];
  }
  bool has(std::size_t step) const { return count_[step] > 0; }
  float value(std::size_t step, Aggregate aggregate) const {
    return static_cast<float>(aggregate == Aggregate::mean ? sum_[step] / static_cast<double>(count_[step])
                                                           : sum_[step]);
  }

 private:
  std::vector<double> sum_;
  std::vector<std::int32_t> count_;
};

Aggregate aggregate_of(Duplicates duplicates) {
  switch (duplicates) {
    case Duplicates::sum:
      return Aggregate::sum;
    case Duplicates::mean:
      return Aggregate::mean;
    default:
      return Aggregate::last;
  }
}

void fill_demand(const LongPanel& panel, std::int64_t series, StepValues& values, float* demand) {
  const Aggregate aggregate = aggregate_of(panel.map.duplicates);
  values.clear();
  std::int64_t first = begun_before(panel, series);
  std::vector<std::int32_t> empty;  // steps of rows that say: not observed
  for (const std::int64_t row : rows_of(panel, series)) {
    const auto at = static_cast<std::size_t>(row);
    if (std::isnan(panel.rows.target[at])) {
      empty.push_back(panel.step[at]);
      continue;
    }
    values.put(panel.step[at], panel.rows.target[at], aggregate);
    first = std::min<std::int64_t>(first, panel.step[at]);
  }
  for (std::int64_t step = first; step < panel.info.demand_end; ++step) {
    if (values.has(static_cast<std::size_t>(step))) {
      const float value = values.value(static_cast<std::size_t>(step), aggregate);
      demand[step] = panel.map.negative == Negative::clip ? std::max(0.0F, value) : value;
    } else if (panel.map.gaps == Gaps::zero) {
      demand[step] = 0;
    }
  }
  for (const std::int32_t step : empty)
    if (!values.has(static_cast<std::size_t>(step))) demand[step] = kNan;
}

void fill_covariate(const LongPanel& panel, std::size_t index, std::int64_t series, StepValues& values,
                    float* out) {
  const LongMap::Covariate& covariate = panel.map.covariates[index];
  const bool numeric = covariate.kind == Kind::numeric;
  values.clear();
  for (const std::int64_t row : rows_of(panel, series)) {
    const auto at = static_cast<std::size_t>(row);
    const float value = panel.rows.covariates[index][at];
    if (numeric ? !std::isnan(value) : value >= 0) values.put(panel.step[at], value, covariate.aggregate);
  }
  float previous = numeric ? kNan : -1.0F;
  if (panel.past && !panel.past->last[index].empty() &&
      series < static_cast<std::int64_t>(panel.past->names.size()))
    previous = panel.past->last[index][static_cast<std::size_t>(series)];
  for (std::int64_t step = 0; step < panel.info.steps; ++step) {
    if (values.has(static_cast<std::size_t>(step)))
      out[step] = values.value(static_cast<std::size_t>(step), covariate.aggregate);
    else if (covariate.fill == Fill::previous)
      out[step] = previous;
    else if (covariate.fill == Fill::zero)
      out[step] = 0;
    previous = out[step];
  }
}

void fill_rows(const LongPanel& panel, std::int64_t first, std::int64_t series, PanelRows& rows) {
  clear_rows(panel.info, series, rows);
  StepValues values(panel.info.steps);
  for (std::int64_t i = 0; i < series; ++i) {
    fill_demand(panel, first + i, values, rows.demand.data() + i * panel.info.steps);
    std::size_t used = 0;
    for (std::size_t c = 0; c < panel.map.covariates.size(); ++c) {
      if (panel.map.covariates[c].per != "series") continue;
      fill_covariate(panel, c, first + i, values, rows.covariates[used++].data() + i * panel.info.steps);
    }
  }
}

void mark_said(const LongPanel& panel, std::int64_t first, std::int64_t series, Said& said) {
  const auto cells = static_cast<std::size_t>(series * panel.info.steps);
  said.demand.assign(cells, false);
  said.covariates.clear();
  std::vector<std::size_t> per_series;
  for (std::size_t c = 0; c < panel.map.covariates.size(); ++c)
    if (panel.map.covariates[c].per == "series") per_series.push_back(c);
  said.covariates.assign(per_series.size(), std::vector<bool>(cells));
  for (std::int64_t i = 0; i < series; ++i)
    for (const std::int64_t row : rows_of(panel, first + i)) {
      const auto from = static_cast<std::size_t>(row);
      const auto to = static_cast<std::size_t>(i * panel.info.steps + panel.step[from]);
      if (!std::isnan(panel.rows.target[from])) said.demand[to] = true;
      for (std::size_t c = 0; c < per_series.size(); ++c) {
        const float value = panel.rows.covariates[per_series[c]][from];
        const bool numeric = panel.map.covariates[per_series[c]].kind == Kind::numeric;
        if (numeric ? !std::isnan(value) : value >= 0) said.covariates[c][to] = true;
      }
    }
}

// [rows, steps] of a covariate that many series share; two rows that disagree are an error.
std::vector<float> shared_values(const LongPanel& panel, std::size_t index) {
  const LongMap::Covariate& covariate = panel.map.covariates[index];
  const bool numeric = covariate.kind == Kind::numeric;
  const auto level = std::find_if(panel.map.statics.begin(), panel.map.statics.end(),
                                  [&](const auto& fact) { return fact.name == covariate.per; });
  const auto fact = static_cast<std::size_t>(level - panel.map.statics.begin());
  const std::size_t groups = covariate.per == "all" ? 1 : panel.rows.static_vocabularies[fact].size();
  const auto steps = static_cast<std::size_t>(panel.info.steps);
  std::vector<float> values(groups * steps, numeric ? kNan : -1.0F);
  std::vector<std::int64_t> source(values.size(), -1);
  for (std::size_t row = 0; row < panel.step.size(); ++row) {
    const float value = panel.rows.covariates[index][row];
    const std::int32_t group =
        covariate.per == "all" ? 0 : panel.rows.codes[fact][static_cast<std::size_t>(panel.rows.series[row])];
    if (group < 0 || (numeric ? std::isnan(value) : value < 0)) continue;
    const std::size_t at =
        static_cast<std::size_t>(group) * steps + static_cast<std::size_t>(panel.step[row]);
    if (source[at] >= 0 && values[at] != value) {
      throw input_error(
          fmt::format("\"{}\" differs on {} between {} and {}", covariate.column,
                      format_date(date_of(panel.rows.day[row])),
                      panel.rows.place(static_cast<std::size_t>(source[at])), panel.rows.place(row)),
          fmt::format("it is mapped with per: {}", covariate.per),
          "map it with per: series, or correct the table");
    }
    if (source[at] < 0) source[at] = static_cast<std::int64_t>(row);
    values[at] = value;
  }
  return values;
}

std::string notes_of(const LongPanel& panel) {
  std::string notes = panel.map.gaps == Gaps::zero
                          ? "Dates without a row, from a series' first to the end of demand, are taken as 0."
                          : "Dates without a row are not observed.";
  if (panel.map.negative == Negative::drop) notes += " Rows with a negative target were left out.";
  if (panel.map.negative == Negative::clip) notes += " Negative sums of a date were set to 0.";
  if (panel.rows.dropped > 0)
    notes += fmt::format(" {} rows of the table were left out.", panel.rows.dropped);
  return notes;
}

void describe(LongPanel& panel) {
  CorpusInfo& info = panel.info;
  const LongMap& map = panel.map;
  info.name = map.name;
  info.covariates.clear();
  info.statics.clear();
  info.aggregation = map.duplicates == Duplicates::mean   ? "mean"
                     : map.duplicates == Duplicates::last ? "last"
                                                          : "sum";
  info.item_level = map.item_level;
  info.store_level = map.store_level;
  info.category_level = map.category_level;
  for (std::size_t c = 0; c < map.covariates.size(); ++c) {
    const auto& covariate = map.covariates[c];
    info.covariates.push_back({covariate.name, covariate.role, covariate.kind, covariate.per,
                               panel.rows.covariate_vocabularies[c]});
  }
  for (std::size_t fact = 0; fact < map.statics.size(); ++fact) {
    info.statics.push_back(
        {map.statics[fact].name, map.statics[fact].kind, panel.rows.static_vocabularies[fact]});
  }
  info.notes = notes_of(panel);
}

// The past's series come first, whether they have rows or not.
void renumber_series(const std::vector<std::string>& known, LongRows& rows) {
  std::vector<std::string> names = known;
  std::unordered_map<std::string, std::int32_t> places;
  for (const std::string& name : names) places.emplace(name, static_cast<std::int32_t>(places.size()));
  std::vector<std::int32_t> renumbered;
  for (const std::string& name : rows.names) {
    const auto [place, is_new] = places.emplace(name, static_cast<std::int32_t>(names.size()));
    if (is_new) names.push_back(name);
    renumbered.push_back(place->second);
  }
  for (std::int32_t& series : rows.series) series = renumbered[static_cast<std::size_t>(series)];
  const auto renumber = [&](auto& facts, auto missing) {
    auto before = std::move(facts);
    facts.assign(before.empty() ? 0 : names.size(), missing);
    for (std::size_t i = 0; i < before.size(); ++i)
      facts[static_cast<std::size_t>(renumbered[i])] = before[i];
  };
  for (auto& codes : rows.codes) renumber(codes, kMissingCode);
  for (auto& values : rows.values) renumber(values, kNan);
  rows.names = std::move(names);
}

Panel make_panel(const std::shared_ptr<LongPanel>& panel) {
  place_on_axis(*panel);
  panel->info.series = static_cast<std::int64_t>(panel->rows.names.size());
  sort_by_series(*panel);
  refuse_duplicates(*panel);
  panel->info.demand_end = demand_end_of(*panel);
  describe(*panel);
  Panel result;
  for (std::size_t c = 0; c < panel->map.covariates.size(); ++c) {
    const LongMap::Covariate& covariate = panel->map.covariates[c];
    result.aggregates.push_back(covariate.aggregate);
    result.fills.push_back(covariate.fill);
    result.shared.push_back(covariate.per == "series" ? std::vector<float>{} : shared_values(*panel, c));
  }
  result.gaps = panel->map.gaps;
  result.info = panel->info;
  result.table = {panel->rows.names, panel->rows.codes, panel->rows.values};
  result.documents = panel->rows.documents;
  result.fill = [panel](std::int64_t first, std::int64_t series, PanelRows& rows) {
    fill_rows(*panel, first, series, rows);
  };
  result.said = [panel](std::int64_t first, std::int64_t series, Said& said) {
    mark_said(*panel, first, series, said);
  };
  result.go_on = [panel](Past past) {
    renumber_series(past.names, panel->rows);
    panel->rows.covariate_vocabularies = past.vocabularies;
    panel->past = std::move(past);
    return make_panel(panel);
  };
  return result;
}

}  // namespace

Panel read_long_table(const std::filesystem::path& path, const LongMap& map, Demand demand,
                      std::optional<Date> until) {
  map.validate();
  auto panel = std::make_shared<LongPanel>();
  panel->map = map;
  panel->rows = read_long_rows(path, map, until);
  Panel result = make_panel(panel);
  if (demand == Demand::required && result.info.demand_end == 0)
    throw input_error(fmt::format("column \"{}\" is empty everywhere", map.target), "no demand is observed");
  return result;
}

}  // namespace shelfcast::data
