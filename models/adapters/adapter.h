// Adapters of any kind: attached to a model, merged, to and from the files of the PEFT package.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/adapters/adapter_config.h"
#include "models/blocks.h"

namespace shelfcast::models {

// Puts the adapter on what it names of `parameters` (lora.h, bottleneck.h, prefix.h) and returns them with
// its own, which are marked as such.
std::vector<Parameter> attach_adapter(const std::vector<Parameter>& parameters, const std::string& prefix,
                                      const AdapterConfig& config, ParameterMaker& make);

// ---- files: adapter_config.json and adapter_model.safetensors

// What names a base model whatever files it lies in: a digest of its tensors' names, shapes and values.
std::string base_digest(const std::filesystem::path& weights);

// The configuration in `folder`. Where LoRA's targets are not a list of short names (a pattern,
// "all-linear"), or match other modules than the file has, targets become the modules of the file. Throws
// Error(io) or Error(data).
AdapterConfig read_adapter_config(const std::filesystem::path& folder);

// What the adapter in `folder` calls its base (the last part of the name) where it holds no digest of it, as
// those of PEFT; else, or without such a name, empty. Throws as read_adapter_config.
std::string unchecked_base(const std::filesystem::path& folder);

// Copies the values of `folder` into the adapter (and the modules to save) of `parameters`, to which
// read_adapter_config(folder) was attached. `digest`: base_digest of the model's base. Throws Error(data)
// naming the tensor that is missing, surplus or misshapen, or when the file was made for a base with another
// digest.
void load_adapter(const std::filesystem::path& folder, const std::vector<Parameter>& parameters,
                  const std::string& prefix, const AdapterConfig& config, const std::string& digest);

// Writes such a folder; one of a LoRA adapter is read by PEFT's from_pretrained. `values` may be any that
// have the parameters' names. `base`: where the base model lies. Throws Error(io).
void save_adapter(const std::filesystem::path& folder, const std::vector<Parameter>& values,
                  const std::string& prefix, const AdapterConfig& config, const std::string& base,
                  const std::string& digest);

}  // namespace shelfcast::models
