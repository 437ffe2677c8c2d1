// Where a parameter lies in the flat buffers. Apart from them, so that code without LibTorch can read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shelfcast::parallel {

// One parameter's place: elements [offset, offset + elements) of the flat buffers.
struct FlatRange {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0, elements = 0;
  double lr_scale = 1.0;
  bool decay = true;
};

}  // namespace shelfcast::parallel
