#include "eval/fans.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/random.h"

namespace shelfcast::eval {
namespace {

using Order = std::vector<std::int64_t>;

double relative_error(const SeriesErrors& errors) {
  return errors.absolute_target > 0 ? errors.absolute_error / errors.absolute_target : 0.0;
}

// Series with judged demand by falling volume; ties by number, so that the choice is the same everywhere.
Order by_volume(const std::vector<SeriesErrors>& errors) {
  Order order;
  for (std::int64_t i = 0; i < std::ssize(errors); ++i)
    if (errors[static_cast<std::size_t>(i)].absolute_target > 0) order.push_back(i);
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::int64_t i) {
    return errors[static_cast<std::size_t>(i)].absolute_target;
  });
  return order;
}

Order by_error(Order order, const std::vector<SeriesErrors>& errors) {
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::int64_t i) {
    return relative_error(errors[static_cast<std::size_t>(i)]);
  });
  return order;
}

// From the middle outwards.
Order from_middle(const Order& order) {
  Order typical = order;
  const auto middle = static_cast<std::int64_t>(order.size() / 2);
  std::vector<std::int64_t> positions(order.size());
  for (std::int64_t i = 0; i < std::ssize(positions); ++i) positions[static_cast<std::size_t>(i)] = i;
  std::ranges::stable_sort(positions, std::less<>{}, [&](std::int64_t p) { return std::abs(p - middle); });
  for (std::size_t i = 0; i < order.size(); ++i) typical[i] = order[static_cast<std::size_t>(positions[i])];
  return typical;
}

Order drawn(const Order& order) {
  if (order.empty()) return {};
  const KeyedPermutation permutation(key_of("backtest.fans"), order.size());
  Order shuffled;
  for (std::size_t i = 0; i < order.size(); ++i) shuffled.push_back(order[permutation(i)]);
  return shuffled;
}

Fan::Forecast cut(const std::string& name, const ForecastValues& values, std::size_t row,
                  std::size_t model_horizon, std::size_t horizon) {
  Fan::Forecast fan{name, values.levels, {}, {}, {}};
  const auto steps = [&](const std::vector<float>& from, std::size_t line) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(line * model_horizon);
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(horizon));
  };
  fan.median_h = steps(values.median_bh, row);
  fan.mean_h = steps(values.mean_bh, row);
  for (std::size_t q = 0; q < values.levels.size(); ++q) {
    const std::vector<float> line = steps(values.quantiles_bqh, row * values.levels.size() + q);
    fan.quantiles_qh.insert(fan.quantiles_qh.end(), line.begin(), line.end());
  }
  return fan;
}

}  // namespace

std::vector<FanChoice> choose_fans(const std::vector<SeriesErrors>& errors, std::int64_t count) {
  const Order volume = by_volume(errors);
  const Order sellers(volume.begin(), volume.begin() + static_cast<std::ptrdiff_t>((volume.size() + 1) / 2));
  struct Ranking {
    std::string why;
    Order order;
    std::size_t next = 0;
  };
  std::vector<Ranking> rankings{{"large seller", volume},
                                {"typical error", from_middle(by_error(volume, errors))},
                                {"large error", by_error(sellers, errors)},
                                {"drawn at random", drawn(volume)}};
  std::vector<FanChoice> choices;
  std::set<std::int64_t> taken;
  const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(count), volume.size());
  for (std::size_t turn = 0; choices.size() < wanted; ++turn) {
    Ranking& ranking = rankings[turn % rankings.size()];
    while (ranking.next < ranking.order.size() && taken.contains(ranking.order[ranking.next])) ++ranking.next;
    if (ranking.next == ranking.order.size()) continue;
    taken.insert(ranking.order[ranking.next]);
    choices.push_back({ranking.order[ranking.next], ranking.why});
  }
  return choices;
}

std::vector<Fan> forecast_fans(const data::CorpusSource& corpus, const data::FeatureSpec& spec,
                               const std::vector<FanChoice>& choices, std::int64_t origin,
                               std::int64_t horizon, const std::vector<Forecaster*>& forecasters,
                               const std::vector<std::string>& series_names) {
  if (choices.empty()) return {};
  std::vector<data::Window> windows;
  windows.reserve(choices.size());
  for (const FanChoice& choice : choices) windows.push_back({choice.series, origin});
  data::EvaluationReader reader(corpus, spec, windows, std::ssize(windows));
  data::Batch batch;
  reader.read(0, batch);

  const auto context = static_cast<std::size_t>(spec.context),
             model_horizon = static_cast<std::size_t>(spec.horizon);
  const auto steps = static_cast<std::size_t>(horizon);
  const std::size_t shown = std::min(static_cast<std::size_t>(std::min(spec.context, origin)), 2 * steps);
  std::vector<Fan> fans;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    Fan fan{series_names[static_cast<std::size_t>(choices[i].series)], choices[i].why, origin, {}, {}, {}};
    const float* past = batch.context_bt.data() + i * context;
    fan.history.assign(past + context - shown, past + context);
    const float* future = batch.target_bh.data() + i * model_horizon;
    fan.target.assign(future, future + steps);
    fans.push_back(std::move(fan));
  }
  ForecastValues values;
  for (Forecaster* forecaster : forecasters) {
    forecaster->forecast(batch, values);
    for (std::size_t i = 0; i < fans.size(); ++i)
      fans[i].forecasts.push_back(cut(forecaster->name(), values, i, model_horizon, steps));
  }
  return fans;
}

}  // namespace shelfcast::eval
