#include "parallel/flat_buffers.h"

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include "base/error.h"
#include "parallel/sum_of_squares.h"

namespace shelfcast::parallel {
namespace {

at::Tensor leaf(at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); }

TEST(FlatBuffers, keeps_values_in_reverse_order_on_cache_lines_with_zero_padding) {
  at::manual_seed(1);
  const at::Tensor a = leaf({3, 5}), b = leaf({16}), c = leaf({});
  const at::Tensor a0 = a.detach().clone(), b0 = b.detach().clone(), c0 = c.detach().clone();
  const FlatBuffers buffers({{"a", a}, {"b", b, 0.5}, {"c", c, 1.0, false}});
  ASSERT_EQ(buffers.ranges().size(), 3U);
  EXPECT_EQ(buffers.ranges()[0].name, "c");
  EXPECT_EQ(buffers.ranges()[1].name, "b");
  EXPECT_EQ(buffers.ranges()[1].lr_scale, 0.5);
  EXPECT_FALSE(buffers.ranges()[0].decay);
  EXPECT_EQ(buffers.elements(), 48);
  for (const at::Tensor& tensor : {a, b, c}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % 64, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.grad().data_ptr()) % 64, 0U);
  }
  EXPECT_TRUE(at::equal(a.detach(), a0) && at::equal(b.detach(), b0) && at::equal(c.detach(), c0));
  EXPECT_EQ(buffers.values()[1].item<float>(), 0.0F);
  buffers.values().fill_(2.0);
  EXPECT_EQ(a[2][4].item<float>(), 2.0F);
}

TEST(FlatBuffers, a_device_sums_the_squares_of_rows_longer_than_a_piece) {
  at::manual_seed(3);
  for (const std::int64_t rows : {1, 3}) {
    const std::int64_t columns = (std::int64_t{1} << 22) + 5;
    const at::Tensor x = at::randn({rows, columns}), squares = squares_on_device(x);
    ASSERT_EQ(squares.sizes(), at::IntArrayRef({rows}));
    for (std::int64_t row = 0; row < rows; ++row) {
      const double sum = sum_of_squares(x[row].const_data_ptr<float>(), columns);
      EXPECT_NEAR(squares[row].item<double>(), sum, 1e-12 * sum);
    }
  }
}

TEST(FlatBuffers, backward_accumulates_in_place_until_zeroed) {
  at::manual_seed(2);
  const at::Tensor a = leaf({4}), b = leaf({3});
  FlatBuffers buffers({{"a", a}, {"b", b}});
  const auto backward = [&] { (a.sum() * 2.0 + (b * b).sum()).backward(); };
  backward();
  backward();
  const at::Tensor flat = buffers.gradients();
  EXPECT_TRUE(at::allclose(flat.narrow(0, 16, 4), at::full({4}, 4.0)));
  EXPECT_TRUE(at::allclose(flat.narrow(0, 0, 3), b.detach() * 4.0));
  EXPECT_NEAR(buffers.gradient_norm(), flat.to(at::kDouble).norm().item<double>(), 1e-6);
  buffers.zero_gradients();
  EXPECT_EQ(a.grad().abs().sum().item<float>(), 0.0F);
  backward();
  EXPECT_TRUE(at::allclose(a.grad(), at::full({4}, 2.0)));
}

TEST(FlatBuffers, a_tensor_given_twice_or_without_gradient_is_refused) {
  const at::Tensor a = leaf({4});
  EXPECT_THROW(FlatBuffers({{"a", a}, {"b", a}}), Error);
  EXPECT_THROW(FlatBuffers({{"a", at::zeros({2})}}), Error);
}

TEST(SumOfSquares, equals_the_sum_in_double_and_is_the_same_for_any_number_of_threads) {
  at::manual_seed(3);
  const at::Tensor values = at::randn({300'001});
  const double expected = values.to(at::kDouble).square().sum().item<double>();
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const double one = sum_of_squares(values.data_ptr<float>(), values.numel());
  at::set_num_threads(3);
  const double three = sum_of_squares(values.data_ptr<float>(), values.numel());
  at::set_num_threads(before);
  EXPECT_NEAR(one / expected, 1.0, 1e-12);
  EXPECT_EQ(one, three);
  EXPECT_EQ(sum_of_squares(nullptr, 0), 0.0);
}

}  // namespace
}  // namespace shelfcast::parallel
