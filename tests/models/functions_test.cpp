// The fast paths of norms and attention against LibTorch's operators (which the same functions use in
// double), and those against finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "models/attention.h"
#include "models/blocks.h"
#include "models/kernels/kernels.h"
#include "tests/models/small_models.h"

namespace shelfcast::models {
namespace {

using testing::largest_difference;
using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Gradients of sum(function * fixed weights).
std::vector<at::Tensor> gradients_of(const Function& function, const std::vector<at::Tensor>& values,
                                     at::ScalarType type) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& value : values) leaves.push_back(value.to(type).clone().set_requires_grad(true));
  const at::Tensor y = function(leaves);
  const at::Tensor weight = at::cos(at::arange(y.numel(), at::kDouble)).view(y.sizes()).to(type);
  (y * weight).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& leaf : leaves) gradients.push_back(leaf.grad());
  return gradients;
}

// Central differences in double at a few elements of each input.
void expect_finite_differences(const Function& function, const std::vector<at::Tensor>& values) {
  const auto gradients = gradients_of(function, values, at::kDouble);
  const auto value_at = [&](std::size_t which, std::int64_t element, double shift) {
    std::vector<at::Tensor> moved;
    for (const at::Tensor& value : values) moved.push_back(value.to(at::kDouble).clone());
    moved[which].view(-1)[element] += shift;
    const at::Tensor y = function(moved);
    return (y * at::cos(at::arange(y.numel(), at::kDouble)).view(y.sizes())).sum().item<double>();
  };
  for (std::size_t which = 0; which < values.size(); ++which) {
    for (std::int64_t element = 0; element < values[which].numel(); element += 7) {
      const double slope = (value_at(which, element, 1e-6) - value_at(which, element, -1e-6)) / 2e-6;
      EXPECT_NEAR(gradients[which].view(-1)[element].item<double>(), slope, 1e-6 * (1.0 + std::abs(slope)));
    }
  }
}

// Float (kernels) against double (operators): values and gradients.
void expect_fast_equals_plain(const Function& function, const std::vector<at::Tensor>& values) {
  std::vector<at::Tensor> doubles;
  for (const at::Tensor& value : values) doubles.push_back(value.to(at::kDouble));
  EXPECT_LT(largest_difference(function(values).to(at::kDouble), function(doubles)), 1e-5);
  const auto fast = gradients_of(function, values, at::kFloat),
             plain = gradients_of(function, values, at::kDouble);
  for (std::size_t i = 0; i < fast.size(); ++i) {
    EXPECT_LT(largest_difference(fast[i].to(at::kDouble), plain[i]),
              2e-5 * (1.0 + plain[i].abs().max().item<double>()));
  }
}

void expect_right(const Function& function, const std::vector<at::Tensor>& values) {
  expect_fast_equals_plain(function, values);
  expect_finite_differences(function, values);
}

// What transformers 4.57 makes of -12, -1, -0.25, 0.5, 1, 8 and 12 in float64.
TEST(Activations, of_every_published_name_are_those_of_the_reference) {
  const std::vector<std::pair<std::string, std::vector<double>>> reference = {
      {"relu", {0, 0, 0, 0.5, 1, 8, 12}},
      {"relu2", {0, 0, 0, 0.25, 1, 64, 144}},
      {"relu6", {0, 0, 0, 0.5, 1, 6, 6}},
      {"leaky_relu", {-0.12, -0.01, -0.0025, 0.5, 1, 8, 12}},
      {"gelu", {0, -0.1586553, -0.1003234, 0.3457312, 0.8413447, 8, 12}},
      {"gelu_python", {0, -0.1586553, -0.1003234, 0.3457312, 0.8413447, 8, 12}},
      {"gelu_10", {0, -0.1586553, -0.1003234, 0.3457312, 0.8413447, 8, 10}},
      {"gelu_new", {0, -0.158808, -0.1003246, 0.345714, 0.841192, 8, 12}},
      {"gelu_fast", {0, -0.158808, -0.1003246, 0.345714, 0.841192, 8, 12}},
      {"gelu_accurate", {0, -0.158808, -0.1003246, 0.345714, 0.841192, 8, 12}},
      {"gelu_pytorch_tanh", {0, -0.158808, -0.1003246, 0.345714, 0.841192, 8, 12}},
      {"gelu_python_tanh", {0, -0.158808, -0.1003246, 0.345714, 0.841192, 8, 12}},
      {"quick_gelu", {-1.618642e-08, -0.1542042, -0.09880035, 0.3503884, 0.8457958, 7.99999, 12}},
      {"silu", {-7.37301e-05, -0.2689414, -0.1094559, 0.3112297, 0.7310586, 7.997317, 11.99993}},
      {"swish", {-7.37301e-05, -0.2689414, -0.1094559, 0.3112297, 0.7310586, 7.997317, 11.99993}},
      {"mish", {-7.373032e-05, -0.3034015, -0.129927, 0.3752452, 0.8650984, 7.999998, 12}},
      {"laplace", {0, 7.173726e-10, 0.0003458431, 0.2314211, 0.8504296, 1, 1}},
      {"tanh", {-1, -0.7615942, -0.2449187, 0.4621172, 0.7615942, 0.9999998, 1}},
      {"sigmoid", {6.144175e-06, 0.2689414, 0.4378235, 0.6224593, 0.7310586, 0.9996646, 0.9999939}},
      {"linear", {-12, -1, -0.25, 0.5, 1, 8, 12}}};
  const at::Tensor x = at::tensor({-12.0, -1.0, -0.25, 0.5, 1.0, 8.0, 12.0}, at::kDouble);
  for (const auto& [name, values] : reference) {
    const at::Tensor y = activate(x.clone(), activation_of(name));
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double value = values[static_cast<std::size_t>(i)];
      EXPECT_NEAR(y[i].item<double>(), value, 1e-6 * std::max(1.0, std::abs(value))) << name << " " << i;
    }
  }
}

TEST(RmsNorm, value_and_gradients_are_right) {
  at::manual_seed(1);
  const Function norm = [](const std::vector<at::Tensor>& v) { return rms_norm(v[0], v[1], 1e-6); };
  expect_right(norm, {at::randn({70, 19}), at::rand({19}) + 0.5});  // more rows than a block, an odd width
}

SiteDropout site_of(double rate) {
  const DropoutKeys keys{11, 5, {3, 8}};
  return Dropout(&keys, rate).site("attention");
}

TEST(SelfAttention, value_and_gradients_are_right_with_masked_tokens_bias_and_dropout) {
  at::manual_seed(2);
  const AttentionShape shape{2, 7, 3, 5};
  at::Tensor attended = at::ones({2, 7}, at::kBool);
  attended[1].narrow(0, 0, 4).fill_(false);
  const at::Tensor mask = additive_mask(attended).contiguous();
  for (const double rate : {0.0, 0.3}) {
    const SiteDropout site = site_of(rate);
    const Function attention = [&](const std::vector<at::Tensor>& v) {
      return self_attention(v[0], v[1], mask, shape, site);
    };
    expect_right(attention, {at::randn({14, 45}) * 0.7, at::randn({3, 7, 7})});
  }
}

TEST(SelfAttention, tokens_that_are_not_attended_have_no_influence_at_all) {
  at::manual_seed(3);
  const AttentionShape shape{1, 6, 2, 4};
  at::Tensor attended = at::ones({1, 6}, at::kBool);
  attended[0][1] = false;
  const at::Tensor mask = additive_mask(attended).contiguous(), bias = at::zeros({2, 6, 6});
  const at::Tensor qkv = at::randn({6, 24});
  at::Tensor changed = qkv.clone();
  changed[1].narrow(0, 8, 16).fill_(50.0);  // its key and value
  const at::Tensor a = self_attention(qkv, bias, mask, shape, {}),
                   b = self_attention(changed, bias, mask, shape, {});
  EXPECT_TRUE(at::equal(a, b));
}

TEST(SingleQueryAttention, equals_attention_over_keys_and_values_made_token_by_token) {
  at::manual_seed(4);
  const std::int64_t windows = 2, tokens = 5, heads = 3, width = 4, d = 6;
  const at::Tensor q = at::randn({windows, 12}), wk = at::randn({12, d}), wv = at::randn({12, d});
  const at::Tensor memory = at::randn({windows, tokens, d});
  at::Tensor attended = at::ones({windows, tokens}, at::kBool);
  attended[0][2] = false;
  const at::Tensor mask = additive_mask(attended);
  const at::Tensor k = at::matmul(memory, wk.t()).view({windows, tokens, heads, width}).transpose(1, 2);
  const at::Tensor v = at::matmul(memory, wv.t()).view({windows, tokens, heads, width}).transpose(1, 2);
  const at::Tensor scores = at::matmul(q.view({windows, heads, 1, width}), k.transpose(2, 3));
  const at::Tensor p = at::softmax(scores + mask.view({windows, 1, 1, tokens}), -1);
  const at::Tensor expected = at::matmul(p, v).view({windows, 12});
  EXPECT_LT(largest_difference(single_query_attention(q, wk, wv, memory, mask, heads, {}), expected), 1e-5);
}

TEST(EncoderBuckets, equal_the_published_check_values) {
  const std::int64_t tokens = 260, middle = 200;
  const at::Tensor buckets = encoder_buckets(tokens, 32, 128).view({tokens, tokens})[middle];
  const std::vector<std::pair<std::int64_t, std::int64_t>> expected = {
      {-200, 15}, {-91, 15}, {-90, 14}, {-64, 14}, {-46, 13}, {-45, 12}, {-23, 11}, {-16, 10},
      {-12, 9},   {-11, 8},  {-8, 8},   {-7, 7},   {-1, 1},   {0, 0},    {1, 17},   {7, 23},
      {8, 24},    {11, 24},  {12, 25},  {16, 26},  {23, 27},  {45, 28},  {46, 29}};
  for (const auto& [distance, bucket] : expected) {
    EXPECT_EQ(buckets[middle + distance].item<std::int64_t>(), bucket) << distance;
  }
}

TEST(Kernels, softmax_stays_right_far_from_zero_and_all_instruction_sets_agree) {
  at::manual_seed(5);
  at::Tensor scores = at::randn({9, 37}) * 30.0;
  scores[3].fill_(-1e30);
  scores[4][5] = 1e4;
  const at::Tensor mask = at::zeros({37}), expected = at::softmax(scores.to(at::kDouble), -1);
  int count = 0;
  const Kernels* const* sets = all_kernels(count);
  for (int set = 0; set < count; ++set) {
    at::Tensor p = scores.clone();
    sets[set]->softmax_dropout({}, 9, 37, p.data_ptr<float>(), nullptr, mask.data_ptr<float>(), nullptr);
    EXPECT_LT(largest_difference(p.to(at::kDouble), expected), 1e-6) << sets[set]->name;
  }
}

}  // namespace
}  // namespace shelfcast::models
