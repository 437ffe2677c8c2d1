#include "models/product.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/attention.h"

namespace shelfcast::models {
namespace {

at::Tensor rounded(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); }

struct Case {
  at::Tensor x = at::randn({7, 33}).set_requires_grad(true);
  at::Tensor weight = at::randn({5, 33}).set_requires_grad(true);
  at::Tensor bias = at::randn({5}).set_requires_grad(true);
  at::Tensor dy = at::randn({7, 5});
};

// One rounding of a result may fall to either neighbour when sums are taken in another order.
void expect_one_rounding_apart(const at::Tensor& got, const at::Tensor& exact) {
  EXPECT_TRUE(at::allclose(got, exact, 1.0 / 128, 1e-5)) << (got - exact).abs().max();
  EXPECT_FALSE(at::equal(got, exact));
}

TEST(Product, in_bf16_factors_and_result_are_rounded_and_so_are_gradients) {
  const Case c;
  at::Tensor y;
  {
    const PrecisionScope scope(Precision::bf16);
    y = product(c.x, c.weight);
  }
  const at::Tensor exact = at::mm(rounded(c.x), rounded(c.weight).t());
  expect_one_rounding_apart(y.detach(), exact.detach());
  EXPECT_TRUE(at::equal(y, rounded(y)));
  y.backward(c.dy);  // after the scope: a product remembers its precision
  expect_one_rounding_apart(c.x.grad(), at::mm(rounded(c.dy), rounded(c.weight)).detach());
  expect_one_rounding_apart(c.weight.grad(), at::mm(rounded(c.dy).t(), rounded(c.x)).detach());
}

// `run` gives results and gradients with what stands between two products in float32 or left in bfloat16.
template <typename Run>
void expect_the_same_bits(const Run& run) {
  const DropoutKeys keys{7, 2, {3, 4, 5}};
  for (const SiteDropout& site : {SiteDropout{}, Dropout(&keys, 0.3).site("here")}) {
    const auto wide = run(ProductResult::float32, site), rounded = run(ProductResult::as_rounded, site);
    for (std::size_t i = 0; i < wide.size(); ++i) {
      EXPECT_TRUE(at::equal(wide[i], rounded[i])) << i;
      EXPECT_GT(wide[i].abs().max().template item<float>(), 0.0F) << i;
    }
  }
}

// relu(x w^T) v^T with its gradients, the hidden layer in float32 or left in bfloat16.
std::vector<at::Tensor> feed_forward(ProductResult hidden, const SiteDropout& site) {
  at::manual_seed(3);
  const PrecisionScope scope(Precision::bf16);
  const at::Tensor x = at::randn({12, 40}).set_requires_grad(true),
                   w = at::randn({70, 40}).set_requires_grad(true),
                   v = at::randn({9, 70}).set_requires_grad(true);
  const at::Tensor inner = product(x, w, {}, hidden);
  EXPECT_EQ(inner.scalar_type(), hidden == ProductResult::as_rounded ? at::kBFloat16 : at::kFloat);
  const at::Tensor y = product(relu_dropout_(inner, site), v);
  y.backward(at::randn({12, 9}));
  return {y.detach(), x.grad(), w.grad(), v.grad()};
}

TEST(Product, a_hidden_layer_left_in_bf16_gives_the_same_bits) { expect_the_same_bits(feed_forward); }

// Self-attention over a product of three matrices, with its gradients.
std::vector<at::Tensor> attention(ProductResult result, const SiteDropout& site) {
  at::manual_seed(4);
  const PrecisionScope scope(Precision::bf16);
  const AttentionShape shape{3, 5, 2, 8};
  const at::Tensor x = at::randn({15, 20}).set_requires_grad(true),
                   q = at::randn({16, 20}).set_requires_grad(true), k = at::randn({16, 20}),
                   v = at::randn({16, 20}), bias = at::randn({2, 5, 5}).set_requires_grad(true);
  const at::Tensor mixed =
      self_attention(stacked_product(x, {q, k, v}, result), bias, at::zeros({3, 5}), shape, site);
  EXPECT_EQ(mixed.scalar_type(), at::kFloat);
  mixed.backward(at::randn({15, 16}));
  return {mixed.detach(), x.grad(), q.grad(), bias.grad()};
}

TEST(Product, queries_keys_and_values_left_in_bf16_give_the_same_bits) { expect_the_same_bits(attention); }

TEST(Product, outside_of_a_scope_it_is_exact_and_scopes_nest) {
  const Case c;
  const at::Tensor exact = at::addmm(c.bias, c.x, c.weight.t());
  {
    const PrecisionScope outer(Precision::bf16);
    {
      const PrecisionScope inner(Precision::fp32);
      EXPECT_TRUE(at::equal(product(c.x, c.weight, c.bias), exact));
    }
    EXPECT_FALSE(at::equal(product(c.x, c.weight, c.bias), exact));
  }
  EXPECT_TRUE(at::equal(product(c.x, c.weight, c.bias), exact));
}

TEST(Product, a_frozen_weight_gets_no_gradient_and_a_bias_an_exact_one) {
  Case c;
  c.weight.set_requires_grad(false);
  const PrecisionScope scope(Precision::bf16);
  product(c.x, c.weight, c.bias).backward(c.dy);
  EXPECT_FALSE(c.weight.grad().defined());
  EXPECT_TRUE(c.x.grad().defined());
  EXPECT_TRUE(at::allclose(c.bias.grad(), c.dy.sum(0)));
}

TEST(Product, an_unknown_precision_is_named) {
  EXPECT_EQ(precision_from("bf16"), Precision::bf16);
  EXPECT_THROW(precision_from("fp8"), Error);
}

}  // namespace
}  // namespace shelfcast::models
