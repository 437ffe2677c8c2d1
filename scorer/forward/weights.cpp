#include "scorer/forward/weights.h"

#include <fmt/ranges.h>

#include "base/error.h"

namespace shelfcast::scorer {

std::vector<float> Weights::take(const std::string& name, const std::vector<std::int64_t>& shape) {
  const StoredTensor& tensor = file_.at(name);
  if (tensor.shape != shape)
    throw data_error(fmt::format("tensor {} of {} has shape [{}]", name, file_.path().string(),
                                 fmt::join(tensor.shape, ", ")),
                     fmt::format("model.json asks for [{}]", fmt::join(shape, ", ")),
                     "export the bundle again");
  taken_.insert(name);
  return tensor.to_float();
}

void Weights::check_all_taken() const {
  for (const auto& [name, tensor] : file_.tensors())
    if (!taken_.contains(name))
      throw data_error(
          fmt::format("tensor {} of {} belongs to another kind of model", name, file_.path().string()), {},
          "update shelfcast-score, or export the bundle again");
}

}  // namespace shelfcast::scorer
