// Where adapters go: modules of a model by the ends of their names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/blocks.h"

namespace shelfcast::models {

// "encoder.block.0.layer.0.SelfAttention.q" of a parameter's name; "" where it is none of the prefix' own or
// belongs to an adapter.
std::string module_of(const Parameter& parameter, const std::string& prefix);

// Whether some of these short names means the module (module_matches).
bool is_named(const std::string& module, const std::vector<std::string>& short_names);

// Throws Error(input), with the nearest, for a short name that means none of `modules`. `field`: the recipe's
// key that holds it.
void require_modules(const char* field, const std::vector<std::string>& short_names,
                     const std::vector<std::string>& modules);
// The same for modules trained whole, which may hold others ("output_patch_embedding").
void require_modules_to_save(const std::vector<Parameter>& parameters, const std::string& prefix,
                             const std::vector<std::string>& short_names);

// Whether the parameter lies in a module that one of these short names means.
bool is_saved_module(const Parameter& parameter, const std::string& prefix,
                     const std::vector<std::string>& short_names);

// The parameters with those behind them that `put` makes, by `make`, for each matrix that the short names
// mean and that is not trained whole. `put` fills the matrix' slot.
std::vector<Parameter> attach_to_matrices(
    const std::vector<Parameter>& parameters, const std::string& prefix,
    const std::vector<std::string>& short_names, const std::vector<std::string>& modules_to_save,
    ParameterMaker& make, const std::function<void(const Parameter& matrix, const std::string& module)>& put);

}  // namespace shelfcast::models
