// Low-rank adapters on a model's matrices: attached, merged, to and from the files of the PEFT package.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/adapters/lora_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Adapters' own parameters are named after their matrix: "NAME.lora_A.weight" [rank, in] and
// "NAME.lora_B.weight" [out, rank].
bool is_adapter(const Parameter& parameter);

// Puts an adapter on every matrix of `parameters` that config.targets names (names are read without `prefix`,
// those without it are left alone) and returns the parameters with the adapters' behind the matrices they
// change. B starts at zero, so that the model computes what it did; A is drawn by `make` with the variance
// that PEFT gives it. Throws Error(input) for a target or a module to save that no parameter has, with the
// nearest names, before anything is changed.
std::vector<Parameter> attach_lora(const std::vector<Parameter>& parameters, const std::string& prefix,
                                   const LoraConfig& config, ParameterMaker& make);

// Adds what adapters do to the matrices themselves (W + scale * B A in float32, as PEFT does), takes them off
// and returns the parameters without them.
std::vector<Parameter> merge_lora(const std::vector<Parameter>& parameters);

// Whether the whole of this parameter is trained beside the adapters.
bool is_saved_module(const Parameter& parameter, const std::string& prefix, const LoraConfig& config);

// ---- files: adapter_config.json and adapter_model.safetensors

// What names a base model whatever files it lies in: a digest of its tensors' names, shapes and values.
std::string base_digest(const std::filesystem::path& weights);

// The configuration in `folder`. Where its targets are not a list of short names (a pattern, "all-linear"),
// or match other modules than the file has, targets become the modules of the file. Throws Error(io) or
// Error(data).
LoraConfig read_lora_config(const std::filesystem::path& folder);

// Copies the values of `folder` into the adapters (and the modules to save) of `parameters`, to which
// read_lora_config(folder) was attached. `digest`: base_digest of the model's base. Throws Error(data) naming
// the tensor that is missing, surplus or misshapen, or when the file was made for a base with another digest.
void load_lora(const std::filesystem::path& folder, const std::vector<Parameter>& parameters,
               const std::string& prefix, const LoraConfig& config, const std::string& digest);

// Writes a folder that PEFT's from_pretrained reads; `values` may be any that have the parameters' names.
// `base`: where the base model lies. Throws Error(io).
void save_lora(const std::filesystem::path& folder, const std::vector<Parameter>& values,
               const std::string& prefix, const LoraConfig& config, const std::string& base,
               const std::string& digest);

}  // namespace shelfcast::models
