#include "trainer/task.h"

namespace shelfcast::trainer {

PlannedTask plan_task(const Recipe& recipe, int ranks) {
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
