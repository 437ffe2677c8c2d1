#include "eval/class_metrics.h"

#include <fmt/format.h>

#include <numeric>

#include "base/error.h"

namespace shelfcast::eval {

Score share(std::string metric, double part, double of) {
  Score score{std::move(metric), std::nullopt, static_cast<std::int64_t>(of)};
  if (of > 0) score.value = part / of;
  return score;
}

namespace {

// What one class's row and column say.
struct OneClass {
  double right = 0.0, truths = 0.0, forecasts = 0.0;
  bool occurs() const { return truths + forecasts > 0; }
  double precision() const { return forecasts > 0 ? right / forecasts : 0.0; }
  double recall() const { return truths > 0 ? right / truths : 0.0; }
  double f1() const { return occurs() ? 2.0 * right / (truths + forecasts) : 0.0; }
};

// The mean of `measure` over classes, each with the weight that `weight` gives it.
template <typename Measure, typename Weight>
Score mean(const char* metric, const std::vector<OneClass>& all, double n, Measure measure, Weight weight) {
  double sum = 0.0, weights = 0.0;
  for (const OneClass& one : all) {
    sum += weight(one) * (one.*measure)();
    weights += weight(one);
  }
  Score score = share(metric, sum, weights);
  score.n = static_cast<std::int64_t>(n);
  return score;
}

}  // namespace

std::vector<Score> class_scores(std::span<const double> confusion, const std::vector<std::string>& classes) {
  const std::size_t count = classes.size();
  SHELFCAST_ASSERT(confusion.size() == count * count);
  std::vector<OneClass> all(count);
  double right = 0.0;
  for (std::size_t truth = 0; truth < count; ++truth) {
    for (std::size_t forecast = 0; forecast < count; ++forecast) {
      const double n = confusion[truth * count + forecast];
      all[truth].truths += n;
      all[forecast].forecasts += n;
    }
    all[truth].right = confusion[truth * count + truth];
    right += all[truth].right;
  }
  const double n = std::accumulate(confusion.begin(), confusion.end(), 0.0);
  const auto alike = [](const OneClass& one) { return one.occurs() ? 1.0 : 0.0; };
  const auto by_truths = [](const OneClass& one) { return one.truths; };
  std::vector<Score> scores = {
      share("accuracy", right, n),
      mean("precision_macro", all, n, &OneClass::precision, alike),
      mean("recall_macro", all, n, &OneClass::recall, alike),
      mean("f1_macro", all, n, &OneClass::f1, alike),
      mean("precision_weighted", all, n, &OneClass::precision, by_truths),
      mean("recall_weighted", all, n, &OneClass::recall, by_truths),
      mean("f1_weighted", all, n, &OneClass::f1, by_truths),
  };
  for (std::size_t c = 0; c < count; ++c) {
    const OneClass& one = all[c];
    scores.push_back(share("precision@" + classes[c], one.right, one.forecasts));
    scores.push_back(share("recall@" + classes[c], one.right, one.truths));
    Score f1 = share("f1@" + classes[c], 2.0 * one.right, one.truths + one.forecasts);
    f1.n = static_cast<std::int64_t>(one.truths + one.forecasts - one.right);
    scores.push_back(std::move(f1));
  }
  for (std::size_t truth = 0; truth < count; ++truth)
    for (std::size_t forecast = 0; forecast < count; ++forecast) {
      const double cell = confusion[truth * count + forecast];
      scores.push_back({fmt::format("confusion@{}>{}", classes[truth], classes[forecast]), cell,
                        static_cast<std::int64_t>(cell)});
    }
  return scores;
}

}  // namespace shelfcast::eval
