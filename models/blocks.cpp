#include "models/blocks.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "base/random.h"
#include "models/product.h"
#include "models/threads.h"

namespace shelfcast::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRowBlock =
    64;  // rows whose part of a gain's gradient is summed first, whatever the threads

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_any, const at::Tensor& gain,
                            double epsilon) {
    const at::Tensor x = x_any.contiguous();
    const std::int64_t rows = x.size(0), width = x.size(1);
    const at::Tensor y = at::empty_like(x), rstd = at::empty({rows}, x.options());
    const float* from = x.const_data_ptr<float>();
    const float* gains = gain.const_data_ptr<float>();
    float* to = y.mutable_data_ptr<float>();
    float* factors = rstd.mutable_data_ptr<float>();
    parallel_for(rows, kRowBlock, [&](std::int64_t first, std::int64_t last) {
      kernels().rms_norm(last - first, width, static_cast<float>(epsilon), from + first * width, gains,
                         to + first * width, factors + first);
    });
    context->save_for_backward({x, gain, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &gain = saved[1], &rstd = saved[2];
    const at::Tensor dy = gradients[0].contiguous(), dx = at::empty_like(x);
    const std::int64_t rows = x.size(0), width = x.size(1), blocks = (rows + kRowBlock - 1) / kRowBlock;
    const at::Tensor dgains = at::zeros({blocks, width}, x.options());
    const float* xs = x.const_data_ptr<float>();
    const float* gains = gain.const_data_ptr<float>();
    const float* factors = rstd.const_data_ptr<float>();
    const float* from = dy.const_data_ptr<float>();
    float* to = dx.mutable_data_ptr<float>();
    float* parts = dgains.mutable_data_ptr<float>();
    parallel_for(blocks, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t block = first; block < last; ++block) {
        const std::int64_t row = block * kRowBlock, at = row * width;
        kernels().rms_norm_backward(std::min(kRowBlock, rows - row), width, xs + at, gains, factors + row,
                                    from + at, to + at, parts + block * width);
      }
    });
    return {dx, dgains.sum(0), at::Tensor()};
  }
};

// Two normal numbers from two words (Box and Muller).
inline void normal_pair(std::uint32_t a, std::uint32_t b, float deviation, float* out) {
  const float radius =
      deviation * std::sqrt(-2.0F * std::log((static_cast<float>(a >> 8) + 0.5F) * 0x1p-24F));
  const float angle = 6.2831853F * (static_cast<float>(b >> 8) * 0x1p-24F);
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

}  // namespace

void fill_normal(at::Tensor& values, std::uint64_t key, double deviation) {
  const std::int64_t n = values.numel(), blocks = (n + 3) / 4;
  float* out = values.mutable_data_ptr<float>();
  const auto scale = static_cast<float>(deviation);
  parallel_for(blocks, 4096, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const auto counter = static_cast<std::uint64_t>(block);
      const auto words =
          philox(key, {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0});
      float four[4];
      normal_pair(words[0], words[1], scale, four);
      normal_pair(words[2], words[3], scale, four + 2);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(4, n - block * 4); ++i)
        out[block * 4 + i] = four[i];
    }
  });
}

void move_to(const at::Device& device, const std::vector<Parameter>& parameters) {
  const at::NoGradGuard no_grad;
  for (const Parameter& parameter : parameters) {
    at::Tensor tensor = parameter.tensor;  // shares the model's TensorImpl
    if (tensor.device() != device) tensor.set_data(tensor.detach().to(device));
  }
}

at::Tensor ParameterMaker::add(const std::string& name, at::Tensor values, Decay decay) {
  values.set_requires_grad(true);
  parameters_.push_back({name, values, decay == Decay::yes, nullptr});
  return values;
}

at::Tensor ParameterMaker::normal(const std::string& name, at::IntArrayRef shape, double deviation,
                                  Decay decay) {
  at::Tensor values = at::empty(shape, at::kFloat);
  if (fill_ == Fill::draw) {
    if (deviation == 0.0) {
      values.zero_();
    } else {
      fill_normal(values, mix(seed_, key_of(name)), deviation);
    }
  }
  return add(name, values, decay);
}

Weight ParameterMaker::matrix(const std::string& name, at::IntArrayRef shape, double deviation) {
  at::Tensor values = normal(name, shape, deviation);
  parameters_.back().slot = std::make_shared<AdapterSlot>();
  return {std::move(values), parameters_.back().slot};
}

at::Tensor ParameterMaker::constant(const std::string& name, at::IntArrayRef shape, float value) {
  return add(name, at::full(shape, value, at::kFloat), Decay::no);
}

at::Tensor Linear::operator()(const at::Tensor& x) const { return product(x, weight, bias); }

at::Tensor ResidualBlock::operator()(const at::Tensor& x, const SiteDropout& site,
                                     const at::Tensor& more_hidden, const at::Tensor& more_residual) const {
  at::Tensor inner = hidden(x);
  if (more_hidden.defined()) inner = inner + more_hidden;
  at::Tensor straight = residual(x);
  if (more_residual.defined()) straight = straight + more_residual;
  return add_dropout(straight, output(activate_dropout_(inner, activation, {})), site);
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return at::relu(x);
    case Activation::relu2:
      return at::relu(x).square();
    case Activation::relu6:
      return at::clamp(x, 0, 6);
    case Activation::leaky_relu:
      return at::leaky_relu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_10:
      return at::gelu(x).clamp(-10, 10);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::quick_gelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::silu:
      return at::silu(x);
    case Activation::mish:
      return at::mish(x);
    case Activation::laplace:  // of the mean and deviation that Ma et al. (2022, Mega) give it
      return 0.5 * (1 + at::erf((x - 0.707107) / (0.282095 * std::sqrt(2.0))));
    case Activation::tanh:
      return at::tanh(x);
    case Activation::sigmoid:
      return at::sigmoid(x);
    case Activation::linear:
      break;
  }
  return x;
}

at::Tensor activate_dropout_(at::Tensor x, Activation activation, const SiteDropout& site) {
  if (activation == Activation::relu) return relu_dropout_(std::move(x), site);
  return dropout(activate(x, activation), site);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain, double epsilon) {
  if (fits_kernels(x)) return RmsNormFunction::apply(x, gain, epsilon);
  return gain * (x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + epsilon));
}

}  // namespace shelfcast::models
