// Errors of sums of series on the levels of a hierarchy: WRMSSE, the measure of the M5 competition.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "eval/config.h"
#include "eval/metrics.h"

namespace shelfcast::eval {

// One way of adding series up: all of them, by state, by store and department, or each by itself.
struct HierarchyLevel {
  std::string name;  // "all", "state", "store+dept"
  std::size_t nodes = 0;
  std::vector<std::uint32_t> node_of;  // [series]
};

// The levels that config.hierarchy names: "all", statics joined by "+", or "m5" for its twelve (all, state,
// store, cat, dept, state+cat, state+dept, store+cat, store+dept, item, item+state, item+store). Only
// combinations that occur are nodes. Throws Error(input) naming the nearest static, and for a series whose
// value is missing.
std::vector<HierarchyLevel> make_hierarchy(const std::vector<std::string>& names, const data::Corpus& corpus);

// What WRMSSE needs of the past of each node at each origin.
class HierarchyPast {
 public:
  struct Level {
    std::vector<double>
        scale;  // [node, origin] mean squared step-to-step change of the node's sum; NaN = none
    std::vector<double> weight;  // [node, origin] share in the level of those with a scale; sums to 1 or is 0
  };

  // The sum of a node starts with its first positive value before the origin; a step that was not observed
  // counts as 0. Weights are sales times price (sales alone without config.price) of the 28 steps before the
  // origin; 0 where these are below 0 (returns). Reads all of the corpus' demand once: for one rank. Throws
  // Error(input) for a price covariate that the corpus does not have.
  HierarchyPast(const std::vector<HierarchyLevel>& levels, const std::vector<std::int64_t>& origins,
                const data::Corpus& corpus, const BacktestConfig& config);
  // From what pack() gave, for the other ranks.
  explicit HierarchyPast(std::span<const double> packed);
  std::vector<double> pack() const;

  const std::vector<Level>& levels() const { return levels_; }

 private:
  std::vector<Level> levels_;
};

// The errors of one forecaster's means, added up by node. Memory: nodes x origins x horizon of all levels
// but those where every series is a node of its own, which need one number an origin; and the series' own
// errors in float, for parts().
class HierarchyErrors {
 public:
  // Both must outlive it.
  HierarchyErrors(const std::vector<HierarchyLevel>& levels, const HierarchyPast& past, std::size_t origins,
                  std::size_t horizon);

  // The errors [horizon] of one window, NaN = not observed; each window once, in an order that is always the
  // same.
  void add(std::int64_t series, std::size_t origin, std::span<const double> errors);

  // WRMSSE of each level: at each origin the weighted mean, over the nodes with a weight and an observed
  // step, of sqrt(mean error^2 / scale), then the mean over origins. n counts these pairs of node and origin.
  // Last, named "wrmsse" too, the mean over the levels.
  struct LevelScore {
    std::string level;
    Score score;
  };
  std::vector<LevelScore> scores() const;

  // The overall WRMSSE taken apart for tests of significance. It is homogeneous of degree one in the errors
  // of the series, so it is the sum over series of its derivatives by how often each is counted (Euler): to
  // first order, that is what a bootstrap over series adds up.
  struct Parts {
    std::vector<double> series;  // [series]; their sum is the overall WRMSSE
    // [origin, step]: to first order, what WRMSSE would be of dates like this one alone: half the origin's
    // WRMSSE, and half of the step's own share times the number of steps (the root halves squares' changes).
    // The mean over steps is the origin's WRMSSE. NaN where nothing was observed.
    std::vector<double> steps;
  };
  Parts parts() const;

 private:
  struct Sums {
    std::vector<double> errors;          // [node, origin, step]
    std::vector<std::uint8_t> observed;  // the same; of levels without sums [node, origin]
    std::vector<double> alone;           // [origin]: weighted RMSSE of levels without sums
  };
  bool is_alone(std::size_t level) const;
  // Whether a node has a weight and, in the window, an observed step.
  bool is_judged(std::size_t level, std::size_t node, std::size_t origin) const;
  // Of the nodes that are judged at an origin: what their weights add up to, and how many they are.
  struct JudgedWeight {
    double weight = 0.0;
    std::int64_t nodes = 0;
  };
  std::vector<JudgedWeight> judged_weights(std::size_t level) const;  // [origin]
  double weighted_at(std::size_t level, std::size_t origin) const;
  // Adds the parts of a level; a weight of an origin makes up its `share_of_origin` of the overall number.
  void add_parts(std::size_t level, std::span<const double> share_of_origin, Parts& parts) const;

  const std::vector<HierarchyLevel>& levels_;
  const HierarchyPast& past_;
  std::size_t origins_, horizon_;
  std::vector<Sums> sums_;
  std::vector<float> own_;  // [series, origin, step], NaN = not observed
};

// Mean squared change from step to step of `values` at each origin, from the first positive value on; NaN
// without two steps.
std::vector<double> naive_scales(std::span<const double> values, std::span<const std::int64_t> origins);

}  // namespace shelfcast::eval
