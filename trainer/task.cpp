#include "trainer/task.h"

namespace shelfcast::trainer {

PlannedTask plan_task(const Recipe& recipe, const data::Corpus& corpus, int ranks) {
  switch (recipe.train.task) {
    case TrainConfig::Task::masked_language:
      return plan_masked_language_task(recipe, corpus, ranks);
    case TrainConfig::Task::demand:
      break;
  }
  return plan_demand_task(recipe, corpus, ranks);
}

}  // namespace shelfcast::trainer
