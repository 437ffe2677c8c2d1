#include "trainer/retrain/drift.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/corpus.h"

namespace shelfcast::trainer {
namespace {

using data::Corpus;

constexpr std::int64_t kBlock = 1024;  // series read together
// Edges of bins of demand over its mean: zero has a bin of its own.
constexpr std::array kEdges = {0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0};
using Bins = std::array<double, kEdges.size() + 1>;

std::size_t bin_of(double ratio) {
  return static_cast<std::size_t>(std::lower_bound(kEdges.begin(), kEdges.end(), ratio) - kEdges.begin());
}

// Sums over the cells of one stretch of time.
struct Cells {
  double count = 0, observed = 0, sum = 0, zeros = 0;
  Bins bins{};

  void add(const float* row, std::int64_t steps, double scale) {
    for (std::int64_t i = 0; i < steps; ++i) {
      ++count;
      if (std::isnan(row[i])) continue;
      ++observed;
      sum += row[i];
      zeros += row[i] == 0 ? 1 : 0;
      if (scale > 0) ++bins[bin_of(row[i] / scale)];
    }
  }
};

struct Group {
  std::string name;
  std::int64_t series = 0;
  Cells before, now;
};

double stability_index(const Bins& before, const Bins& now) {
  const double all_before = std::accumulate(before.begin(), before.end(), 0.0),
               all_now = std::accumulate(now.begin(), now.end(), 0.0);
  if (!(all_before > 0) || !(all_now > 0)) return 0;
  double index = 0;
  for (std::size_t bin = 0; bin < before.size(); ++bin) {
    // Half a cell more in each, so that an empty bin is no infinity.
    const double a = (before[bin] + 0.5) / (all_before + 0.5 * static_cast<double>(before.size())),
                 b = (now[bin] + 0.5) / (all_now + 0.5 * static_cast<double>(now.size()));
    index += (b - a) * std::log(b / a);
  }
  return index;
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

DemandDrift drift_of(const Group& group) {
  const Cells &a = group.before, &b = group.now;
  return {.category = group.name,
          .series = group.series,
          .mean_before = share(a.sum, a.observed),
          .mean_now = share(b.sum, b.observed),
          .zeros_before = share(a.zeros, a.observed),
          .zeros_now = share(b.zeros, b.observed),
          .missing_before = 1 - share(a.observed, a.count),
          .missing_now = 1 - share(b.observed, b.count),
          .stability = stability_index(a.bins, b.bins)};
}

struct Moments {
  double count = 0, sum = 0, squares = 0;
  void add(const float* row, std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      if (std::isnan(row[i])) continue;
      ++count;
      sum += row[i];
      squares += static_cast<double>(row[i]) * row[i];
    }
  }
  double mean() const { return share(sum, count); }
  double deviation() const { return std::sqrt(std::max(0.0, share(squares, count) - mean() * mean())); }
};

std::vector<Group> make_groups(const Corpus& corpus, std::vector<std::size_t>& group_of) {
  std::vector<Group> groups(1);
  group_of.assign(static_cast<std::size_t>(corpus.info().series), 0);
  if (corpus.info().category_level.empty()) return groups;
  const std::size_t level = corpus.info().static_index(corpus.info().category_level);
  for (const std::string& name : corpus.info().statics[level].vocabulary) groups.push_back({name, 0, {}, {}});
  for (std::size_t i = 0; i < group_of.size(); ++i)
    group_of[i] = static_cast<std::size_t>(corpus.static_codes(level)[i]) + 1;  // missing, -1: group 0
  return groups;
}

}  // namespace

std::optional<Drift> measure_drift(const data::CorpusSource& source, std::int64_t first_new,
                                   std::int64_t season) {
  const Corpus corpus(source);
  const data::CorpusInfo& info = corpus.info();
  const std::int64_t now = info.demand_end - first_new;
  const std::int64_t before = std::min(first_new, std::max(now, season)), begin = first_new - before;
  if (now < 1 || before < 1) return std::nullopt;
  std::vector<std::size_t> group_of, columns;
  std::vector<Group> groups = make_groups(corpus, group_of);
  for (std::size_t i = 0; i < info.covariates.size(); ++i)
    if (info.covariates[i].kind == data::Kind::numeric && info.covariates[i].per == "series")
      columns.push_back(i);
  std::vector<Moments> old_moments(columns.size()), new_moments(columns.size());
  data::PanelBlock block;
  for (std::int64_t first = 0; first < info.series; first += kBlock) {
    const std::int64_t count = std::min(kBlock, info.series - first), steps = before + now;
    corpus.read(first, count, begin, steps, columns, block);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* row = block.demand.data() + i * steps;
      Cells own;
      own.add(row, before, 0);
      const double scale = share(own.sum, own.observed);
      const std::size_t category = group_of[static_cast<std::size_t>(first + i)];
      for (const std::size_t group : {std::size_t{0}, category}) {
        ++groups[group].series;
        groups[group].before.add(row, before, scale);
        groups[group].now.add(row + before, now, scale);
        if (category == 0) break;
      }
      for (std::size_t c = 0; c < columns.size(); ++c) {
        const float* values = block.columns[c].values.data() + i * steps;
        old_moments[c].add(values, before);
        new_moments[c].add(values + before, now);
      }
    }
  }
  Drift drift{.new_steps = now, .compared = before, .demand = {}, .covariates = {}};
  for (const Group& group : groups)
    if (group.series > 0) drift.demand.push_back(drift_of(group));
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (const double deviation = old_moments[c].deviation(); deviation > 0 && new_moments[c].count > 0)
      drift.covariates.push_back(
          {info.covariates[columns[c]].name, (new_moments[c].mean() - old_moments[c].mean()) / deviation});
  return drift;
}

}  // namespace shelfcast::trainer
