// Ranks that must have been started alike.
#pragma once

#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace shelfcast::trainer {

// Something every rank must have the same of: {"recipe", "data.context: 28\n..."}.
struct SharedFact {
  std::string what, value;
};

// Throws Error(input) on every rank when some rank differs from rank 0, naming the rank, its host and the
// first line that differs. Collective.
void check_agreement(const std::vector<SharedFact>& facts, parallel::Communicator& communicator);

// "lr: 0.001 (theirs), lr: 0.002 (ours)": the first line in which two texts differ, "" when they do not.
std::string first_difference(const std::string& theirs, const std::string& ours, const std::string& there,
                             const std::string& here);

}  // namespace shelfcast::trainer
