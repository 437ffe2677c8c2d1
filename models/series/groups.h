// Which series of a batch exchange information, put in an order in which groups of one size follow each
// other.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace shelfcast::models {

// `count` groups of `size` series each, from row `first` of the plan's order on; a group's series follow each
// other.
struct GroupClass {
  std::int64_t first, count, size;
  std::int64_t rows() const { return count * size; }
};

struct GroupPlan {
  std::vector<std::int64_t> order;  // row of the batch that stands at each place
  std::vector<GroupClass> classes;  // ascending sizes
  bool as_given = true;             // `order` is 0, 1, 2, ...

  // Rows with equal ids are a group, wherever they stand. Groups of one size come in the order of their first
  // rows. Inside a group rows keep their order, or with `ranks` (one a row) come in that of their ranks: so
  // that what is drawn for a group does not depend on how the batch is ordered. `ids` undefined = every row
  // alone.
  static GroupPlan of(std::int64_t rows, const at::Tensor& ids_b,
                      const std::vector<std::int64_t>& ranks = {});

  // Rows of `x` in the plan's order, and back.
  at::Tensor arrange(const at::Tensor& x) const;
  at::Tensor restore(const at::Tensor& x) const;
};

}  // namespace shelfcast::models
