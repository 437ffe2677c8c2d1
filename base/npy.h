// NumPy's .npy files: one float32 array, readable by numpy.load, also memory-mapped.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace shelfcast {

// Writes `values`, row-major with this shape, atomically. Throws Error(io).
void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape);

}  // namespace shelfcast
