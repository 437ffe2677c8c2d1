#include "models/dropout.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "models/standing_transfers.h"
#include "models/threads.h"
#include "models/transfer.h"

namespace shelfcast::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kElementGrain =
    32768;  // elements below which a second thread costs more than it saves

// Elements of one window, and windows a thread should take at least.
struct Layout {
  std::int64_t windows, elements, grain;
};

Layout layout(const at::Tensor& x, const SiteDropout& site) {
  const auto windows = static_cast<std::int64_t>(site.keys_b.size());
  SHELFCAST_ASSERT(windows > 0 && x.numel() % windows == 0);
  const std::int64_t elements = x.numel() / windows;
  return {windows, elements, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, elements))};
}

at::Tensor keep_of(const at::Tensor& x, const SiteDropout& site) {
  return site.keep_mask(layout(x, site).elements, x.device()).view(x.sizes());
}

// dy * keep * scale.
at::Tensor masked_gradient(const at::Tensor& dy_any, const at::Tensor& keep, float scale) {
  if (!fits_kernels(dy_any)) return dy_any * keep * scale;
  const at::Tensor dy = dy_any.contiguous(), dx = at::empty_like(dy);
  const float* from = dy.const_data_ptr<float>();
  const std::uint8_t* mask = keep.const_data_ptr<std::uint8_t>();
  float* to = dx.mutable_data_ptr<float>();
  parallel_for(dy.numel(), kElementGrain, [&](std::int64_t first, std::int64_t last) {
    kernels().dropout_backward(scale, last - first, from + first, mask + first, to + first);
  });
  return dx;
}

// (x, residual or undefined) -> residual + x * keep * scale, and keep.
std::pair<at::Tensor, at::Tensor> dropout_forward(const at::Tensor& x_any, const at::Tensor& residual_any,
                                                  const SiteDropout& site) {
  if (!fits_kernels(x_any)) {
    const at::Tensor keep = keep_of(x_any, site), kept = x_any * keep * site.scale;
    return {residual_any.defined() ? residual_any + kept : kept, keep};
  }
  const at::Tensor x = x_any.contiguous();
  const at::Tensor residual = residual_any.defined() ? residual_any.contiguous() : residual_any;
  const at::Tensor out = at::empty_like(x), keep = at::empty(x.sizes(), x.options().dtype(at::kByte));
  const float* from = x.const_data_ptr<float>();
  const float* base = residual.defined() ? residual.const_data_ptr<float>() : nullptr;
  float* to = out.mutable_data_ptr<float>();
  std::uint8_t* mask = keep.mutable_data_ptr<std::uint8_t>();
  const Layout shape = layout(x, site);
  parallel_for(shape.windows, shape.grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t window = first; window < last; ++window) {
      const std::int64_t at = window * shape.elements;
      kernels().dropout(site.draw(window), shape.elements, from + at, base == nullptr ? nullptr : base + at,
                        to + at, mask + at);
    }
  });
  return {out, keep};
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const SiteDropout& site) {
    auto [out, keep] = dropout_forward(x, {}, site);
    context->save_for_backward({keep});
    context->saved_data["scale"] = static_cast<double>(site.scale);
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    return {masked_gradient(gradients[0], context->get_saved_variables()[0], scale), at::Tensor()};
  }
};

struct AddDropoutFunction : torch::autograd::Function<AddDropoutFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& residual, const at::Tensor& x,
                            const SiteDropout& site) {
    auto [out, keep] = dropout_forward(x, residual, site);
    context->save_for_backward({keep});
    context->saved_data["scale"] = static_cast<double>(site.scale);
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    return {gradients[0], masked_gradient(gradients[0], context->get_saved_variables()[0], scale),
            at::Tensor()};
  }
};

// The kernels of one way to store numbers.
struct OfFloat {
  using Stored = float;
  static constexpr auto relu = &Kernels::relu;
  static constexpr auto relu_dropout = &Kernels::relu_dropout;
  static constexpr auto relu_dropout_backward = &Kernels::relu_dropout_backward;
};
struct OfBf16 {
  using Stored = std::uint16_t;
  static constexpr auto relu = &Kernels::relu_bf16;
  static constexpr auto relu_dropout = &Kernels::relu_dropout_bf16;
  static constexpr auto relu_dropout_backward = &Kernels::relu_dropout_backward_bf16;
};

bool relu_fits_kernels(const at::Tensor& x) {
  return x.is_contiguous() && (fits_kernels(x) || (x.device().is_cpu() && x.scalar_type() == at::kBFloat16));
}

template <typename Of>
void relu_dropout_kernel(at::Tensor& x, const SiteDropout& site) {
  auto* data = static_cast<typename Of::Stored*>(x.mutable_data_ptr());
  if (!site.active()) {
    parallel_for(x.numel(), kElementGrain, [&](std::int64_t first, std::int64_t last) {
      (kernels().*Of::relu)(last - first, data + first);
    });
    return;
  }
  const Layout shape = layout(x, site);
  parallel_for(shape.windows, shape.grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t window = first; window < last; ++window) {
      (kernels().*Of::relu_dropout)(site.draw(window), shape.elements, data + window * shape.elements);
    }
  });
}

template <typename Of>
at::Tensor relu_dropout_backward_kernel(const at::Tensor& dy, const at::Tensor& y, float scale) {
  using Stored = typename Of::Stored;
  const at::Tensor dx = at::empty_like(dy);
  const auto* from = static_cast<const Stored*>(dy.const_data_ptr());
  const auto* made = static_cast<const Stored*>(y.const_data_ptr());
  auto* to = static_cast<Stored*>(dx.mutable_data_ptr());
  parallel_for(dy.numel(), kElementGrain, [&](std::int64_t first, std::int64_t last) {
    (kernels().*Of::relu_dropout_backward)(scale, last - first, from + first, made + first, to + first);
  });
  return dx;
}

struct ReluDropoutFunction : torch::autograd::Function<ReluDropoutFunction> {
  static at::Tensor forward(AutogradContext* context, at::Tensor x, const SiteDropout& site) {
    if (relu_fits_kernels(x)) {
      fits_kernels(x) ? relu_dropout_kernel<OfFloat>(x, site) : relu_dropout_kernel<OfBf16>(x, site);
    } else {
      x.relu_();
      if (site.active()) x.mul_(keep_of(x, site)).mul_(site.scale);
    }
    context->mark_dirty({x});
    context->save_for_backward({x});
    context->saved_data["scale"] = static_cast<double>(site.scale);
    return x;
  }
  // What was kept and positive is what is positive in the result.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    const at::Tensor y = context->get_saved_variables()[0];
    if (!relu_fits_kernels(y)) return {gradients[0] * (y > 0) * scale, at::Tensor()};
    const at::Tensor dy = gradients[0].contiguous();
    return {fits_kernels(y) ? relu_dropout_backward_kernel<OfFloat>(dy, y, scale)
                            : relu_dropout_backward_kernel<OfBf16>(dy, y, scale),
            at::Tensor()};
  }
};

DeviceKeepMask& device_keep_mask() {
  static DeviceKeepMask make;
  return make;
}

SiteDropout derived(const SiteDropout& site, const KeyStep& step) {
  SiteDropout result{derived(site.keys_b, step), site.threshold, site.scale, site.path};
  result.path.push_back(step);
  return result;
}

// int64 [draws], the same bits.
at::Tensor keys_on(const at::Device& device, const SiteDropout& site) {
  if (StandingTransfers* standing = StandingTransfers::of_this_thread()) return standing->keys(site, device);
  return sent(as_numbers(site.keys_b), device);
}

}  // namespace

// Words of 32 bits in int64, in the order of models/kernels/variant.inc: groups of 16 blocks.
at::Tensor keep_mask_of_tensors(const SiteDropout& site, std::int64_t elements, at::Device device) {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t kLanes = 16, kGroup = 8 * kLanes, kLow = 0xFFFFFFFF;
  const auto draws = static_cast<std::int64_t>(site.keys_b.size()), groups = (elements + kGroup - 1) / kGroup;
  const at::Tensor keys = keys_on(device, site).view({draws, 1});
  at::Tensor k0 = keys.bitwise_and(kLow), k1 = keys.bitwise_right_shift(32).bitwise_and(kLow);
  const auto options = at::TensorOptions(at::kLong).device(device);
  const at::Tensor block = at::arange(groups * kLanes, options);
  at::Tensor c0 = block.bitwise_and(kLow), c1 = block.bitwise_right_shift(32), c2 = at::zeros({1}, options),
             c3 = c2;
  for (int round = 0; round < 10; ++round) {
    // Products wrap as unsigned ones do; a shift of the sign is cut off.
    const at::Tensor p0 = c0 * std::int64_t{0xD2511F53}, p1 = c2 * std::int64_t{0xCD9E8D57};
    c0 = p1.bitwise_right_shift(32).bitwise_and(kLow).bitwise_xor(c1).bitwise_xor(k0);
    c2 = p0.bitwise_right_shift(32).bitwise_and(kLow).bitwise_xor(c3).bitwise_xor(k1);
    c1 = p1.bitwise_and(kLow);
    c3 = p0.bitwise_and(kLow);
    k0 = (k0 + std::int64_t{0x9E3779B9}).bitwise_and(kLow);
    k1 = (k1 + std::int64_t{0xBB67AE85}).bitwise_and(kLow);
  }
  const auto words = [&](const at::Tensor& word) { return word.to(at::kInt).view({draws, groups, kLanes}); };
  // Halves of words, the lower one first, with the sign turned so that they compare as unsigned ones.
  const at::Tensor bits = at::stack({words(c0), words(c1), words(c2), words(c3)}, 2).view(at::kShort);
  const at::Tensor keep = bits.bitwise_xor(-32768).ge(static_cast<std::int64_t>(site.threshold) - 32768);
  return keep.view({draws, groups * kGroup}).narrow(1, 0, elements).contiguous().view(at::kByte);
}

bool fits_kernels(const at::Tensor& x) { return x.device().is_cpu() && x.scalar_type() == at::kFloat; }

SiteDropout SiteDropout::split(std::int64_t parts) const {
  return derived(*this, {.kind = KeyStep::Kind::parts, .count = static_cast<std::uint64_t>(parts)});
}

SiteDropout SiteDropout::pick(std::int64_t first, std::int64_t stride, std::int64_t count) const {
  if (!active()) return *this;
  return derived(*this, {KeyStep::Kind::picked, static_cast<std::uint64_t>(first),
                         static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(stride)});
}

void set_device_keep_mask(DeviceKeepMask make) { device_keep_mask() = std::move(make); }

at::Tensor keep_mask_by(const DeviceKeepMask& make, const SiteDropout& site, std::int64_t elements,
                        at::Device device) {
  const at::NoGradGuard no_grad;
  const auto draws = static_cast<std::int64_t>(site.keys_b.size());
  at::Tensor keep = at::empty({draws, elements}, at::TensorOptions(at::kByte).device(device));
  make(keys_on(device, site), site.threshold, keep);
  return keep;
}

at::Tensor SiteDropout::keep_mask(std::int64_t elements, at::Device device) const {
  if (device.is_cuda() && device_keep_mask())
    return keep_mask_by(device_keep_mask(), *this, elements, device);
  if (!device.is_cpu()) return keep_mask_of_tensors(*this, elements, device);
  const auto draws = static_cast<std::int64_t>(keys_b.size());
  at::Tensor keep = at::empty({draws, elements}, at::kByte);
  std::uint8_t* data = keep.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < draws; ++i) kernels().keep_mask(draw(i), elements, data + i * elements);
  return keep;
}

Dropout::Dropout(const DropoutKeys* keys, double rate) {
  threshold_ = static_cast<std::uint32_t>(std::lround(rate * 65536.0));
  if (keys == nullptr || threshold_ == 0) {
    threshold_ = 0;
    return;
  }
  keys_b_ = window_keys(*keys);
}

SiteDropout Dropout::site(std::string_view name) const {
  if (threshold_ == 0) return {};
  const KeyStep step{.kind = KeyStep::Kind::site, .first = key_of(name)};
  SiteDropout site{derived(keys_b_, step), threshold_, static_cast<float>(65536.0 / (65536.0 - threshold_)),
                   path_};
  site.path.push_back(step);
  return site;
}

Dropout Dropout::of_members(std::int64_t members) const {
  Dropout result;
  const KeyStep step{.kind = KeyStep::Kind::members, .count = static_cast<std::uint64_t>(members)};
  result.threshold_ = threshold_;
  result.keys_b_ = derived(keys_b_, step);
  result.path_ = path_;
  result.path_.push_back(step);
  return result;
}

at::Tensor dropout(const at::Tensor& x, const SiteDropout& site) {
  return site.active() ? DropoutFunction::apply(x, site) : x;
}

at::Tensor add_dropout(const at::Tensor& residual, const at::Tensor& x, const SiteDropout& site) {
  return site.active() ? AddDropoutFunction::apply(residual, x, site) : residual + x;
}

at::Tensor relu_dropout_(at::Tensor x, const SiteDropout& site) {
  return ReluDropoutFunction::apply(std::move(x), site);
}

}  // namespace shelfcast::models
