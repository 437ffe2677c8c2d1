#include "trainer/sweep/sobol.h"

#include <array>

#include "base/error.h"

namespace shelfcast::trainer {
namespace {

// A primitive polynomial and the direction numbers it starts from, as in the published table: degree, inner
// coefficients as bits, first numbers. The first dimension needs none.
struct Polynomial {
  int degree;
  std::uint32_t coefficients;
  std::array<std::uint32_t, 7> first;
};
constexpr std::array<Polynomial, kSobolDimensions - 1> kPolynomials = {{
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
    {7, 7, {1, 1, 3, 13, 7, 35, 63}},
    {7, 8, {1, 3, 5, 9, 1, 25, 53}},
    {7, 14, {1, 3, 1, 13, 9, 35, 107}},
}};

std::array<std::uint32_t, 32> direction_numbers(int dimension) {
  std::array<std::uint32_t, 32> v{};
  if (dimension == 0) {
    for (int i = 0; i < 32; ++i) v[i] = std::uint32_t{1} << (31 - i);
    return v;
  }
  const Polynomial& p = kPolynomials[static_cast<std::size_t>(dimension - 1)];
  for (int i = 0; i < 32; ++i) {
    if (i < p.degree) {
      v[i] = p.first[i] << (31 - i);
      continue;
    }
    v[i] = v[i - p.degree] ^ (v[i - p.degree] >> p.degree);
    for (int k = 1; k < p.degree; ++k)
      if ((p.coefficients >> (p.degree - 1 - k)) & 1) v[i] ^= v[i - k];
  }
  return v;
}

}  // namespace

std::uint32_t sobol(std::uint32_t index, int dimension) {
  SHELFCAST_ASSERT(dimension >= 0 && dimension < kSobolDimensions);
  const auto v = direction_numbers(dimension);
  std::uint32_t gray = index ^ (index >> 1), value = 0;
  for (int i = 0; gray != 0; gray >>= 1, ++i)
    if (gray & 1) value ^= v[i];
  return value;
}

}  // namespace shelfcast::trainer
