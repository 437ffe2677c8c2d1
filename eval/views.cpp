#include "eval/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::eval {
namespace {

using std::chrono::year_month_day;

bool begins(const std::string& view, Date date) {
  return view == "week" ? std::chrono::weekday(date) == std::chrono::Monday
                        : year_month_day(date).day() == std::chrono::day(1);
}

// Of `horizon` steps from `origin` on. A period ends where the next one begins, which the horizon need not
// hold.
std::vector<Period> whole_periods(const std::string& view, const TimeAxis& axis, std::int64_t origin,
                                  std::int64_t horizon) {
  std::vector<std::int64_t> starts;
  for (std::int64_t step = 0; step <= horizon; ++step)
    if (begins(view, axis.date_of(origin + step))) starts.push_back(step);
  std::vector<Period> periods;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) periods.push_back({starts[i], starts[i + 1]});
  return periods;
}

}  // namespace

std::string view_group(const std::string& view, const std::string& group) { return view + "/" + group; }

const std::vector<std::string>& view_names() {
  static const std::vector<std::string> names = {"week", "month"};
  return names;
}

std::vector<View> make_views(const BacktestConfig& config, const data::CorpusInfo& info,
                             const std::vector<std::int64_t>& origins) {
  std::vector<View> views;
  for (const std::string& name : config.views) {
    if (info.axis.frequency != Frequency::daily)
      throw input_error(fmt::format("backtest.views names '{}'", name),
                        fmt::format("steps are added up from days, and those of {} are not", info.name),
                        "leave backtest.views out");
    View view{name, {}, 0};
    for (const std::int64_t origin : origins) {
      view.periods.push_back(whole_periods(name, info.axis, origin, config.horizon));
      view.most = std::max(view.most, std::ssize(view.periods.back()));
    }
    if (view.most == 0)
      throw input_error(fmt::format("backtest.views names '{}'", name),
                        fmt::format("no whole {} lies in the {} days from any origin", name, config.horizon),
                        "raise backtest.horizon, or leave it out of backtest.views");
    views.push_back(std::move(view));
  }
  return views;
}

void add_periods(const View& view, std::int64_t series, std::int64_t origin, std::span<const float> mean,
                 std::span<const float> target, ErrorTable& table) {
  std::int64_t number = 0;
  for (const Period& period : view.periods[static_cast<std::size_t>(origin)]) {
    double forecast = 0.0, truth = 0.0;  // NaN as soon as one day is
    for (auto step = static_cast<std::size_t>(period.first); step < static_cast<std::size_t>(period.end);
         ++step) {
      forecast += mean[step];
      truth += target[step];
    }
    if (!std::isnan(truth)) table.add(series, origin, number, {truth, forecast, forecast, 0.0, {}, 0.0});
    ++number;
  }
}

std::vector<Score> view_scores(const ErrorLayout& layout, std::span<const double> sums) {
  std::vector<Score> scores = layout.scores(sums);
  std::erase_if(scores, [](const Score& score) {
    return score.metric == "mase" || score.metric == "rmsse" || score.metric == "sql";
  });
  return scores;
}

}  // namespace shelfcast::eval
