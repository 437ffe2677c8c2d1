// Low-rank adapters on a model's matrices: attached and merged.
#pragma once

#include <string>
#include <vector>

#include "models/adapters/lora_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Puts an adapter on every matrix of `parameters` that config.targets names (names are read without `prefix`,
// those without it are left alone) and returns the parameters with the adapters' behind the matrices they
// change, named after them: "NAME.lora_A.weight" [rank, in] and "NAME.lora_B.weight" [out, rank]. B starts at
// zero, so that the model computes what it did; A is drawn by `make` with the variance that PEFT gives it.
// With a budget (AdaLoRA) they are "NAME.lora_A" [rank, in], "NAME.lora_E" [rank, 1], which starts at zero in
// B's place, and "NAME.lora_B" [out, rank]. Throws Error(input) for a target or a module to save that no
// parameter has, with the nearest names, before anything is changed.
std::vector<Parameter> attach_lora(const std::vector<Parameter>& parameters, const std::string& prefix,
                                   const LoraConfig& config, ParameterMaker& make);

// Adds what adapters do to the matrices themselves (W + scale * B A in float32, as PEFT does), takes them off
// and returns the parameters without them.
std::vector<Parameter> merge_lora(const std::vector<Parameter>& parameters);

}  // namespace shelfcast::models
