// Numbers of 16 bits with the exponents of float32 and 8 bits of precision: what gradients may travel as.
#pragma once

#include <bit>
#include <cstdint>

namespace shelfcast::parallel {

// The upper half of a float32. Laid out as LibTorch's and CUDA's.
struct BFloat16 {
  std::uint16_t bits = 0;
  bool operator==(const BFloat16&) const = default;
};

inline float to_float(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

// To the nearest, ties to even; so the relative error is at most 2^-8. What is not a number stays so.
inline BFloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

// What gradients travel as. bf16 halves the bytes and rounds every gradient, and every sum, to 8 bits.
enum class GradientFormat { fp32, bf16 };

}  // namespace shelfcast::parallel
