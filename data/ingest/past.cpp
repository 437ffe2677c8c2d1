#include "data/ingest/past.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/log.h"

namespace shelfcast::data {
namespace {

// Days may become any step; other steps have to be the corpus' own.
bool can_go_on(const CorpusInfo& table, const CorpusInfo& corpus) {
  if (table.axis.frequency == corpus.axis.frequency) return corpus.axis.step_of(table.axis.start).has_value();
  return table.axis.frequency == Frequency::daily;
}

void check_reaches_back(const Panel& panel, const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  const Date open = info.axis.date_of(info.demand_end), begins = panel.info.axis.start;
  if (begins <= open || panel.info.demand_end == 0) return;  // plans alone close no period
  if (panel.info.axis.frequency != info.axis.frequency)
    throw input_error(
        fmt::format("the table begins on {}, within or after the {} of {}, which {} does not hold yet",
                    format_date(begins), info.axis.frequency == Frequency::weekly ? "week" : "month",
                    format_date(open), corpus.folder().string()),
        "its days before the table would be lost, and so would the sum",
        fmt::format("let the table reach back to {}: with a row on that day, or before it",
                    format_date(open)));
  log::warn("{} ends with {}, the table begins on {}: nothing is known of what lies between",
            corpus.folder().string(), format_date(info.axis.date_of(info.demand_end - 1)),
            format_date(begins));
}

// Steps of the corpus' demand that lie before the table.
std::int64_t steps_before(const CorpusInfo& table, const CorpusInfo& corpus) {
  std::int64_t step = corpus.axis.step_at_or_before(table.axis.start);
  if (corpus.axis.date_of(step) < table.axis.start) ++step;
  return std::clamp<std::int64_t>(step, 0, corpus.demand_end);
}

// The first observed of `steps` values; `steps` if there is none.
std::int64_t first_observed(const float* demand, std::int64_t steps) {
  return std::find_if(demand, demand + steps, [](float value) { return !std::isnan(value); }) - demand;
}

// A series that began before the table is found at the last step before it, as a rule: only where it is not,
// all the steps are read.
std::vector<Date> begun_dates(const Corpus& corpus, std::int64_t before) {
  const CorpusInfo& info = corpus.info();
  std::vector<Date> begun;
  PanelBlock recent, all;
  const std::int64_t block = series_per_block(info), from = std::max<std::int64_t>(0, before - 1);
  for (std::int64_t first = 0; first < info.series; first += block) {
    const std::int64_t series = std::min(block, info.series - first), steps = info.demand_end - from;
    corpus.read(first, series, from, steps, {}, recent);
    all.demand.clear();
    for (std::int64_t i = 0; i < series; ++i) {
      std::int64_t step = from + first_observed(recent.demand.data() + i * steps, steps);
      if (step > from && from > 0) {
        if (all.demand.empty()) corpus.read(first, series, 0, info.demand_end, {}, all);
        step = first_observed(all.demand.data() + i * info.demand_end, info.demand_end);
      }
      begun.push_back(step < info.demand_end ? info.axis.date_of(step) : Past::kNever);
    }
  }
  return begun;
}

std::vector<bool> observed_at_end(const CorpusInfo& table, const Corpus& corpus) {
  const CorpusInfo& info = corpus.info();
  std::vector<bool> observed(static_cast<std::size_t>(info.series));
  if (table.axis.frequency != info.axis.frequency) return observed;
  PanelBlock block;
  corpus.read(0, info.series, info.demand_end - 1, 1, {}, block);
  std::transform(block.demand.begin(), block.demand.end(), observed.begin(),
                 [](float value) { return !std::isnan(value); });
  return observed;
}

// A covariate's values on the last step of demand, in the table's words; of sums, a day's part.
std::vector<float> last_values(const Corpus& corpus, std::size_t covariate, bool is_sum_of_days,
                               std::vector<std::string>& vocabulary) {
  const CorpusInfo& info = corpus.info();
  PanelBlock block;
  const std::vector<std::size_t> columns{covariate};
  const std::int64_t last = info.demand_end - 1;
  corpus.read(0, info.series, last, 1, columns, block);
  std::vector<float> values = std::move(block.columns.front().values);
  if (info.covariates[covariate].kind == Kind::numeric) {
    if (!is_sum_of_days) return values;
    const auto days = (info.axis.date_of(last + 1) - info.axis.date_of(last)).count();
    for (float& value : values) value /= static_cast<float>(days);
    return values;
  }
  std::vector<float> codes;  // per word of the corpus
  for (const std::string& word : info.covariates[covariate].vocabulary) {
    const auto found = std::find(vocabulary.begin(), vocabulary.end(), word);
    codes.push_back(static_cast<float>(found - vocabulary.begin()));
    if (found == vocabulary.end()) vocabulary.push_back(word);
  }
  for (float& value : values)
    if (value >= 0) value = codes[static_cast<std::size_t>(value)];
  return values;
}

Past past_of(const Panel& panel, const Corpus& corpus) {
  const CorpusInfo &table = panel.info, &info = corpus.info();
  Past past;
  past.names = corpus.series_names();
  past.start = info.axis.start;
  past.demand_end = info.axis.date_of(info.demand_end);
  past.end = info.axis.date_of(info.steps);
  if (panel.gaps == Gaps::zero) past.begun = begun_dates(corpus, steps_before(table, info));
  past.observed_at_end = observed_at_end(table, corpus);
  past.last.resize(table.covariates.size());
  for (std::size_t c = 0; c < table.covariates.size(); ++c) {
    const CovariateInfo& wanted = table.covariates[c];
    past.vocabularies.push_back(wanted.vocabulary);
    if (panel.fills.empty() || panel.fills[c] != Fill::previous) continue;
    const auto found = std::find_if(info.covariates.begin(), info.covariates.end(), [&](const auto& other) {
      return other.name == wanted.name && other.kind == wanted.kind && other.per == "series";
    });
    if (found == info.covariates.end()) continue;  // extend_corpus says that it does not fit
    const bool is_sum_of_days =
        table.axis.frequency != info.axis.frequency && panel.aggregates[c] == Aggregate::sum;
    past.last[c] = last_values(corpus, static_cast<std::size_t>(found - info.covariates.begin()),
                               is_sum_of_days, past.vocabularies[c]);
  }
  return past;
}

}  // namespace

Panel go_on_from(Panel panel, const Corpus& corpus) {
  panel.continues = true;
  if (!can_go_on(panel.info, corpus.info())) return panel;  // extend_corpus says why
  check_reaches_back(panel, corpus);
  if (!panel.go_on) return panel;
  panel = panel.go_on(past_of(panel, corpus));
  panel.continues = true;
  return panel;
}

}  // namespace shelfcast::data
