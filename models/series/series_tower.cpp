#include "models/series/series_tower.h"

#include "models/series/chronos2_tower.h"
#include "models/series/chronos_bolt.h"
#include "models/series/plain_tower.h"

namespace shelfcast::models {

std::unique_ptr<SeriesTower> make_tower(const TowerConfig& config, const std::string& prefix,
                                        ParameterMaker& make) {
  switch (config.architecture) {
    case Architecture::lstm:
      return std::make_unique<PlainTower>(config, prefix, make, make_lstm);
    case Architecture::tcn:
      return std::make_unique<PlainTower>(config, prefix, make, make_tcn);
    case Architecture::transformer:
      return std::make_unique<PlainTower>(config, prefix, make, make_transformer);
    case Architecture::chronos2:
      return std::make_unique<Chronos2Tower>(config, prefix, make);
    case Architecture::chronos_bolt:
      break;
  }
  return std::make_unique<ChronosBolt>(config, prefix, make);
}

}  // namespace shelfcast::models
