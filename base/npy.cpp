#include "base/npy.h"

#include <bit>
#include <functional>
#include <numeric>
#include <string>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast {

void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape) {
  static_assert(std::endian::native == std::endian::little, "the header says little-endian");
  SHELFCAST_ASSERT(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()) ==
                   static_cast<std::int64_t>(values.size()));
  std::string dimensions;
  for (const std::int64_t one : shape) dimensions += fmt::format("{}, ", one);
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dimensions);
  // Magic, version and length are 10 bytes; the whole is a multiple of 64 and ends with a newline.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(length & 0xFF);
  start += static_cast<char>(length >> 8);
  AtomicFile file(path);
  file.write(start + header);
  file.write({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  file.commit();
}

}  // namespace shelfcast
