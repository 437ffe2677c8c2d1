#include "eval/comparisons.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "base/random.h"

namespace shelfcast::eval {
namespace {

// A measure by which forecasters are compared.
struct Loss {
  const char* metric;
  std::vector<double> LossRecord::*series;
  double DateSums::*date;  // nullptr: wrmsse, whose dates are kept apart
};

const std::array<Loss, 4> kLosses{{{"mae", &LossRecord::absolute, &DateSums::absolute},
                                   {"mse", &LossRecord::squared, &DateSums::squared},
                                   {"wql", &LossRecord::quantile, &DateSums::quantile},
                                   {"wrmsse", &LossRecord::wrmsse, nullptr}}};

// Those that the two can be compared by, in one category or over all (`category` < 0).
bool comparable(const Loss& loss, const LossRecord& model, const LossRecord& baseline,
                std::int64_t category) {
  if (loss.date == nullptr) return category < 0 && !model.wrmsse.empty() && !baseline.wrmsse.empty();
  return loss.date != &DateSums::quantile || (!model.levels.empty() && model.levels == baseline.levels);
}

// The mean loss on each date of all categories (`category` < 0) or of one.
std::map<std::int64_t, double> dates_of(const LossRecord& record, const Loss& loss, std::int64_t category) {
  std::map<std::int64_t, double> means;
  if (loss.date == nullptr) {
    for (const DateWrmsse& date : record.wrmsse_dates) means[date.step] = date.value;
    return means;
  }
  std::map<std::int64_t, std::pair<double, double>> sums;  // loss, n
  for (std::int64_t c = 0; c < std::ssize(record.dates); ++c) {
    if (category >= 0 && c != category) continue;
    for (const DateSums& date : record.dates[static_cast<std::size_t>(c)]) {
      auto& [total, n] = sums[date.step];
      total += date.*loss.date;
      n += date.n;
    }
  }
  for (const auto& [step, sum] : sums)
    if (sum.second > 0) means[step] = sum.first / sum.second;
  return means;
}

std::optional<DieboldMariano> test_dates(const LossRecord& model, const LossRecord& baseline,
                                         const Loss& loss, std::int64_t category, std::int64_t horizon) {
  const auto ours = dates_of(model, loss, category), theirs = dates_of(baseline, loss, category);
  std::vector<double> differences;
  for (const auto& [step, mean] : ours)
    if (const auto other = theirs.find(step); other != theirs.end())
      differences.push_back(mean - other->second);
  return diebold_mariano(differences, horizon);
}

// Losses of the judged series of a category: [series, record x loss]; 0 where a record lacks one.
std::vector<double> series_sums(const std::vector<LossRecord>& records, const ComparisonPlan& plan,
                                std::int64_t category) {
  std::vector<double> sums;
  for (std::size_t s = 0; s < plan.judged.size(); ++s) {
    if (plan.judged[s] == 0) continue;
    if (category >= 0 && plan.category_of[s] != static_cast<std::size_t>(category)) continue;
    for (const LossRecord& record : records)
      for (const Loss& loss : kLosses)
        sums.push_back((record.*loss.series).empty() ? 0.0 : (record.*loss.series)[s]);
  }
  return sums;
}

void compare_category(const std::vector<LossRecord>& records, std::size_t models, const ComparisonPlan& plan,
                      std::int64_t category, std::vector<Comparison>& comparisons) {
  const std::string name = category < 0 ? "" : plan.categories[static_cast<std::size_t>(category)];
  const std::vector<double> sums = series_sums(records, plan, category);
  const std::size_t columns = kLosses.size() * records.size();
  std::uint64_t seed = key_of("backtest.bootstrap");
  if (category >= 0) seed = mix(seed, static_cast<std::uint64_t>(category));
  const std::vector<double> totals = resampled_totals(sums, columns, plan.resamples, seed, plan.threads);
  for (std::size_t model = 0; model < models; ++model) {
    for (std::size_t baseline = models; baseline < records.size(); ++baseline) {
      for (std::size_t l = 0; l < kLosses.size(); ++l) {
        if (!comparable(kLosses[l], records[model], records[baseline], category)) continue;
        Comparison comparison =
            compare(sums, totals, columns, kLosses.size() * model + l, kLosses.size() * baseline + l);
        comparison.model = records[model].name;
        comparison.baseline = records[baseline].name;
        comparison.metric = kLosses[l].metric;
        comparison.category = name;
        add_dates(test_dates(records[model], records[baseline], kLosses[l], category, plan.horizon),
                  comparison);
        comparisons.push_back(std::move(comparison));
      }
    }
  }
}

}  // namespace

Comparisons compare_losses(const std::vector<LossRecord>& records, std::size_t models,
                           const ComparisonPlan& plan) {
  Comparisons comparisons;
  if (models == 0 || models == records.size()) return comparisons;
  compare_category(records, models, plan, -1, comparisons.overall);
  for (std::int64_t c = 0; c < std::ssize(plan.categories) && plan.categories.size() > 1; ++c)
    compare_category(records, models, plan, c, comparisons.by_category);
  return comparisons;
}

}  // namespace shelfcast::eval
