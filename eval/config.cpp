#include "eval/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "eval/baselines/catalogue.h"
#include "eval/combination.h"
#include "eval/views.h"

namespace shelfcast::eval {
namespace {

void require_at_least(const char* field, std::int64_t value, std::int64_t least) {
  if (value >= least) return;
  throw input_error(fmt::format("backtest.{} is {}", field, value),
                    fmt::format("it must be at least {}", least),
                    fmt::format("set backtest.{} to {} or more", field, least));
}

void require_each_once(const char* field, const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name)
    if (std::find(names.begin(), name, *name) != name)
      throw input_error(fmt::format("backtest.{} names '{}' twice", field, *name), "each is judged once",
                        "name it once");
}

// Each of `names` once, and one of `known`; others are `what`.
void require_known(const char* field, const char* what, const std::vector<std::string>& names,
                   const std::vector<std::string>& known) {
  require_each_once(field, names);
  for (const std::string& name : names) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string nearest = nearest_name(name, known);
    throw input_error(fmt::format("backtest.{} names '{}', which is {}", field, name, what),
                      fmt::format("there are {}", fmt::join(known, ", ")),
                      nearest.empty() ? "name one of those" : fmt::format("did you mean '{}'?", nearest));
  }
}

void require_known_combinations(const CombineConfig& combine, const std::vector<std::string>& baselines) {
  std::vector<std::string> methods, members = baselines;
  for (const CombinationMethod& method : combination_methods()) methods.push_back(method.name);
  members.emplace_back("model");
  require_known("combine.methods", "no way of combining", combine.methods, methods);
  require_known("combine.of", "no forecast of the backtest", combine.of, members);
}

}  // namespace

void BacktestConfig::validate() const {
  require_at_least("origins", origins, 1);
  require_at_least("stride", stride, 1);
  require_at_least("horizon", horizon, 1);
  require_at_least("batch", batch, 1);
  require_known("baselines", "no baseline", baselines, baseline_names());
  require_known_combinations(combine, baselines);
  require_known("views", "no view", views, view_names());
  require_each_once("by", by);
  require_each_once("hierarchy", hierarchy);
  if (!classes.empty() &&
      !(classes.size() == 2 && classes[0] > 0.0 && classes[0] < classes[1] && classes[1] < 1.0))
    throw input_error(fmt::format("backtest.classes is [{}]", fmt::join(classes, ", ")),
                      "it takes two ascending shares between 0 and 1",
                      "set it to [0.25, 0.75], say, or to []");
  require_at_least("threads", threads, 0);
  require_at_least("orders.review", orders.review, 0);
  require_at_least("orders.lead", orders.lead, 0);
  if (!(orders.service > 0.0 && orders.service < 1.0))
    throw input_error(fmt::format("backtest.orders.service is {}", orders.service), "it is a probability",
                      "set it above 0 and below 1");
  require_at_least("history", history, 0);
  require_at_least("refit_every", refit_every, 0);
  if (season != kByFrequency) require_at_least("season", season, 1);
  require_at_least("window", window, 1);
  require_at_least("learned_rows", learned_rows, 1);
  require_at_least("learned_rounds", learned_rounds, 1);
  require_at_least("bootstrap", bootstrap, 0);
  require_at_least("fans", fans, 0);
}

std::int64_t season_of(const BacktestConfig& config, Frequency frequency) {
  if (config.season != BacktestConfig::kByFrequency) return config.season;
  switch (frequency) {
    case Frequency::daily:
      return 7;
    case Frequency::weekly:
      return 52;
    case Frequency::monthly:
      return 12;
  }
  return 1;
}

}  // namespace shelfcast::eval
