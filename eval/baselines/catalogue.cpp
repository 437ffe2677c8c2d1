#include "eval/baselines/catalogue.h"

#include <algorithm>

#include "base/error.h"
#include "eval/baselines/learned/learned.h"
#include "eval/baselines/methods.h"

namespace shelfcast::eval {

std::vector<std::string> baseline_names() {
  std::vector<std::string> names = method_names();
  for (const LearnedMethod& method : learned_methods()) names.push_back(method.name);
  return names;
}

BaselineText describe_baseline(const std::string& name, std::int64_t window) {
  if (const auto learned = std::ranges::find(learned_methods(), name, &LearnedMethod::name);
      learned != learned_methods().end())
    return {learned->label, learned->about};
  const auto method = std::ranges::find(statistical_methods(), name, &NamedMethod::name);
  SHELFCAST_ASSERT(method != statistical_methods().end());
  return {label_of(*method, window), method->about};
}

}  // namespace shelfcast::eval
