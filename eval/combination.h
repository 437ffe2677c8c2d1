// Several forecasts weighted into one, with weights learnt on earlier origins of the same backtest.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "eval/config.h"
#include "eval/forecaster.h"
#include "eval/keyed_sums.h"

namespace shelfcast::eval {

struct CombinationMethod {
  std::string name;   // in recipes: "stacking"
  std::string label;  // in reports: "Stacking"
  std::string about;  // what it does, for reports
};
const std::vector<CombinationMethod>& combination_methods();
// Between the label of a combination and the models in it: "Stacking with runs/a".
inline constexpr const char* kWithModels = " with ";

// The weights of one combination for the windows from `origin` on, in one level of series.
struct CombinationWeights {
  std::string combination, level;  // level: a category, or "all"
  std::int64_t origin = 0;
  std::vector<double> weights;  // one a member
};

// How sums for weights lie in KeyedSums: by level, origin and step, so that what lies at or after an origin
// can be left out. Each: count, |median - target| of each member, products of the members' means with each
// other (upper triangle) and with the target.
struct MemberCells {
  std::size_t members = 0, levels = 0, origins = 0, horizon = 0;
  std::size_t cells() const { return members == 0 ? 0 : levels * origins * horizon; }
  std::size_t width() const { return 1 + members + members * (members + 1) / 2 + members; }
  std::size_t operator()(std::size_t level, std::size_t origin, std::size_t step) const {
    return (level * origins + origin) * horizon + step;
  }
};

// Equal weights without any count; `sums` as in MemberCells. By inverse error: 1 / mean absolute error over
// the sum of these; members without any error share all. By stacking: non-negative least squares of the
// target on the members' means, whose weights need not add up to 1 (Breiman, 1996); equal ones where all of
// it is 0.
std::vector<double> combination_weights(const std::string& method, std::span<const double> sums,
                                        std::size_t members);

// A forecaster whose last forecast is kept, so that whoever combines it need not ask for it twice.
class Remembered final : public Forecaster {
 public:
  explicit Remembered(Forecaster& of) : of_(of) {}
  const std::string& name() const override { return of_.name(); }
  bool says_sums() const override { return of_.says_sums(); }
  bool says_classes() const override { return of_.says_classes(); }
  bool says_inventory() const override { return of_.says_inventory(); }
  void refit(std::int64_t origin) override;
  void forecast(const data::Batch& batch, ForecastValues& values) override { values = values_of(batch); }
  // Valid until the next call.
  const ForecastValues& values_of(const data::Batch& batch);

 private:
  Forecaster& of_;
  std::vector<data::Window> windows_;  // of values_
  ForecastValues values_;
};

// The combinations that a configuration asks for. One per rank, from one thread.
class Combiner {
 public:
  // `level_of` [series]: the categories that weights are learnt in, where config.combine.by says so. `models`
  // of the forecasters come first; then config.baselines, statistical ones before learned ones. All must
  // outlive it. Without config.combine.methods it is empty. Throws Error(input) for a model that is not
  // there, and for fewer than two members.
  Combiner(const BacktestConfig& config, const std::vector<std::unique_ptr<Remembered>>& forecasters,
           std::size_t models, std::vector<std::string> levels, std::vector<std::size_t> level_of,
           std::vector<std::int64_t> origins);
  ~Combiner();

  bool empty() const { return forecasters_.empty(); }
  MemberCells cells() const;
  // In the order of config.combine.methods.
  std::vector<Forecaster*> forecasters() const;
  std::vector<std::string> member_names() const;
  const std::vector<CombinationWeights>& weights() const { return weights_; }

  // Adds what the first `rows` windows of a batch, from the origins of these numbers, say of the members.
  void add(const data::Batch& batch, const std::vector<std::int64_t>& origin_of_row, std::size_t rows,
           KeyedSums& sums) const;
  // Weights for windows from `origin` on, from the sums of all earlier origins' targets before it; `sums`
  // without keys are those of the first origin.
  void learn(std::int64_t origin, const KeyedSums& sums);

 private:
  class Combination;
  std::vector<double> sums_before(std::int64_t origin, const KeyedSums& sums, std::size_t level) const;

  std::size_t horizon_;
  std::vector<Remembered*> members_;
  std::vector<std::string> levels_;
  std::vector<std::size_t> level_of_;
  std::vector<std::int64_t> origins_;
  std::vector<std::unique_ptr<Combination>> forecasters_;
  std::vector<CombinationWeights> weights_;
};

}  // namespace shelfcast::eval
