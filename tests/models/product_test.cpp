#include "models/product.h"

#include <gtest/gtest.h>

#include "base/error.h"

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
