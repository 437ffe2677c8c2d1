// Attention among rows in a pattern: the fast path against LibTorch's operators, rotary positions, isolation.
#include "models/series/window_attention.h"

#include <gtest/gtest.h>

#include <functional>

#include "models/attention.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

using testing::largest_difference;
using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

std::vector<at::Tensor> value_and_gradients(const Function& function, const std::vector<at::Tensor>& values,
                                            at::ScalarType type) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& value : values) leaves.push_back(value.to(type).clone().set_requires_grad(true));
  const at::Tensor y = function(leaves);
  (y * at::cos(at::arange(y.numel(), at::kDouble)).view(y.sizes()).to(type)).sum().backward();
  std::vector<at::Tensor> result = {y.detach()};
  for (const at::Tensor& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

// Floats take the fast path, doubles LibTorch's operators and its gradients.
void expect_fast_equals_plain(const Function& function, const std::vector<at::Tensor>& values) {
  const auto fast = value_and_gradients(function, values, at::kFloat),
             plain = value_and_gradients(function, values, at::kDouble);
  for (std::size_t i = 0; i < fast.size(); ++i) {
    EXPECT_LT(largest_difference(fast[i].to(at::kDouble), plain[i]),
              1e-5 * (1.0 + plain[i].abs().max().item<double>()))
        << i;
  }
}

SiteDropout site_of(double rate, std::int64_t windows) {
  DropoutKeys keys{11, 5, {}};
  for (std::int64_t w = 0; w < windows; ++w) keys.sample_b.push_back(3 * w);
  return Dropout(&keys, rate).site("attention");
}

at::Tensor mask_of(std::int64_t windows, std::int64_t tokens) {
  return additive_mask(at::rand({windows, tokens}) < 0.8).contiguous();
}

constexpr HeadShape kShape{3, 4};

TEST(WindowAttention, over_time_is_right_with_rotation_masked_tokens_and_dropout) {
  at::manual_seed(2);
  const at::Tensor mask = mask_of(2, 7);
  const Rotation rotation = Rotation::of(7, 4, 100.0);
  for (const double rate : {0.0, 0.3}) {
    const Function attention = [&](const std::vector<at::Tensor>& v) {
      return window_attention(v[0], mask, WindowLayout::along_time(2, 7), kShape, rotation, site_of(rate, 2));
    };
    expect_fast_equals_plain(attention, {at::randn({14, 36}) * 0.7});
  }
}

TEST(WindowAttention, across_series_is_right_for_several_groups) {
  at::manual_seed(3);
  const WindowLayout layout = WindowLayout::across_series(2, 3, 5);  // 2 groups of 3 series of 5 tokens
  const at::Tensor mask = mask_of(10, 3);
  for (const double rate : {0.0, 0.3}) {
    const Function attention = [&](const std::vector<at::Tensor>& v) {
      return window_attention(v[0], mask, layout, kShape, {}, site_of(rate, 10));
    };
    expect_fast_equals_plain(attention, {at::randn({30, 36}) * 0.7});
  }
}

TEST(WindowAttention, across_series_equals_attention_token_by_token) {
  at::manual_seed(4);
  const std::int64_t groups = 2, size = 3, tokens = 5, i = 12;
  const at::Tensor qkv = at::randn({groups * size * tokens, 3 * i}),
                   mask = at::zeros({groups * tokens, size});
  const at::Tensor got =
      window_attention(qkv, mask, WindowLayout::across_series(groups, size, tokens), kShape, {}, {});
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      const at::Tensor rows = at::arange(size, at::kLong) * tokens + g * size * tokens + t;
      const at::Tensor one = window_attention(qkv.index_select(0, rows), at::zeros({1, size}),
                                              WindowLayout::along_time(1, size), kShape, {}, {});
      EXPECT_LT(largest_difference(got.index_select(0, rows), one), 1e-6);
    }
  }
}

TEST(LastTokensAttention, equals_the_last_tokens_of_attention_by_all) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({12, 36}), mask = mask_of(2, 6);
  const Rotation rotation = Rotation::of(6, 4, 10.0);
  const Function last = [&](const std::vector<at::Tensor>& v) {
    const at::Tensor q = v[0].narrow(1, 0, 12).view({2, 6, 12}).narrow(1, 4, 2).reshape({4, 12});
    return last_tokens_attention(q, v[0].narrow(1, 12, 24), mask, 2, 6, kShape, rotation, site_of(0.2, 2));
  };
  expect_fast_equals_plain(last, {x});
  const at::Tensor all =
      window_attention(x, mask, WindowLayout::along_time(2, 6), kShape, rotation, {}).view({2, 6, 12});
  const at::Tensor q = x.narrow(1, 0, 12).view({2, 6, 12}).narrow(1, 4, 2).reshape({4, 12});
  const at::Tensor some = last_tokens_attention(q, x.narrow(1, 12, 24), mask, 2, 6, kShape, rotation, {});
  EXPECT_LT(largest_difference(some.view({2, 2, 12}), all.narrow(1, 4, 2)), 1e-6);
}

TEST(WindowAttention, with_rotation_depends_on_distances_not_on_places) {
  at::manual_seed(6);
  const at::Tensor qkv = at::randn({5, 36});
  const Rotation rotation = Rotation::of(9, 4, 50.0);
  const Rotation later = {rotation.cos.narrow(0, 4, 5).contiguous(),
                          rotation.sin.narrow(0, 4, 5).contiguous()};
  const auto attend = [&](const Rotation& r) {
    return window_attention(qkv, at::zeros({1, 5}), WindowLayout::along_time(1, 5), kShape, r, {});
  };
  EXPECT_LT(largest_difference(attend(rotation), attend(later)), 1e-5);
  EXPECT_GT(largest_difference(attend(rotation), attend({})), 1e-2);
}

}  // namespace
}  // namespace shelfcast::models
