// Chronos-2 as the tower of a demand model: every window's demand, and the series beside it, are a group.
#pragma once

#include <string>

#include "models/series/chronos2.h"
#include "models/series/series_tower.h"

namespace shelfcast::models {

// Legend: b windows, f patches ahead, d width of a token.

class Chronos2Tower : public SeriesTower {
 public:
  Chronos2Tower(const TowerConfig& config, const std::string& prefix, ParameterMaker& make);

  // [b*f, d], as many patches as reach the horizon.
  at::Tensor states(const TowerInputs& inputs, const Dropout& dropout) const override;
  at::Tensor quantiles(const at::Tensor& states, std::int64_t windows, const Dropout& dropout) const override;

 private:
  Chronos2 tower_;
};

}  // namespace shelfcast::models
