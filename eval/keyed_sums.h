// Sums by a number of keys, of which one batch touches few: by category and date, by promotion, by price.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace shelfcast::eval {

// `width` doubles for each of `keys` keys, all 0 at first. Parts of batches are added in batch order, like
// ErrorTable's. Memory is O(keys x width); only touched keys travel between ranks.
class KeyedSums {
 public:
  KeyedSums() = default;
  KeyedSums(std::size_t keys, std::size_t width);

  std::size_t keys() const { return touched_.size(); }
  std::size_t width() const { return width_; }
  std::span<const double> operator[](std::size_t key) const;
  void add(std::size_t key, std::span<const double> values);
  // Of the same shape.
  void merge(const KeyedSums& part);

  // As plain doubles for the other ranks: appended to `out`, and taken off the front of `in`.
  void pack(std::vector<double>& out) const;
  static KeyedSums unpack(std::span<const double>& in);

 private:
  std::size_t width_ = 0;
  std::vector<double> sums_;
  std::vector<std::uint8_t> touched_;
};

}  // namespace shelfcast::eval
