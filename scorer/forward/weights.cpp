#include "scorer/forward/weights.h"

#include <fmt/ranges.h>

#include "base/error.h"

namespace shelfcast::scorer {

std::vector<float> Weights::take(const std::string& name, const std::vector<std::int64_t>& shape) {
  const StoredTensor& tensor = stored_.at(name);
  if (tensor.shape != shape)
    throw data_error(fmt::format("tensor {} of {} has shape [{}]", name, stored_.path().string(),
                                 fmt::join(tensor.shape, ", ")),
                     fmt::format("{} asks for [{}]", origin_.config, fmt::join(shape, ", ")), origin_.advice);
  taken_.insert(name);
  std::vector<float> values = tensor.to_float();
  stored_.release(tensor);
  return values;
}

void Weights::check_all_taken() const {
  for (const auto& [name, tensor] : stored_.tensors())
    if (!taken_.contains(name))
      throw data_error(
          fmt::format("tensor {} of {} belongs to another kind of model", name, stored_.path().string()), {},
          "update shelfcast-score, or " + origin_.advice);
}

}  // namespace shelfcast::scorer
