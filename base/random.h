// Random numbers without state: every draw is a pure function of a key and a counter (Philox4x32-10,
// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), and permutations without tables.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace shelfcast {

// One Philox4x32-10 block: four 32-bit words from a 64-bit key and a 128-bit counter.
inline std::array<std::uint32_t, 4> philox(std::uint64_t key, std::array<std::uint32_t, 4> counter) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// Mixes two 64-bit words into one (used to derive keys: mix(mix(seed, step), sample)). SplitMix64 finalizer.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// A key from a name, so that sites ("encoder.0.dropout", "price") draw independently. FNV-1a, then mixed.
inline std::uint64_t key_of(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return mix(hash, 0);
}

// A stream of draws at (key, counter): random access by position, no hidden state shared between streams.
class RandomStream {
 public:
  explicit RandomStream(std::uint64_t key, std::uint64_t counter = 0) : key_(key), counter_(counter) {}

  // Uniform 32-bit word.
  std::uint32_t bits() {
    if (next_ == 4) {
      block_ = philox(
          key_, {static_cast<std::uint32_t>(counter_), static_cast<std::uint32_t>(counter_ >> 32), 0, 0});
      ++counter_;
      next_ = 0;
    }
    return block_[next_++];
  }
  // Uniform in (0, 1), never 0 or 1.
  double uniform() {
    const std::uint64_t high = bits(), low = bits();
    // 52 bits and a half: with 53 the largest draw would round to 1.
    return (static_cast<double>((high << 20) ^ (low >> 12)) + 0.5) * 0x1p-52;
  }
  // Uniform integer in [0, n), n >= 1.
  std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>(uniform() * static_cast<double>(n));
  }
  // Standard normal (Box-Muller; one of the pair is dropped so that draws stay countable).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
  // Gamma with shape > 0 and scale 1 (Marsaglia and Tsang, 2000).
  double gamma(double shape);
  // Poisson with mean >= 0.
  std::int64_t poisson(double mean);

 private:
  std::uint64_t key_, counter_;
  std::array<std::uint32_t, 4> block_{};
  int next_ = 4;
};

// A permutation of [0, size) addressed by position: a 4-round Feistel network over the next power of four
// (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002), cycle-walked into the domain.
// No table is stored, so a position of a 10^12-window epoch costs the same as the first.
class KeyedPermutation {
 public:
  // size >= 1.
  KeyedPermutation(std::uint64_t key, std::uint64_t size);
  // The element at `position` in [0, size).
  std::uint64_t operator()(std::uint64_t position) const;
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t encrypt(std::uint64_t value) const;
  std::uint64_t key_, size_;
  int half_bits_;
};

}  // namespace shelfcast
