#include "eval/keyed_sums.h"

#include <algorithm>

#include "base/error.h"

namespace shelfcast::eval {

KeyedSums::KeyedSums(std::size_t keys, std::size_t width)
    : width_(width), sums_(keys * width), touched_(keys) {}

std::span<const double> KeyedSums::operator[](std::size_t key) const {
  return std::span(sums_).subspan(key * width_, width_);
}

void KeyedSums::add(std::size_t key, std::span<const double> values) {
  SHELFCAST_ASSERT(key < keys() && values.size() == width_);
  touched_[key] = 1;
  double* sums = sums_.data() + key * width_;
  for (std::size_t i = 0; i < width_; ++i) sums[i] += values[i];
}

void KeyedSums::merge(const KeyedSums& part) {
  SHELFCAST_ASSERT(part.keys() == keys() && part.width_ == width_);
  for (std::size_t key = 0; key < keys(); ++key)
    if (part.touched_[key] != 0) add(key, part[key]);
}

void KeyedSums::pack(std::vector<double>& out) const {
  out.insert(out.end(), {static_cast<double>(keys()), static_cast<double>(width_),
                         static_cast<double>(std::ranges::count(touched_, 1))});
  for (std::size_t key = 0; key < keys(); ++key) {
    if (touched_[key] == 0) continue;
    out.push_back(static_cast<double>(key));
    const std::span<const double> sums = (*this)[key];
    out.insert(out.end(), sums.begin(), sums.end());
  }
}

KeyedSums KeyedSums::unpack(std::span<const double>& in) {
  SHELFCAST_ASSERT(in.size() >= 3);
  KeyedSums sums(static_cast<std::size_t>(in[0]), static_cast<std::size_t>(in[1]));
  const auto touched = static_cast<std::size_t>(in[2]);
  in = in.subspan(3);
  SHELFCAST_ASSERT(in.size() >= touched * (1 + sums.width_));
  for (std::size_t i = 0; i < touched; ++i) {
    sums.add(static_cast<std::size_t>(in[0]), in.subspan(1, sums.width_));
    in = in.subspan(1 + sums.width_);
  }
  return sums;
}

}  // namespace shelfcast::eval
