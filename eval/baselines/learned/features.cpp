#include "eval/baselines/learned/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "data/calendar.h"
#include "data/censored.h"

namespace shelfcast::eval {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLags = 4;            // last values on the same step of a season
constexpr std::int64_t kRecentSeasons = 26;  // that the base level is taken from
constexpr double kLeastShare = 0.05;         // of the mean of all: the least base level
constexpr std::int64_t kEnough = 3;          // steps alike for that

const std::vector<std::string>& calendar_features() {
  static const std::vector<std::string> kNames = {"calendar.weekday", "calendar.month", "calendar.monthday",
                                                  "calendar.yearday_sin", "calendar.yearday_cos"};
  return kNames;
}

// Steps of about a year that is a whole number of weeks, so that weekdays meet.
std::int64_t steps_of_year(Frequency frequency) {
  switch (frequency) {
    case Frequency::weekly:
      return 52;
    case Frequency::monthly:
      return 12;
    case Frequency::daily:
      break;
  }
  return 364;
}

bool is_flag(float value) { return value == 0.0F || value == 1.0F; }

}  // namespace

// Writes one number after the other.
class FeatureMaker::Row {
 public:
  Row(float* to, double base) : to_(to), log_base_(std::log1p(base)) {}
  void number(double value) { *to_++ = static_cast<float>(value); }
  // An amount of demand, relative to the base.
  void demand(double value) { number(std::log1p(std::max(value, 0.0)) - log_base_); }
  double log_base() const { return log_base_; }
  const float* end() const { return to_; }

 private:
  float* to_;
  double log_base_;
};

LearnedColumns LearnedColumns::of(const data::FeatureSpec& spec, const data::CorpusInfo& info) {
  LearnedColumns columns;
  const auto add = [&](const std::vector<data::FeatureColumn>& from, std::vector<Covariate>& to) {
    for (const data::FeatureColumn& column : from)
      if (!data::is_calendar(column))
        to.push_back(
            {column.name, info.covariate_index(column.name), column.kind == data::Kind::categorical});
  };
  add(spec.known_numeric, columns.known);
  add(spec.known_categorical, columns.known);
  add(spec.past_numeric, columns.past);
  add(spec.past_categorical, columns.past_categories);
  for (const data::StaticColumn& column : spec.statics) columns.statics.push_back(column.name);
  for (const data::NumericStatic& column : spec.static_numbers) columns.static_numbers.push_back(column.name);
  return columns;
}

FeatureMaker::FeatureMaker(const data::CorpusSource& corpus, const data::FeatureSpec& spec,
                           std::int64_t season)
    : corpus_(corpus),
      columns_(LearnedColumns::of(spec, corpus_.info())),
      censored_(!spec.censored.empty()),
      season_(season),
      year_(steps_of_year(corpus_.info().axis.frequency)) {
  for (const auto* list : {&columns_.known, &columns_.past, &columns_.past_categories})
    for (const LearnedColumns::Covariate& covariate : *list) read_.push_back(covariate.index);
  if (censored_) read_.push_back(corpus_.info().covariate_index(spec.censored));
  for (const std::string& name : columns_.statics)
    static_codes_.push_back(corpus_.static_codes(corpus_.info().static_index(name)));
  for (const std::string& name : columns_.static_numbers)
    static_numbers_.push_back(corpus_.static_values(corpus_.info().static_index(name)));
  for (const std::string& name : calendar_features()) {
    std::vector<float>& values = calendar_.emplace_back();
    for (std::int64_t step = 0; step < info().steps; ++step)
      values.push_back(data::calendar_value(name, info().axis.date_of(step)));
  }
  name_features();
}

// In the order of make().
void FeatureMaker::name_features() {
  const auto add = [&](const std::string& name, bool categorical = false) {
    names_.push_back(name);
    categorical_.push_back(categorical);
  };
  add("ahead");
  for (const std::string& name : calendar_features()) add(name, !name.starts_with("calendar.yearday"));
  for (const auto& covariate : columns_.known)
    for (const char* when : {"", " before", " after", " to recent"}) {
      const bool ratio = std::string_view(when) == " to recent";
      if (!(ratio && covariate.categorical)) add(covariate.name + when, covariate.categorical);
    }
  add("log base");
  for (std::int64_t lag = 1; lag <= kLags; ++lag) add(fmt::format("same step, {} seasons back", lag));
  for (const int seasons : {1, 4, 13, 52}) add(fmt::format("mean of {} seasons", seasons));
  for (const int seasons : {4, 13, 52}) add(fmt::format("same step in {} seasons", seasons));
  add("steps alike");
  add("share of steps alike");
  add("share of zeros");
  add("since last sale");
  add("a year ago");
  add("around a year ago");
  add("a year ago against then");
  for (const auto& covariate : columns_.past) add(covariate.name + " recent to long");
  for (const auto& covariate : columns_.past_categories) add("last " + covariate.name, true);
  for (const std::string& name : columns_.statics) add(name, true);
  for (const std::string& name : columns_.static_numbers) add(name);
}

std::size_t FeatureMaker::local(std::int64_t series) const {
  SHELFCAST_ASSERT(series >= block_.first_series && series < block_.first_series + block_.series);
  return static_cast<std::size_t>(series - block_.first_series);
}

// What a step is like: its place in the season, categories, and flags.
std::uint64_t FeatureMaker::regime(std::int64_t series, std::int64_t step) const {
  std::uint64_t key = static_cast<std::uint64_t>(step % season_);
  for (std::size_t c = 0; c < columns_.known.size(); ++c) {
    const float value = block_.row(c, series)[static_cast<std::size_t>(step)];
    if (columns_.known[c].categorical)
      key = mix(key, static_cast<std::uint64_t>(static_cast<std::int64_t>(value) + 1));
    else
      key = mix(key, is_flag(value) ? static_cast<std::uint64_t>(value) : 2);
  }
  return key;
}

// Categories stay: they are looked at where demand was observed, and on the step forecast.
void FeatureMaker::hide_before(std::int64_t from) {
  const auto hide = [&](std::vector<float>& rows) {
    for (std::size_t row = 0; row < rows.size(); row += static_cast<std::size_t>(block_.steps))
      std::ranges::fill(std::span(rows).subspan(row, static_cast<std::size_t>(from)),
                        std::numeric_limits<float>::quiet_NaN());
  };
  hide(block_.demand);
  std::size_t column = 0;
  for (const auto* list : {&columns_.known, &columns_.past})
    for (const LearnedColumns::Covariate& covariate : *list) {
      if (!covariate.categorical) hide(block_.columns[column].values);
      ++column;
    }
}

void FeatureMaker::load(std::int64_t first, std::int64_t count, std::int64_t from) {
  const std::int64_t steps = info().steps;
  corpus_.read(first, count, 0, steps, read_, block_);
  if (from > 0) hide_before(from);
  sums_.clear();
  past_.clear();
  regimes_.clear();
  std::vector<std::uint64_t> like(static_cast<std::size_t>(steps));
  for (std::int64_t series = first; series < first + count; ++series) {
    float* demand = block_.demand.data() + static_cast<std::int64_t>(local(series)) * steps;
    if (censored_) {
      const std::span<const float> cut = block_.row(read_.size() - 1, series);
      for (std::int64_t t = 0; t < steps; ++t)
        if (data::is_cut(cut[static_cast<std::size_t>(t)]))
          demand[t] = std::numeric_limits<float>::quiet_NaN();
    }
    const std::span<const float> values(demand, static_cast<std::size_t>(steps));
    sums_.emplace_back(values, season_);
    for (std::int64_t t = 0; t < steps; ++t) like[static_cast<std::size_t>(t)] = regime(series, t);
    regimes_.emplace_back(values, like);
    std::vector<RunningMean>& past = past_.emplace_back();
    for (std::size_t c = 0; c < columns_.past.size(); ++c)
      past.emplace_back(block_.row(columns_.known.size() + c, series));
  }
}

float FeatureMaker::demand(std::int64_t series, std::int64_t step) const {
  if (step < 0 || step >= block_.steps) return std::numeric_limits<float>::quiet_NaN();
  return block_
      .demand[local(series) * static_cast<std::size_t>(block_.steps) + static_cast<std::size_t>(step)];
}

std::int64_t FeatureMaker::observed_before(std::int64_t series, std::int64_t step) const {
  return sums_[local(series)].of(0, step).count;
}

FeatureMaker::Place FeatureMaker::place(std::int64_t series, std::int64_t origin, std::int64_t ahead) const {
  Place place{series, origin, ahead, origin + ahead, origin + ahead < block_.steps, {}, {}};
  // A long gap before the origin: the step is far ahead of what was seen last.
  if (const std::int64_t last = sums_[local(series)].last_observed(origin); last >= 0) {
    place.origin = last + 1;
    place.ahead = place.step - place.origin;
  }
  if (place.there) {
    const RegimeMeans& regimes = regimes_[local(series)];
    const std::uint64_t like = regime(series, place.step);
    place.alike = regimes.of(like, place.origin - kRecentSeasons * season_, place.origin);
    place.ever_alike = regimes.of(like, 0, place.origin);
  }
  return place;
}

double FeatureMaker::base_level(const Place& place) const {
  const PastSums& sums = sums_[local(place.series)];
  const Mean season = sums.same_step(place.step, place.origin - kRecentSeasons * season_, place.origin),
             all = sums.of(0, place.origin);
  double base = 0.0;
  for (const Mean& mean : {place.alike.count >= kEnough ? place.alike : place.ever_alike, season, all})
    if (mean.count > 0) {
      base = std::max(mean.value(), 0.0);
      break;
    }
  return all.count > 0 ? std::max(base, kLeastShare * all.value()) : base;
}

void FeatureMaker::write_known(const Place& place, Row& row) const {
  for (const std::vector<float>& values : calendar_)
    row.number(place.there ? static_cast<double>(values[static_cast<std::size_t>(place.step)]) : kNaN);
  for (std::size_t c = 0; c < columns_.known.size(); ++c) {
    const std::span<const float> values = block_.row(c, place.series);
    const auto at = [&](std::int64_t t) {
      return t >= 0 && t < block_.steps ? static_cast<double>(values[static_cast<std::size_t>(t)]) : kNaN;
    };
    for (const std::int64_t t : {place.step, place.step - 1, place.step + 1}) row.number(at(t));
    if (columns_.known[c].categorical) continue;
    // How a price stands to those of the last four seasons.
    double sum = 0.0, count = 0.0;
    for (std::int64_t t = std::max<std::int64_t>(0, place.origin - 4 * season_); t < place.origin; ++t)
      if (!std::isnan(at(t))) sum += at(t), count += 1.0;
    row.number(sum > 0.0 && at(place.step) > 0.0 ? std::log(at(place.step) * count / sum) : kNaN);
  }
}

void FeatureMaker::write_demand(const Place& place, Row& row) const {
  const PastSums& sums = sums_[local(place.series)];
  const std::int64_t origin = place.origin, window = origin - 4 * season_;
  row.number(row.log_base());
  // The last such step before the origin.
  const std::int64_t last_like = place.step - (place.ahead / season_ + 1) * season_;
  for (std::int64_t lag = 0; lag < kLags; ++lag) {
    const std::int64_t t = last_like - lag * season_;
    row.demand(t >= 0 ? static_cast<double>(demand(place.series, t)) : kNaN);
  }
  for (const std::int64_t seasons : {1, 4, 13, 52})
    row.demand(sums.of(origin - seasons * season_, origin).value());
  for (const std::int64_t seasons : {4, 13, 52})
    row.demand(sums.same_step(place.step, origin - seasons * season_, origin).value());
  row.number(static_cast<double>(place.ever_alike.count));
  row.number(static_cast<double>(place.alike.count) / static_cast<double>(kRecentSeasons));
  const std::int64_t seen = sums.of(window, origin).count, sale = sums.last_sale(origin);
  row.number(seen > 0 ? static_cast<double>(sums.zeros(window, origin)) / static_cast<double>(seen) : kNaN);
  row.number(sale < 0 ? kNaN : static_cast<double>(origin - sale));
}

// A year before the step: before the origin, or else not known.
void FeatureMaker::write_last_year(const Place& place, Row& row) const {
  const PastSums& sums = sums_[local(place.series)];
  const std::int64_t origin = place.origin, year_ago = place.step - year_, begin = year_ago - season_,
                     end = std::min(year_ago + season_ + 1, origin);
  row.demand(year_ago >= 0 && year_ago < origin ? static_cast<double>(demand(place.series, year_ago)) : kNaN);
  const Mean around = sums.same_step(place.step, begin, end);
  row.demand(around.value());
  const Mean then = sums.same_step(place.step, year_ago - kRecentSeasons * season_, std::min(begin, origin));
  row.number(std::log1p(std::max(around.value(), 0.0)) - std::log1p(std::max(then.value(), 0.0)));
}

double FeatureMaker::make(std::int64_t series, std::int64_t origin, std::int64_t ahead, float* to) const {
  const Place at = place(series, origin, ahead);
  const double base = base_level(at);
  Row row(to, base);
  row.number(static_cast<double>(at.ahead));
  write_known(at, row);
  write_demand(at, row);
  write_last_year(at, row);
  for (const RunningMean& past : past_[local(series)])
    row.number(std::log1p(std::max(past.of(at.origin - season_, at.origin).value(), 0.0)) -
               std::log1p(std::max(past.of(at.origin - 13 * season_, at.origin).value(), 0.0)));
  for (std::size_t c = 0; c < columns_.past_categories.size(); ++c) {
    const std::span<const float> codes = block_.row(columns_.known.size() + columns_.past.size() + c, series);
    row.number(at.origin > 0 ? static_cast<double>(codes[static_cast<std::size_t>(at.origin) - 1]) : kNaN);
  }
  for (const auto& codes : static_codes_)
    row.number(static_cast<double>(codes[static_cast<std::size_t>(series)]));
  for (const auto& numbers : static_numbers_)
    row.number(static_cast<double>(numbers[static_cast<std::size_t>(series)]));
  SHELFCAST_ASSERT(row.end() == to + names_.size());
  return base;
}

}  // namespace shelfcast::eval
