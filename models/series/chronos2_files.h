// Chronos-2 in the form it is published in: a folder with config.json and model.safetensors.
#pragma once

#include <filesystem>
#include <vector>

#include "models/series/chronos2.h"

namespace shelfcast::models {

// A tower by itself, with its parameters under their published names.
struct Chronos2Model {
  Chronos2 tower;
  std::vector<Parameter> parameters;
};

// First values drawn by (seed, name). Throws Error(input) for the config.
Chronos2Model make_chronos2(const Chronos2Config& config, std::uint64_t seed);

// Throws Error(io) or Error(data) naming the file and the missing, surplus or misshapen tensor or the field.
Chronos2Model load_chronos2(const std::filesystem::path& folder);

// config.json alone. Throws the same.
Chronos2Config read_chronos2_config(const std::filesystem::path& folder);

// Writes a folder that the reference package loads. Tensors are those of `parameters` whose names begin with
// `prefix`, which the file's names lack. Throws Error(io).
void save_chronos2(const std::filesystem::path& folder, const Chronos2Config& config,
                   const std::vector<Parameter>& parameters, const std::string& prefix = "");

}  // namespace shelfcast::models
