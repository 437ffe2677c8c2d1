#include "eval/comparisons.h"

#include <fmt/format.h>

#include <map>

#include "base/random.h"

namespace shelfcast::eval {
namespace {

enum class Loss { absolute, squared };

const char* metric_of(Loss loss) { return loss == Loss::absolute ? "mae" : "mse"; }

// Of all categories (`category` < 0) or of one.
std::map<std::int64_t, DateSums> dates_of(const LossRecord& record, std::int64_t category) {
  std::map<std::int64_t, DateSums> dates;
  for (std::int64_t c = 0; c < std::ssize(record.dates); ++c) {
    if (category >= 0 && c != category) continue;
    for (const DateSums& sums : record.dates[static_cast<std::size_t>(c)]) {
      DateSums& date = dates[sums.step];
      date.n += sums.n;
      date.absolute += sums.absolute;
      date.squared += sums.squared;
    }
  }
  return dates;
}

std::optional<DieboldMariano> test_dates(const LossRecord& model, const LossRecord& baseline,
                                         std::int64_t category, Loss loss, std::int64_t horizon) {
  const auto ours = dates_of(model, category), theirs = dates_of(baseline, category);
  std::vector<double> differences;
  for (const auto& [step, sums] : ours) {
    const auto other = theirs.find(step);
    if (other == theirs.end() || !(sums.n > 0)) continue;
    differences.push_back(loss == Loss::absolute ? (sums.absolute - other->second.absolute) / sums.n
                                                 : (sums.squared - other->second.squared) / sums.n);
  }
  return diebold_mariano(differences, horizon);
}

// Error sums of the judged series of a category: [series, record x {absolute, squared}].
std::vector<double> series_sums(const std::vector<LossRecord>& records, const ComparisonPlan& plan,
                                std::int64_t category) {
  std::vector<double> sums;
  for (std::size_t s = 0; s < plan.judged.size(); ++s) {
    if (plan.judged[s] == 0) continue;
    if (category >= 0 && plan.category_of[s] != static_cast<std::size_t>(category)) continue;
    for (const LossRecord& record : records) sums.insert(sums.end(), {record.absolute[s], record.squared[s]});
  }
  return sums;
}

void compare_category(const std::vector<LossRecord>& records, std::size_t models, const ComparisonPlan& plan,
                      std::int64_t category, std::vector<Comparison>& comparisons) {
  const std::string name = category < 0 ? "" : plan.categories[static_cast<std::size_t>(category)];
  const std::vector<double> sums = series_sums(records, plan, category);
  const std::size_t columns = 2 * records.size();
  std::uint64_t seed = key_of("backtest.bootstrap");
  if (category >= 0) seed = mix(seed, static_cast<std::uint64_t>(category));
  const std::vector<double> totals = resampled_totals(sums, columns, plan.resamples, seed, plan.threads);
  for (std::size_t model = 0; model < models; ++model) {
    for (std::size_t baseline = models; baseline < records.size(); ++baseline) {
      for (const Loss loss : {Loss::absolute, Loss::squared}) {
        const std::size_t error = loss == Loss::absolute ? 0 : 1;
        Comparison comparison = compare(sums, totals, columns, 2 * model + error, 2 * baseline + error);
        comparison.model = records[model].name;
        comparison.baseline = records[baseline].name;
        comparison.metric = metric_of(loss);
        comparison.category = name;
        add_dates(test_dates(records[model], records[baseline], category, loss, plan.horizon), comparison);
        comparisons.push_back(std::move(comparison));
      }
    }
  }
}

}  // namespace

Comparisons compare_losses(const std::vector<LossRecord>& records, std::size_t models,
                           const ComparisonPlan& plan) {
  Comparisons comparisons;
  if (models == 0) return comparisons;
  compare_category(records, models, plan, -1, comparisons.overall);
  for (std::int64_t c = 0; c < std::ssize(plan.categories) && plan.categories.size() > 1; ++c)
    compare_category(records, models, plan, c, comparisons.by_category);
  return comparisons;
}

}  // namespace shelfcast::eval
