#include "eval/hierarchy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "eval/history.h"

namespace shelfcast::eval {
namespace {

constexpr std::int64_t kWeightSteps = 28;
constexpr std::int64_t kSeriesAtOnce = 1024;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const std::vector<std::string> kM5{"all",        "state",     "store",      "cat",
                                   "dept",       "state+cat", "state+dept", "store+cat",
                                   "store+dept", "item",      "item+state", "item+store"};

std::size_t whole(std::int64_t value) { return static_cast<std::size_t>(value); }

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t at = text.find('+'); at != std::string::npos; at = text.find('+', from)) {
    parts.push_back(text.substr(from, at - from));
    from = at + 1;
  }
  parts.push_back(text.substr(from));
  return parts;
}

std::size_t categorical_static(const std::string& fact, const data::CorpusInfo& info) {
  const std::size_t index = info.static_index(fact);
  if (info.statics[index].kind == data::Kind::categorical) return index;
  throw input_error(fmt::format("backtest.hierarchy names '{}', which is a number", fact),
                    "series cannot be added up by it", "name categorical facts");
}

HierarchyLevel level_of(const std::string& name, const data::Corpus& corpus) {
  const data::CorpusInfo& info = corpus.info();
  HierarchyLevel level{name, 1, std::vector<std::uint32_t>(whole(info.series))};
  if (name == "all") return level;
  std::vector<std::span<const std::int32_t>> codes;
  for (const std::string& fact : split(name))
    codes.push_back(corpus.static_codes(categorical_static(fact, info)));
  std::map<std::vector<std::int32_t>, std::uint32_t> nodes;
  for (std::size_t s = 0; s < level.node_of.size(); ++s) {
    std::vector<std::int32_t> key;
    for (const auto& fact : codes) {
      if (fact[s] < 0)
        throw input_error(fmt::format("series {} has no value on the level '{}' of backtest.hierarchy",
                                      corpus.series_names()[s], name),
                          "its sales would be in no sum", "leave the level out, or complete the corpus");
      key.push_back(fact[s]);
    }
    level.node_of[s] = nodes.try_emplace(key, static_cast<std::uint32_t>(nodes.size())).first->second;
  }
  level.nodes = nodes.size();
  return level;
}

bool one_series_a_node(const HierarchyLevel& level) { return level.nodes == level.node_of.size(); }

// Sales value of the steps in [from, to) that were observed and, where prices are read, priced.
double sales_value(std::span<const float> demand, std::span<const float> price, std::int64_t from,
                   std::int64_t to) {
  double value = 0.0;
  for (std::int64_t t = std::max<std::int64_t>(0, from); t < to; ++t) {
    const double sales = demand[whole(t)] * (price.empty() ? 1.0 : static_cast<double>(price[whole(t)]));
    if (!std::isnan(sales)) value += sales;
  }
  return value;
}

// Shares among the nodes with a scale, origin by origin.
void normalise(HierarchyPast::Level& level, std::size_t origins) {
  for (std::size_t o = 0; o < origins; ++o) {
    double total = 0.0;
    for (std::size_t i = o; i < level.weight.size(); i += origins) {
      // Net returns are no share of sales.
      if (!(level.scale[i] > 0) || !(level.weight[i] > 0)) level.weight[i] = 0.0;
      total += level.weight[i];
    }
    for (std::size_t i = o; i < level.weight.size() && total > 0; i += origins) level.weight[i] /= total;
  }
}

}  // namespace

std::vector<HierarchyLevel> make_hierarchy(const std::vector<std::string>& names,
                                           const data::Corpus& corpus) {
  std::vector<HierarchyLevel> levels;
  for (const std::string& name : names)
    for (const std::string& each : name == "m5" ? kM5 : std::vector<std::string>{name})
      levels.push_back(level_of(each, corpus));
  return levels;
}

std::vector<double> naive_scales(std::span<const double> values, std::span<const std::int64_t> origins) {
  std::vector<double> scales;
  double squares = 0.0, pairs = 0.0;
  bool begun = false;
  std::int64_t t = 0;
  for (const std::int64_t origin : origins) {
    for (; t < std::min(origin, std::ssize(values)); ++t) {
      if (begun) {
        const double change = values[whole(t)] - values[whole(t - 1)];
        squares += change * change;
        pairs += 1.0;
      }
      begun = begun || values[whole(t)] > 0;
    }
    scales.push_back(pairs > 0 ? squares / pairs : kNone);
  }
  return scales;
}

HierarchyPast::HierarchyPast(const std::vector<HierarchyLevel>& levels,
                             const std::vector<std::int64_t>& origins, const data::Corpus& corpus,
                             const BacktestConfig& config) {
  std::vector<std::size_t> columns;
  if (!config.price.empty()) columns.push_back(corpus.info().covariate_index(config.price));
  const std::size_t steps = whole(origins.back());
  std::vector<std::vector<double>> sums;  // [level][node, step]; empty where a series is a node
  for (const HierarchyLevel& level : levels) {
    levels_.push_back({std::vector<double>(level.nodes * origins.size(), kNone),
                       std::vector<double>(level.nodes * origins.size())});
    sums.emplace_back(one_series_a_node(level) ? 0 : level.nodes * steps);
  }

  data::PanelBlock block;
  std::vector<double> own(steps);
  for (std::int64_t first = 0; first < corpus.info().series; first += kSeriesAtOnce) {
    const std::int64_t count = std::min(kSeriesAtOnce, corpus.info().series - first);
    corpus.read(first, count, 0, origins.back(), columns, block);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto row = std::span(block.demand).subspan(whole(i) * steps, steps);
      std::span<const float> price;
      if (!columns.empty()) {
        price = block.row(0, first + i);
      }
      std::ranges::transform(row, own.begin(), [](float v) { return std::isnan(v) ? 0.0 : double{v}; });
      for (std::size_t l = 0; l < levels.size(); ++l) {
        const std::size_t node = levels[l].node_of[whole(first + i)];
        for (std::size_t o = 0; o < origins.size(); ++o)
          levels_[l].weight[node * origins.size() + o] +=
              sales_value(row, price, origins[o] - kWeightSteps, origins[o]);
        if (sums[l].empty()) {
          std::ranges::copy(naive_scales(own, origins),
                            levels_[l].scale.begin() + std::ssize(origins) * static_cast<std::int64_t>(node));
        } else {
          for (std::size_t t = 0; t < steps; ++t) sums[l][node * steps + t] += own[t];
        }
      }
    }
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    for (std::size_t node = 0; node < sums[l].size() / steps; ++node)
      std::ranges::copy(naive_scales(std::span(sums[l]).subspan(node * steps, steps), origins),
                        levels_[l].scale.begin() + std::ssize(origins) * static_cast<std::int64_t>(node));
    normalise(levels_[l], origins.size());
  }
}

HierarchyPast::HierarchyPast(std::span<const double> packed) {
  while (!packed.empty()) {
    const auto count = static_cast<std::size_t>(packed.front());
    SHELFCAST_ASSERT(packed.size() > 2 * count);
    const auto scale = packed.subspan(1, count), weight = packed.subspan(1 + count, count);
    levels_.push_back({{scale.begin(), scale.end()}, {weight.begin(), weight.end()}});
    packed = packed.subspan(1 + 2 * count);
  }
}

std::vector<double> HierarchyPast::pack() const {
  std::vector<double> packed;
  for (const Level& level : levels_) {
    packed.push_back(static_cast<double>(level.scale.size()));
    packed.insert(packed.end(), level.scale.begin(), level.scale.end());
    packed.insert(packed.end(), level.weight.begin(), level.weight.end());
  }
  return packed;
}

HierarchyErrors::HierarchyErrors(const std::vector<HierarchyLevel>& levels, const HierarchyPast& past,
                                 std::size_t origins, std::size_t horizon)
    : levels_(levels), past_(past), origins_(origins), horizon_(horizon) {
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const std::size_t cells = is_alone(l) ? 0 : levels[l].nodes * origins * horizon;
    sums_.push_back({std::vector<double>(cells),
                     std::vector<std::uint8_t>(is_alone(l) ? levels[l].nodes * origins : cells),
                     std::vector<double>(is_alone(l) ? origins : 0)});
  }
  own_.assign(levels.empty() ? 0 : levels.front().node_of.size() * origins * horizon,
              std::numeric_limits<float>::quiet_NaN());
}

bool HierarchyErrors::is_alone(std::size_t level) const { return one_series_a_node(levels_[level]); }

void HierarchyErrors::add(std::int64_t series, std::size_t origin, std::span<const double> errors) {
  double squares = 0.0, n = 0.0;
  std::ranges::transform(errors, own_.data() + (whole(series) * origins_ + origin) * horizon_,
                         [](double error) { return static_cast<float>(error); });
  for (const double error : errors) {
    if (std::isnan(error)) continue;
    squares += error * error;
    n += 1.0;
  }
  if (n == 0.0) return;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    const std::size_t at = levels_[l].node_of[whole(series)] * origins_ + origin;
    if (is_alone(l)) {
      sums_[l].observed[at] = 1;
      const double weight = past_.levels()[l].weight[at];
      if (weight > 0) sums_[l].alone[origin] += weight * std::sqrt(squares / n / past_.levels()[l].scale[at]);
      continue;
    }
    double* sums = sums_[l].errors.data() + at * horizon_;
    std::uint8_t* observed = sums_[l].observed.data() + at * horizon_;
    for (std::size_t h = 0; h < horizon_; ++h) {
      if (std::isnan(errors[h])) continue;
      sums[h] += errors[h];
      observed[h] = 1;
    }
  }
}

bool HierarchyErrors::is_judged(std::size_t level, std::size_t node, std::size_t origin) const {
  const std::size_t at = node * origins_ + origin;
  if (!(past_.levels()[level].weight[at] > 0)) return false;
  if (is_alone(level)) return sums_[level].observed[at] != 0;
  const auto steps = std::span(sums_[level].observed).subspan(at * horizon_, horizon_);
  return std::ranges::any_of(steps, [](std::uint8_t seen) { return seen != 0; });
}

std::vector<HierarchyErrors::JudgedWeight> HierarchyErrors::judged_weights(std::size_t level) const {
  std::vector<JudgedWeight> judged(origins_);
  for (std::size_t node = 0; node < levels_[level].nodes; ++node)
    for (std::size_t o = 0; o < origins_; ++o) {
      if (!is_judged(level, node, o)) continue;
      judged[o].weight += past_.levels()[level].weight[node * origins_ + o];
      ++judged[o].nodes;
    }
  return judged;
}

double HierarchyErrors::weighted_at(std::size_t level, std::size_t origin) const {
  if (is_alone(level)) return sums_[level].alone[origin];
  const HierarchyPast::Level& past = past_.levels()[level];
  double total = 0.0;
  for (std::size_t at = origin; at < past.weight.size(); at += origins_) {
    if (!(past.weight[at] > 0)) continue;
    double squares = 0.0, n = 0.0;
    for (std::size_t i = at * horizon_; i < (at + 1) * horizon_; ++i) {
      squares += sums_[level].errors[i] * sums_[level].errors[i];
      n += sums_[level].observed[i];
    }
    if (n > 0) total += past.weight[at] * std::sqrt(squares / n / past.scale[at]);
  }
  return total;
}

std::vector<HierarchyErrors::LevelScore> HierarchyErrors::scores() const {
  std::vector<LevelScore> scores;
  double sum = 0.0, levels = 0.0;
  std::int64_t n = 0;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    const std::vector<JudgedWeight> judged = judged_weights(l);
    double total = 0.0, origins = 0.0;
    Score score{"wrmsse", std::nullopt, 0};
    for (std::size_t o = 0; o < origins_; ++o) {
      if (judged[o].nodes == 0) continue;
      total += weighted_at(l, o) / judged[o].weight;
      origins += 1.0;
      score.n += judged[o].nodes;
    }
    if (origins > 0) {
      score.value = total / origins;
      sum += *score.value;
      levels += 1.0;
    }
    n += score.n;
    scores.push_back({levels_[l].name, score});
  }
  Score mean{"wrmsse", std::nullopt, n};
  if (levels > 0) mean.value = sum / levels;
  scores.push_back({"mean of levels", mean});
  return scores;
}

void HierarchyErrors::add_parts(std::size_t level, std::span<const double> share_of_origin,
                                Parts& parts) const {
  const HierarchyPast::Level& past = past_.levels()[level];
  const std::vector<std::uint32_t>& node_of = levels_[level].node_of;
  // The derivative of a node's weight * sqrt(squares / n / scale) by half of its squares.
  std::vector<double> slopes(past.weight.size());
  const auto add_node = [&](std::size_t at, const auto& errors_of) {
    if (!(past.weight[at] > 0)) return;
    double squares = 0.0, n = 0.0;
    for (std::size_t h = 0; h < horizon_; ++h) {
      const double error = errors_of(h);
      if (std::isnan(error)) continue;
      squares += error * error;
      n += 1.0;
    }
    if (!(squares > 0)) return;
    slopes[at] = share_of_origin[at % origins_] * past.weight[at] / std::sqrt(squares * n * past.scale[at]);
    double* steps = parts.steps.data() + at % origins_ * horizon_;
    for (std::size_t h = 0; h < horizon_; ++h) {
      const double error = errors_of(h);
      if (!std::isnan(error)) steps[h] += slopes[at] * error * error;
    }
  };
  const bool alone = is_alone(level);
  for (std::size_t at = 0; at < slopes.size() && !alone; ++at) {
    const double* sums = sums_[level].errors.data() + at * horizon_;
    const std::uint8_t* observed = sums_[level].observed.data() + at * horizon_;
    add_node(at, [=](std::size_t h) { return observed[h] != 0 ? sums[h] : kNone; });
  }
  for (std::size_t s = 0; s < node_of.size(); ++s) {
    for (std::size_t o = 0; o < origins_; ++o) {
      const std::size_t at = node_of[s] * origins_ + o;
      const float* own = own_.data() + (s * origins_ + o) * horizon_;
      if (alone) add_node(at, [=](std::size_t h) { return double{own[h]}; });
      if (!(slopes[at] > 0)) continue;
      const double* sums = alone ? nullptr : sums_[level].errors.data() + at * horizon_;
      double product = 0.0;
      for (std::size_t h = 0; h < horizon_; ++h) {
        const double error = std::isnan(own[h]) ? 0.0 : double{own[h]};
        product += error * (alone ? error : sums[h]);
      }
      parts.series[s] += slopes[at] * product;
    }
  }
}

HierarchyErrors::Parts HierarchyErrors::parts() const {
  const std::size_t windows = horizon_ == 0 ? 0 : own_.size() / horizon_;
  Parts parts{std::vector<double>(windows / origins_), std::vector<double>(origins_ * horizon_)};
  std::map<std::size_t, std::vector<double>> shares;  // of each level judged: what an origin's weights count
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    const std::vector<JudgedWeight> judged = judged_weights(l);
    const auto origins =
        static_cast<double>(std::ranges::count_if(judged, [](const JudgedWeight& w) { return w.nodes > 0; }));
    if (origins == 0) continue;
    for (const JudgedWeight& w : judged) shares[l].push_back(w.nodes > 0 ? 1.0 / (origins * w.weight) : 0.0);
  }
  for (auto& [level, share] : shares) {
    for (double& of_origin : share) of_origin /= static_cast<double>(shares.size());
    add_parts(level, share, parts);
  }

  std::vector<std::uint8_t> observed(parts.steps.size());
  for (std::size_t i = 0; i < own_.size(); ++i)
    if (!std::isnan(own_[i])) observed[i % observed.size()] = 1;
  for (std::size_t o = 0; o < origins_; ++o) {
    const std::span<double> steps = std::span(parts.steps).subspan(o * horizon_, horizon_);
    const std::span<const std::uint8_t> seen = std::span(observed).subspan(o * horizon_, horizon_);
    const auto n = static_cast<double>(std::ranges::count(seen, 1)), origins = static_cast<double>(origins_);
    const double of_origin = origins * std::accumulate(steps.begin(), steps.end(), 0.0);
    for (std::size_t h = 0; h < horizon_; ++h)
      steps[h] = seen[h] != 0 ? 0.5 * (of_origin + n * origins * steps[h]) : kNone;
  }
  return parts;
}

}  // namespace shelfcast::eval
