// What a run was made with: stored beside its results.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "parallel/communicator.h"
#include "trainer/recipe/recipe.h"

namespace shelfcast::trainer {

// Host, CPU, device (the GPU's name, or "cpu"), cores, memory, build, library versions, ranks:
// environment.json.
nlohmann::json describe_environment(const parallel::Communicator& communicator, const std::string& device);

// What the last bits of a run depend on, `bucket_mb` being the size in use; stored in every checkpoint and
// compared at resume.
nlohmann::json bit_conditions(const Recipe& recipe, const parallel::Communicator& communicator,
                              const std::string& device, std::int64_t bucket_mb);

}  // namespace shelfcast::trainer
