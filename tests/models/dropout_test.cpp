#include "models/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "models/kernels/kernels.h"

namespace shelfcast::models {
namespace {

SiteDropout site_of(std::vector<std::int64_t> samples, double rate = 0.1, std::int64_t step = 5) {
  const DropoutKeys keys{11, step, std::move(samples)};
  return Dropout(&keys, rate).site("encoder.0.hidden");
}

// One window's mask as the header of kernels.h describes it, element by element.
std::uint8_t described(DropoutDraw draw, std::int64_t i) {
  const std::int64_t within = i % 128, block = i / 128 * 16 + within % 32 / 2;
  const auto words = philox(draw.key, {static_cast<std::uint32_t>(block), 0, 0, 0});
  const std::uint32_t word = words[static_cast<std::size_t>(within / 32)];
  const std::uint32_t bits = within % 2 == 0 ? word & 0xFFFFU : word >> 16;
  return bits >= draw.threshold ? 1 : 0;
}

TEST(Dropout, masks_are_the_documented_function_of_key_and_element_in_every_instruction_set) {
  int count = 0;
  const Kernels* const* sets = all_kernels(count);
  const DropoutDraw draw{0x123456789ABCDEF0ULL, 20'000, 1.0F};
  for (int set = 0; set < count; ++set) {
    for (const std::int64_t n : {1, 127, 128, 1000}) {
      std::vector<std::uint8_t> keep(static_cast<std::size_t>(n), 9);
      sets[set]->keep_mask(draw, n, keep.data());
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(keep[static_cast<std::size_t>(i)], described(draw, i))
            << sets[set]->name << " element " << i;
      }
    }
  }
}

TEST(Dropout, masks_by_operations_on_tensors_are_those_of_the_kernels) {
  for (const double rate : {0.1, 0.5, 0.9}) {
    const SiteDropout site = site_of({3, 4, 1'000'000'007}, rate);
    for (const std::int64_t n : {1, 127, 128, 5000})
      EXPECT_TRUE(at::equal(keep_mask_of_tensors(site, n, at::kCPU), site.keep_mask(n))) << rate << " " << n;
  }
  const at::Tensor shape = site_of({3, 4}).keep_mask(500, at::kMeta);
  EXPECT_EQ(shape.sizes(), (std::vector<std::int64_t>{2, 500}));
  EXPECT_EQ(shape.scalar_type(), at::kByte);
}

TEST(Dropout, a_samples_mask_is_the_same_wherever_it_stands) {
  const at::Tensor first = site_of({3, 4, 5}).keep_mask(500), second = site_of({9, 5, 3}).keep_mask(500);
  EXPECT_TRUE(at::equal(first[0], second[2]));
  EXPECT_TRUE(at::equal(first[2], second[1]));
  EXPECT_FALSE(at::equal(first[0], first[1]));
  EXPECT_TRUE(at::equal(first, site_of({3, 4, 5}).keep_mask(500)));
  EXPECT_FALSE(at::equal(first, site_of({3, 4, 5}, 0.1, 6).keep_mask(500)));
}

TEST(Dropout, sites_and_parts_draw_independently) {
  const DropoutKeys keys{11, 5, {3}};
  const Dropout dropout(&keys, 0.5);
  EXPECT_FALSE(at::equal(dropout.site("a").keep_mask(500), dropout.site("b").keep_mask(500)));
  const at::Tensor parts = dropout.site("a").split(2).keep_mask(500);
  EXPECT_FALSE(at::equal(parts[0], parts[1]));
}

TEST(Dropout, keeps_the_asked_share_and_the_mean) {
  for (const double rate : {0.1, 0.5}) {
    const SiteDropout site = site_of({1, 2, 3, 4}, rate);
    const double n = 4 * 100'000.0;
    const double kept = site.keep_mask(100'000).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(kept, 1.0 - rate, 5.0 * std::sqrt(rate * (1.0 - rate) / n));
    const double mean = dropout(at::ones({400, 1000}), site).mean().item<double>();
    EXPECT_NEAR(mean, 1.0, 5.0 * std::sqrt(rate / (1.0 - rate) / n));
  }
}

TEST(Dropout, neighbouring_elements_are_uncorrelated) {
  const at::Tensor kept = site_of({7}, 0.5).keep_mask(200'000)[0].to(at::kDouble) - 0.5;
  for (const std::int64_t lag : {1, 2, 16, 32, 128}) {
    const std::int64_t n = kept.numel() - lag;
    const double correlation = 4.0 * (kept.narrow(0, 0, n) * kept.narrow(0, lag, n)).mean().item<double>();
    EXPECT_NEAR(correlation, 0.0, 5.0 / std::sqrt(static_cast<double>(n))) << lag;
  }
}

TEST(Dropout, backward_uses_the_mask_of_forward) {
  at::manual_seed(1);
  const SiteDropout site = site_of({3, 4}, 0.3);
  const at::Tensor keep = site.keep_mask(6 * 50).view({12, 50}), weight = at::randn({12, 50});
  const at::Tensor x = at::randn({12, 50}).set_requires_grad(true),
                   residual = at::randn({12, 50}).set_requires_grad(true);
  const at::Tensor y = add_dropout(residual, x, site);
  EXPECT_TRUE(at::allclose(y, residual + x * keep * site.scale));
  (y * weight).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), weight * keep * site.scale));
  EXPECT_TRUE(at::equal(residual.grad(), weight));

  const at::Tensor z = at::randn({12, 50}).set_requires_grad(true);
  const at::Tensor hidden = z * 1.0;  // in place of a product's result
  (relu_dropout_(hidden, site) * weight).sum().backward();
  EXPECT_TRUE(at::allclose(z.grad(), weight * keep * site.scale * (z > 0)));
}

// Every instruction set against LibTorch's own rounding.
TEST(Dropout, relu_of_bf16_is_that_of_floats_rounded_to_the_nearest) {
  at::manual_seed(2);
  const std::int64_t n = 128 * 3 + 37;
  at::Tensor x = at::randn({n}).to(at::kBFloat16);
  x[5] = 0.0, x[6] = -0.0, x[7] = std::numeric_limits<float>::infinity(), x[8] = 3.38e38, x[9] = 1e-40;
  const at::Tensor dy = at::randn({n}).to(at::kBFloat16);
  const SiteDropout site = site_of({9}, 0.3);
  const at::Tensor keep = site.keep_mask(n).view({n}).to(at::kBool);
  const auto words = [](const at::Tensor& of) { return static_cast<std::uint16_t*>(of.mutable_data_ptr()); };
  int count = 0;
  const Kernels* const* sets = all_kernels(count);
  for (int i = 0; i < count; ++i) {
    const at::Tensor plain = x.clone(), dropped = x.clone(), dx = at::empty_like(x);
    sets[i]->relu_bf16(n, words(plain));
    EXPECT_TRUE(at::equal(plain, at::relu(x))) << sets[i]->name;
    sets[i]->relu_dropout_bf16(site.draw(0), n, words(dropped));
    const at::Tensor kept = at::relu(x.to(at::kFloat)) * site.scale;
    EXPECT_TRUE(at::equal(dropped, at::where(keep, kept, at::zeros_like(kept)).to(at::kBFloat16)))
        << sets[i]->name;
    sets[i]->relu_dropout_backward_bf16(site.scale, n, words(dy), words(dropped), words(dx));
    const at::Tensor through = dy.to(at::kFloat) * site.scale;
    EXPECT_TRUE(at::equal(dx, at::where(dropped > 0, through, at::zeros_like(through)).to(at::kBFloat16)))
        << sets[i]->name;
  }
}

TEST(Dropout, without_keys_or_rate_nothing_is_dropped) {
  const DropoutKeys keys{11, 5, {3}};
  EXPECT_FALSE(Dropout(nullptr, 0.1).site("a").active());
  EXPECT_FALSE(Dropout(&keys, 0.0).site("a").active());
  const at::Tensor x = at::ones({2, 2});
  EXPECT_TRUE(at::equal(dropout(x, Dropout().site("a")), x));
}

}  // namespace
}  // namespace shelfcast::models
