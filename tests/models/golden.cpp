#include "tests/models/golden.h"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace shelfcast::models::testing {
namespace {

struct Worst {
  double error = 0.0, bound = 0.0;
  std::string where;
};

std::map<std::string, Worst>& worst_errors() {
  static std::map<std::string, Worst> errors;
  return errors;
}

class Summary : public ::testing::Environment {
 public:
  void TearDown() override {
    if (std::getenv("SHELFCAST_GOLDEN") == nullptr) return;
    for (const auto& [quantity, worst] : worst_errors())
      std::printf("%-44s worst error %.2e of %.0e allowed  (%s)\n", quantity.c_str(), worst.error,
                  worst.bound, worst.where.c_str());
  }
};

}  // namespace

void expect_below(const std::string& quantity, double error, double bound, const std::string& where) {
  EXPECT_LT(error, bound) << quantity << ' ' << where;
  Worst& worst = worst_errors()[quantity];
  if (error / bound >= (worst.bound > 0.0 ? worst.error / worst.bound : 0.0)) {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    worst = {error, bound,
             std::string(test->value_param() != nullptr ? test->value_param() : "") + " " + where};
  }
}

// One for the whole program; gtest owns it.
[[maybe_unused]] const ::testing::Environment* const kSummary =
    ::testing::AddGlobalTestEnvironment(new Summary);

}  // namespace shelfcast::models::testing
