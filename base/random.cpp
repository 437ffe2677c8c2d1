#include "base/random.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/log_gamma.h"

namespace shelfcast {
namespace {

double log_factorial(double n) { return log_gamma(n + 1.0); }

// Transformed rejection (Hoermann, "The transformed rejection method for generating Poisson random
// variables", 1993, algorithm PTRS), for mean >= 10.
std::int64_t poisson_by_rejection(RandomStream& stream, double mean) {
  const double log_mean = std::log(mean);
  const double b = 0.931 + 2.53 * std::sqrt(mean);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double v_r = 0.9277 - 3.6224 / (b - 2.0);
  while (true) {
    const double u = stream.uniform() - 0.5;
    const double v = stream.uniform();
    const double us = 0.5 - std::abs(u);
    const double k = std::floor((2.0 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= v_r) return static_cast<std::int64_t>(k);
    if (k < 0.0 || (us < 0.013 && v > us)) continue;
    if (std::log(v) + std::log(inverse_alpha) - std::log(a / (us * us) + b) <=
        k * log_mean - mean - log_factorial(k))
      return static_cast<std::int64_t>(k);
  }
}

// Products of uniforms until they fall below exp(-mean) (Knuth), for small means.
std::int64_t poisson_by_products(RandomStream& stream, double mean) {
  const double floor = std::exp(-mean);
  std::int64_t count = 0;
  for (double product = stream.uniform(); product > floor; product *= stream.uniform()) ++count;
  return count;
}

}  // namespace

double RandomStream::gamma(double shape) {
  SHELFCAST_ASSERT(shape > 0.0);
  // Below 1, draw at shape + 1 and scale back (Marsaglia and Tsang, section 6).
  if (shape < 1.0) {
    const double larger = gamma(shape + 1.0);
    return larger * std::pow(uniform(), 1.0 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double t = 1.0 + c * x;
    if (t <= 0.0) continue;
    const double v = t * t * t;
    if (std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

std::int64_t RandomStream::poisson(double mean) {
  SHELFCAST_ASSERT(mean >= 0.0 && std::isfinite(mean));
  if (mean == 0.0) return 0;
  return mean < 10.0 ? poisson_by_products(*this, mean) : poisson_by_rejection(*this, mean);
}

KeyedPermutation::KeyedPermutation(std::uint64_t key, std::uint64_t size) : key_(key), size_(size) {
  SHELFCAST_ASSERT(size >= 1);
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(size - 1)) + 1) / 2);
}

std::uint64_t KeyedPermutation::operator()(std::uint64_t position) const {
  SHELFCAST_ASSERT(position < size_);
  // The walk ends: encrypt is a bijection of at most four times the domain, and the domain contains where we
  // started.
  do {
    position = encrypt(position);
  } while (position >= size_);
  return position;
}

std::uint64_t KeyedPermutation::encrypt(std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (std::uint64_t round = 0; round < 4; ++round) {
    const std::uint64_t next = left ^ (mix(mix(key_, round), right) & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

}  // namespace shelfcast
