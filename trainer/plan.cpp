#include "trainer/plan.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "eval/backtest.h"
#include "trainer/text/series_texts.h"

namespace shelfcast::trainer {
namespace {

// The first step that begins on or after `date`, kept inside the axis.
std::int64_t step_from(const data::CorpusInfo& info, Date date) {
  std::int64_t step = info.axis.step_at_or_before(date);
  if (info.axis.date_of(step) < date) ++step;
  return std::clamp<std::int64_t>(step, 0, info.demand_end);
}

void resolve_dates(const Recipe& recipe, const data::CorpusInfo& info, DataPlan& plan) {
  const eval::BacktestConfig& backtest = recipe.backtest;
  plan.validate_end = recipe.data.validate_until
                          ? step_from(info, *recipe.data.validate_until)
                          : info.demand_end - backtest.horizon - (backtest.origins - 1) * backtest.stride;
  plan.train_end = recipe.data.train_until ? step_from(info, *recipe.data.train_until)
                                           : plan.validate_end - recipe.data.horizon;
  if (plan.train_end > plan.validate_end)
    throw input_error("data.train_until lies after data.validate_until",
                      fmt::format("{} and {}", format_date(info.axis.date_of(plan.train_end)),
                                  format_date(info.axis.date_of(plan.validate_end))),
                      "training must end before validation does");
}

// Windows of the last data.recent steps before training ends, and as many older ones as data.replay asks for,
// where there are any.
data::WindowSpace train_space(const Recipe& recipe, const data::CorpusInfo& info, std::int64_t train_end) {
  const data::DataConfig& data = recipe.data;
  data::WindowSpace space{.series = info.series,
                          .first_origin = data.min_context,
                          .last_origin = train_end - data.horizon,
                          .chunk_series = data.chunk_series,
                          .superblock = data.superblock,
                          .oldest_origin = data.min_context,
                          .replayed = 0,
                          .shots = data.shots};
  if (data.recent > 0) space.first_origin = std::max(data.min_context, train_end - data.recent);
  if (data.replay > 0 && space.first_origin > space.oldest_origin && space.new_origins() > 0)
    space.replayed =
        std::llround(static_cast<double>(space.shown_origins()) * data.replay / (1 - data.replay));
  return space;
}

void check_room(const Recipe& recipe, const data::CorpusInfo& info, const DataPlan& plan) {
  if (plan.train_space.new_origins() >= 1) return;
  throw input_error(fmt::format("no training window fits: {} steps are left for training, but "
                                "data.min_context {} and data.horizon {} "
                                "need {}",
                                std::max<std::int64_t>(plan.train_end, 0), recipe.data.min_context,
                                recipe.data.horizon, recipe.data.min_context + recipe.data.horizon),
                    fmt::format("demand covers {} steps from {}, backtest and validation take the rest",
                                info.demand_end, format_date(info.axis.start)),
                    "shorten data.horizon, backtest.origins or backtest.stride, or set data.train_until");
}

void check_inventory(const Recipe& recipe) {
  if (recipe.model.inventory && recipe.data.inventory.empty())
    throw input_error("model.heads.inventory is true, but the corpus' stock on hand has no name",
                      "data.inventory is empty", "set it to a past covariate such as stock");
  if (!recipe.model.inventory && !recipe.data.inventory.empty())
    throw input_error(fmt::format("data.inventory is {}, but nobody forecasts it", recipe.data.inventory),
                      "model.heads.inventory is false",
                      "set it to true, or list the covariate under data.past");
}

void check_masked(const Recipe& recipe) {
  if (recipe.model.masked && recipe.train.masked == 0)
    throw input_error("model.heads.masked is true, but nothing is hidden", "train.masked is 0",
                      "set it to 0.2, say");
  if (!recipe.model.masked && recipe.train.masked > 0)
    throw input_error("train.masked hides patches that nobody fills in", "model.heads.masked is false",
                      "set it to true, and model.loss.masked to 0.3, say");
  if (!recipe.model.masked) return;
  const models::TowerConfig tower = models::tower_for(recipe.model, recipe.data.context, recipe.data.horizon);
  if (std::min(recipe.data.context, tower.context_length) <= tower.input_patch_size)
    throw input_error(
        "model.heads.masked is true, but a history is a single patch, which is never hidden",
        fmt::format("data.context is {}, a patch {} steps", recipe.data.context, tower.input_patch_size),
        "lengthen data.context, or leave the head out");
}

}  // namespace

std::vector<data::Window> choose_windows(std::uint64_t key, std::int64_t series, std::int64_t first,
                                         std::int64_t end, std::int64_t horizon, std::int64_t count) {
  const std::int64_t origins = std::max<std::int64_t>(0, (end - first) / horizon);
  const std::int64_t all = origins * series;
  std::vector<data::Window> windows;
  if (all == 0) return windows;
  const KeyedPermutation order(key, static_cast<std::uint64_t>(all));
  for (std::int64_t i = 0; i < std::min(all, count); ++i) {
    const auto chosen = static_cast<std::int64_t>(order(static_cast<std::uint64_t>(i)));
    windows.push_back({chosen / origins, first + chosen % origins * horizon});
  }
  std::sort(windows.begin(), windows.end(), [](const data::Window& a, const data::Window& b) {
    return std::pair(a.series, a.origin) < std::pair(b.series, b.origin);
  });
  return windows;
}

DataPlan make_plan(const Recipe& recipe, const data::Corpus& corpus) {
  const data::CorpusInfo& info = corpus.info();
  DataPlan plan;
  resolve_dates(recipe, info, plan);
  plan.train_space = train_space(recipe, info, plan.train_end);
  check_room(recipe, info, plan);
  plan.features = data::make_features(recipe.data, corpus, plan.train_end);
  check_inventory(recipe);
  check_masked(recipe);
  eval::check_names(recipe.backtest, corpus);
  if (!recipe.model.classes.empty()) {
    const data::WindowSpace& space = plan.train_space;
    plan.classes =
        DemandClasses(recipe.data, info, recipe.model,
                      space.replayed > 0 ? space.oldest_origin : space.first_origin, plan.train_end);
  }
  if (recipe.data.text) plan.features.text = text_column(recipe.model, corpus);
  plan.validation =
      choose_windows(mix(static_cast<std::uint64_t>(recipe.run.seed), key_of("validation")), info.series,
                     plan.train_end, plan.validate_end, recipe.data.horizon, recipe.train.validate_windows);
  return plan;
}

void check_ranks(const Recipe& recipe, const DataPlan& plan, int ranks) {
  if (plan.train_space.windows() < ranks)
    throw input_error(fmt::format("{} ranks for {} training windows", ranks, plan.train_space.windows()),
                      "every rank needs at least one", "use fewer ranks or a larger corpus");
  if (recipe.train.batch < ranks)
    throw input_error(fmt::format("train.batch {} is smaller than the {} ranks", recipe.train.batch, ranks),
                      "every rank needs at least one window of each batch",
                      "raise train.batch or use fewer ranks");
}

Recipe with_dates(const Recipe& recipe, const DataPlan& plan, const data::Corpus& corpus) {
  Recipe dated = recipe;
  dated.data.train_until = corpus.info().axis.date_of(plan.train_end);
  dated.data.validate_until = corpus.info().axis.date_of(plan.validate_end);
  return dated;
}

}  // namespace shelfcast::trainer
