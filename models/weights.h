// Weight files: parameters to and from safetensors, with every tensor of the file accounted for.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/blocks.h"

namespace shelfcast::models {

// Copies the tensors (any floating type) of a file or of a published folder (StoredWeights) into those of
// `parameters` whose names begin with `prefix`, which the stored names lack. Names in `ignored` may be there.
// Throws Error(data) naming the tensor: missing, surplus, misshapen (nothing has been changed then) or not
// finite.
void load_weights(const std::filesystem::path& file_or_folder, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const std::vector<std::string>& ignored = {});

// How a file may name its tensors.
struct TensorNames {
  std::function<std::string(const std::string&)> canonical;  // stored name -> the model's, without a prefix
  std::function<bool(const std::string&)> may_be_left_over;  // of canonical names
};
// The same for files with other names. Two that mean one tensor are an error, too.
void load_weights(const std::filesystem::path& file_or_folder, const std::string& prefix,
                  const std::vector<Parameter>& parameters, const TensorNames& names);

// Writes, atomically, the parameters whose names begin with `prefix`, without it; `notes` go into the file's
// metadata. Throws Error(io).
void save_weights(const std::filesystem::path& file, const std::string& prefix,
                  const std::vector<Parameter>& parameters,
                  const std::map<std::string, std::string>& notes = {});

}  // namespace shelfcast::models
