// Every architecture of a series tower, for tests that each must pass.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "models/config.h"

namespace shelfcast::models::testing {

inline auto every_tower() {
  return ::testing::Values(Architecture::chronos_bolt, Architecture::chronos2, Architecture::lstm,
                           Architecture::tcn, Architecture::transformer);
}

// Its name as part of a test's.
inline std::string tower_in_test_name(const ::testing::TestParamInfo<Architecture>& tower) {
  std::string name = name_of(tower.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace shelfcast::models::testing
