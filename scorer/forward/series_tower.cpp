#include "scorer/forward/series_tower.h"

#include "scorer/forward/chronos2_tower.h"
#include "scorer/forward/chronos_bolt.h"

namespace shelfcast::scorer {

std::unique_ptr<SeriesTower> make_tower(const ModelConfig& config, const Ops& ops, Weights& weights) {
  if (config.tower.architecture == Architecture::chronos2)
    return std::make_unique<Chronos2Tower>(config, ops, weights);
  return std::make_unique<ChronosBolt>(config, ops, weights);
}

}  // namespace shelfcast::scorer
