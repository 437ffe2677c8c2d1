// Weights by name and shape, with nothing missing and nothing left over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/safetensors.h"

namespace shelfcast::scorer {

// One safetensors file, read tensor by tensor from its memory map.
class Weights {
 public:
  explicit Weights(const std::filesystem::path& path) : file_(path) {}

  // The tensor as float32. Throws Error(data) naming the file, the tensor and what is wrong with it.
  std::vector<float> take(const std::string& name, const std::vector<std::int64_t>& shape);
  // Shape of a tensor; throws as take().
  const std::vector<std::int64_t>& shape(const std::string& name) const { return file_.at(name).shape; }
  // Tensors that are there but do not reach the forecast.
  void ignore(const std::string& name) { taken_.insert(name); }
  // Throws Error(data) naming a tensor that nobody took: the model is not the one this forward computes.
  void check_all_taken() const;

 private:
  SafetensorsFile file_;
  std::set<std::string> taken_;
};

}  // namespace shelfcast::scorer
