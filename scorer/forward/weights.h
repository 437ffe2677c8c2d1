// Weights by name and shape, with nothing missing and nothing left over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/safetensors.h"

namespace shelfcast::scorer {

// Where shapes come from, and what to do when a tensor has another one: parts of messages.
struct Origin {
  std::string config = "model.json";
  std::string advice = "export the bundle again";
};

// A safetensors file, or a published folder with one or its shards; read tensor by tensor from memory maps.
class Weights {
 public:
  explicit Weights(const std::filesystem::path& file_or_folder, Origin origin = {})
      : stored_(file_or_folder), origin_(std::move(origin)) {}

  // The tensor as float32. Throws Error(data) naming the file, the tensor and what is wrong with it.
  std::vector<float> take(const std::string& name, const std::vector<std::int64_t>& shape);
  // Shape of a tensor; throws as take().
  const std::vector<std::int64_t>& shape(const std::string& name) const { return stored_.at(name).shape; }
  // Tensors that are there but do not reach the forecast.
  void ignore(const std::string& name) { taken_.insert(name); }
  // Throws Error(data) naming a tensor that nobody took: the model is not the one this forward computes.
  void check_all_taken() const;

 private:
  StoredWeights stored_;
  Origin origin_;
  std::set<std::string> taken_;
};

}  // namespace shelfcast::scorer
