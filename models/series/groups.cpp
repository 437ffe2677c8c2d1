#include "models/series/groups.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "base/error.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

using Rows = std::vector<std::int64_t>;

std::vector<Rows> groups_of(std::int64_t rows, const at::Tensor& ids_b) {
  const at::Tensor ids = ids_b.to(at::kCPU, at::kLong).contiguous();
  SHELFCAST_ASSERT(ids.dim() == 1 && ids.size(0) == rows);
  std::unordered_map<std::int64_t, std::size_t> place;
  std::vector<Rows> groups;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto [found, fresh] = place.emplace(ids.const_data_ptr<std::int64_t>()[row], groups.size());
    if (fresh) groups.emplace_back();
    groups[found->second].push_back(row);
  }
  return groups;
}

}  // namespace

GroupPlan GroupPlan::of(std::int64_t rows, const at::Tensor& ids_b, const std::vector<std::int64_t>& ranks) {
  GroupPlan plan;
  if (!ids_b.defined()) {
    plan.order.resize(static_cast<std::size_t>(rows));
    std::iota(plan.order.begin(), plan.order.end(), 0);
    plan.classes.push_back({0, rows, 1});
    return plan;
  }
  std::vector<Rows> groups = groups_of(rows, ids_b);
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Rows& a, const Rows& b) { return a.size() < b.size(); });
  for (Rows& group : groups) {
    if (!ranks.empty()) {
      std::stable_sort(group.begin(), group.end(), [&ranks](std::int64_t a, std::int64_t b) {
        return ranks[static_cast<std::size_t>(a)] < ranks[static_cast<std::size_t>(b)];
      });
    }
    const auto size = static_cast<std::int64_t>(group.size());
    if (plan.classes.empty() || plan.classes.back().size != size) {
      plan.classes.push_back({static_cast<std::int64_t>(plan.order.size()), 0, size});
    }
    ++plan.classes.back().count;
    plan.order.insert(plan.order.end(), group.begin(), group.end());
  }
  plan.as_given = std::is_sorted(plan.order.begin(), plan.order.end());
  return plan;
}

at::Tensor GroupPlan::arrange(const at::Tensor& x) const {
  return as_given || !x.defined() ? x : x.index_select(0, sent(order, x.device()));
}

at::Tensor GroupPlan::restore(const at::Tensor& x) const {
  if (as_given) return x;
  Rows place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    place[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return x.index_select(0, sent(place, x.device()));
}

}  // namespace shelfcast::models
