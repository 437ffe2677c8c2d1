#include "trainer/task.h"

namespace shelfcast::trainer {

WeightedLoss& WeightedLoss::operator+=(const WeightedLoss& other) {
  const auto add = [](at::Tensor& to, const at::Tensor& more) {
    if (more.defined()) to = to.defined() ? to + more : more.to(at::kDouble);
  };
  add(sum, other.sum);
  add(weight, other.weight);
  return *this;
}

PlannedTask plan_task(const Recipe& recipe, int ranks) {
  recipe.parallel.check_ranks(ranks);
  if (recipe.train.task == TrainConfig::Task::text_labels) return plan_text_labels_task(recipe, ranks);
  auto corpus = std::make_shared<const data::Corpus>(recipe.data.source());
  PlannedTask plan = recipe.train.task == TrainConfig::Task::masked_language
                         ? plan_masked_language_task(recipe, *corpus, ranks)
                         : plan_demand_task(recipe, *corpus, ranks);
  plan.facts.push_back({"corpus", corpus->digest()});
  plan.corpus = std::move(corpus);
  return plan;
}

}  // namespace shelfcast::trainer
