#include "models/adapters/rank_allocator.h"

#include <cmath>

#include "base/error.h"

namespace shelfcast::models {
namespace {

// A A^T - I of rows, or B^T B - I of columns.
at::Tensor beyond_identity(const at::Tensor& a) { return at::mm(a, a.t()) - at::eye(a.size(0), a.options()); }

at::Tensor gradient_in(const at::Tensor& tensor) {
  at::Tensor& gradient = tensor.mutable_grad();
  if (!gradient.defined()) gradient = at::zeros_like(tensor);
  return gradient;
}

}  // namespace

RankAllocator::RankAllocator(const std::vector<Parameter>& parameters, const LoraConfig& config)
    : config_(config) {
  SHELFCAST_ASSERT(config.budget && config.budget->steps > 0);
  std::int64_t elements = 0;
  std::vector<Parameter> own;
  for (const Parameter& parameter : parameters) {
    const auto* adapter = parameter.slot ? std::get_if<LowRank>(parameter.slot.get()) : nullptr;
    if (adapter == nullptr) continue;
    const std::int64_t count = adapter->e.numel(), a_at = elements, e_at = a_at + adapter->a.numel(),
                       b_at = e_at + count;
    matrices_.push_back({adapter->a, adapter->e, adapter->b, all_, count, a_at, e_at, b_at});
    own.push_back({adapter->name + ".lora_A", adapter->a});
    own.push_back({adapter->name + ".lora_E", adapter->e});
    own.push_back({adapter->name + ".lora_B", adapter->b});
    elements = b_at + adapter->b.numel();
    all_ += count;
  }
  SHELFCAST_ASSERT(!matrices_.empty());
  const at::TensorOptions where = matrices_.front().a.options();
  sensitivity_ = at::zeros({elements}, where);
  uncertainty_ = at::zeros({elements}, where);
  gradients_ = at::zeros({elements}, where);
  kept_ = at::ones({all_}, where.dtype(at::kBool));
  state_ = {{"sensitivity", sensitivity_, own}, {"uncertainty", uncertainty_, own}};
}

double RankAllocator::distance_from_orthogonal() const {
  double sum = 0;
  for (const Triplets& m : matrices_)
    for (const at::Tensor& rows : {m.a.detach(), m.b.detach().t()})
      sum += beyond_identity(rows).norm().item<double>();
  return sum / static_cast<double>(2 * matrices_.size());
}

// d|C| = 2 <C A, dA> / |C| with C = A A^T - I.
void RankAllocator::pull(double weight) {
  const at::NoGradGuard no_grad;
  const double each = weight * config_.budget->orthogonal / static_cast<double>(2 * matrices_.size());
  const auto add = [&](const at::Tensor& rows, at::Tensor gradient) {
    const at::Tensor beyond = beyond_identity(rows);
    const at::Tensor norm = beyond.norm();
    gradient.add_(at::mm(beyond, rows) * at::where(norm > 0, 2.0 * each / norm, at::zeros_like(norm)));
  };
  for (const Triplets& m : matrices_) {
    add(m.a.detach(), gradient_in(m.a));
    add(m.b.detach().t(), gradient_in(m.b).t());
  }
}

void RankAllocator::remember_gradients(double scale) {
  const at::NoGradGuard no_grad;
  for (const Triplets& m : matrices_)
    for (const auto& [tensor, at] : {std::pair(m.a, m.a_at), std::pair(m.e, m.e_at), std::pair(m.b, m.b_at)})
      gradients_.narrow(0, at, tensor.numel()).copy_(gradient_in(tensor).flatten()).mul_(scale);
}

bool RankAllocator::allocate(std::int64_t step) {
  const at::NoGradGuard no_grad;
  const RankBudget& budget = *config_.budget;
  const bool last = step >= budget.steps - budget.final;
  // From the last cut on importances stay as they are, so that choosing again is choosing the same.
  if (!last) update_importance();
  if (!last && (step <= budget.warmup || step % budget.every != 0)) return false;
  choose(this->budget(step));
  cut();
  return true;
}

std::int64_t RankAllocator::budget(std::int64_t step) const {
  const RankBudget& own = *config_.budget;
  const std::int64_t target = own.target * static_cast<std::int64_t>(matrices_.size());
  const std::int64_t last = own.steps - own.final;
  if (step <= own.warmup || target >= all_) return all_;
  if (step >= last) return target;
  const double left = 1.0 - static_cast<double>(step - own.warmup) / static_cast<double>(last - own.warmup);
  return static_cast<std::int64_t>(static_cast<double>(all_ - target) * left * left * left +
                                   static_cast<double>(target));
}

void RankAllocator::update_importance() {
  std::vector<at::Tensor> weights;
  for (const Triplets& m : matrices_)
    for (const at::Tensor& tensor : {m.a, m.e, m.b}) weights.push_back(tensor.flatten());
  const RankBudget& budget = *config_.budget;
  const at::Tensor now = (at::cat(weights) * gradients_).abs();
  sensitivity_.mul_(budget.beta1).add_(now, 1.0 - budget.beta1);
  uncertainty_.mul_(budget.beta2).add_((now - sensitivity_).abs(), 1.0 - budget.beta2);
}

at::Tensor RankAllocator::importance() const {
  const at::Tensor elements = sensitivity_ * uncertainty_;
  std::vector<at::Tensor> parts;
  for (const Triplets& m : matrices_) {
    const auto of = [&](const at::Tensor& tensor, std::int64_t at) {
      return elements.narrow(0, at, tensor.numel()).view(tensor.sizes());
    };
    parts.push_back(of(m.e, m.e_at).view({m.count}) + (of(m.a, m.a_at).mean(1) + of(m.b, m.b_at).mean(0)));
  }
  return at::cat(parts);
}

// All that are not above the most important of those to go.
void RankAllocator::choose(std::int64_t budget) {
  const std::int64_t to_go = all_ - budget;
  const at::Tensor scores = importance();
  // Before anything was learned nothing is less important than the rest.
  if (to_go <= 0 || scores.max().item<float>() == 0.0F) {
    kept_.fill_(true);
    return;
  }
  kept_ = scores > std::get<0>(at::kthvalue(scores, to_go));
}

void RankAllocator::cut() const {
  const at::NoGradGuard no_grad;
  for (const Triplets& m : matrices_)
    at::Tensor(m.e).masked_fill_(at::logical_not(kept_.narrow(0, m.at, m.count)).view({m.count, 1}), 0.0);
}

}  // namespace shelfcast::models
