// Each piece of arithmetic against double loops, on every instruction set this machine has.
#include "scorer/forward/ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "tests/scorer/random_model.h"

namespace shelfcast::scorer::testing {
namespace {

std::vector<float> normals(std::size_t count, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

class OpsTest : public ::testing::TestWithParam<Isa> {
 protected:
  const Ops& ops() const { return ops_for(GetParam()); }
};

TEST_P(OpsTest, dense_layers_equal_double_loops_for_all_shapes) {
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 29})
    for (const std::int64_t outputs : {1, 7, 16, 31, 32, 33, 130})
      for (const std::int64_t inputs : {1, 5, 64}) {
        const auto x = normals(rows * (inputs + 3), 1), w = normals(outputs * inputs, 2),
                   bias = normals(outputs, 3);
        const DenseLayer layer = pack(ops(), w, outputs, inputs, bias);
        const std::int64_t stride = outputs + 2;  // neighbours must stay as they are
        for (const Write write : {Write::store, Write::relu, Write::add}) {
          const auto before = normals(rows * stride, 4);
          auto y = before;
          ops().dense(layer, x.data(), inputs + 3, rows, y.data(), stride, write);
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t o = 0; o < stride; ++o) {
              double want = o < outputs ? bias[o] : 0.0;
              for (std::int64_t i = 0; i < inputs && o < outputs; ++i)
                want += static_cast<double>(x[r * (inputs + 3) + i]) * w[o * inputs + i];
              if (write == Write::relu) want = std::max(0.0, want);
              if (write == Write::add) want += before[r * stride + o];
              if (o >= outputs) want = before[r * stride + o];
              ASSERT_NEAR(y[r * stride + o], want, 1e-4) << rows << " " << outputs << " " << inputs;
            }
        }
      }
}

TEST_P(OpsTest, a_rows_result_has_the_same_bits_whatever_rows_are_beside_it) {
  const std::int64_t inputs = 100, outputs = 70, rows = 25;
  const auto x = normals(rows * inputs, 1);
  const DenseLayer layer = pack(ops(), normals(outputs * inputs, 2), outputs, inputs);
  std::vector<float> together(rows * outputs);
  ops().dense(layer, x.data(), inputs, rows, together.data(), outputs, Write::store);
  for (std::int64_t count = 1; count <= 8; ++count)
    for (std::int64_t first = 0; first + count <= rows; first += 3) {
      std::vector<float> some(count * outputs);
      ops().dense(layer, x.data() + first * inputs, inputs, count, some.data(), outputs, Write::store);
      for (std::int64_t i = 0; i < count * outputs; ++i) ASSERT_EQ(some[i], together[first * outputs + i]);
    }
}

TEST_P(OpsTest, norm_divides_by_the_root_mean_square) {
  for (const std::int64_t width : {1, 12, 64, 100}) {
    const auto x = normals(3 * width, 1), gain = normals(width, 2);
    std::vector<float> y(3 * width);
    ops().rms_norm(x.data(), gain.data(), 1e-6F, 3, width, y.data());
    for (std::int64_t r = 0; r < 3; ++r) {
      double square = 0.0;
      for (std::int64_t i = 0; i < width; ++i)
        square += std::pow(x[r * width + i], 2) / static_cast<double>(width);
      for (std::int64_t i = 0; i < width; ++i)
        ASSERT_NEAR(y[r * width + i], gain[i] * x[r * width + i] / std::sqrt(square + 1e-6), 1e-5);
    }
  }
}

// Attention over tokens at `position` in double; every key attended unless `masked`.
void check_self_attention(const Ops& ops, const std::vector<std::int32_t>& position, bool masked) {
  const std::int64_t tokens = std::ssize(position), heads = 3, width = 5, inner = heads * width, reach = 40;
  const auto qkv = normals(tokens * 3 * inner, 1), bias = normals(heads * (2 * reach + 1), 2);
  const std::vector<float> mask(tokens, std::numeric_limits<float>::lowest());
  Floats scratch(attention_scratch(tokens, tokens, width));
  std::vector<float> out(tokens * inner);
  Attention attention = Attention::among(tokens, heads, width, qkv.data());
  attention.bias = {bias.data(), reach, position.data(), masked ? mask.data() : nullptr};
  attention.scratch = scratch.data();
  attention.out = out.data();
  ops.attention(attention);
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::vector<double> p(tokens, 0.0);
      double sum = 0.0;
      for (std::int64_t r = 0; r < tokens; ++r) {
        for (std::int64_t i = 0; i < width; ++i)
          p[r] += static_cast<double>(qkv[t * 3 * inner + h * width + i]) *
                  qkv[r * 3 * inner + inner + h * width + i];
        p[r] += bias[h * (2 * reach + 1) + position[r] - position[t] + reach];
        p[r] = masked ? 1.0 : std::exp(p[r]);
        sum += p[r];
      }
      for (std::int64_t i = 0; i < width; ++i) {
        double want = 0.0;
        for (std::int64_t r = 0; r < tokens; ++r)
          want += p[r] / sum * qkv[r * 3 * inner + 2 * inner + h * width + i];
        ASSERT_NEAR(out[t * inner + h * width + i], want, 2e-5) << "token " << t << " head " << h;
      }
    }
}

TEST_P(OpsTest, self_attention_equals_double_loops) {
  for (const int tokens : {1, 2, 9, 33}) {
    std::vector<std::int32_t> position;
    for (int i = 0; i < tokens; ++i) position.push_back(i + 3);
    check_self_attention(ops(), position, false);
  }
}

TEST_P(OpsTest, self_attention_keeps_the_distances_across_left_out_tokens) {
  check_self_attention(ops(), {0, 1, 2, 7, 8, 20, 38}, false);
}

TEST_P(OpsTest, self_attention_without_an_attended_token_is_uniform) {
  check_self_attention(ops(), {0, 1, 2, 3, 4}, true);
}

TEST_P(OpsTest, a_few_queries_attend_as_they_would_among_all) {
  const std::int64_t tokens = 37, heads = 2, width = 6, inner = heads * width, asking = 5;
  const auto qkv = normals(tokens * 3 * inner, 1);
  Attention all = Attention::among(tokens, heads, width, qkv.data());
  Floats scratch(attention_scratch(tokens, tokens, width));
  std::vector<float> want(tokens * inner), got(asking * inner);
  all.scratch = scratch.data();
  all.out = want.data();
  ops().attention(all);
  Attention last = all;
  last.queries = asking;
  last.q += (tokens - asking) * last.q_stride;
  last.out = got.data();
  ops().attention(last);
  for (std::int64_t i = 0; i < asking * inner; ++i) ASSERT_EQ(got[i], want[(tokens - asking) * inner + i]);
}

TEST_P(OpsTest, rotation_turns_pairs_by_the_angle_of_their_position) {
  const std::int64_t rows = 3, heads = 2, width = 10, half = width / 2, stride = heads * width + 3;
  const std::vector<std::int32_t> position{0, 7, 4};
  std::vector<float> cos, sin;
  for (int p = 0; p < 8; ++p)
    for (int e = 0; e < half; ++e) {
      cos.push_back(std::cos(0.3F * static_cast<float>(p * (e + 1))));
      sin.push_back(std::sin(0.3F * static_cast<float>(p * (e + 1))));
    }
  const auto x = normals(rows * stride, 1);
  auto y = x;
  ops().rotate({rows, heads, width, stride, position.data(), cos.data(), sin.data(), y.data()});
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t e = 0; e < half; ++e) {
        const std::int64_t low = r * stride + h * width + e, high = low + half;
        const double angle = 0.3 * position[r] * static_cast<double>(e + 1);
        ASSERT_NEAR(y[low], x[low] * std::cos(angle) - x[high] * std::sin(angle), 1e-5);
        ASSERT_NEAR(y[high], x[low] * std::sin(angle) + x[high] * std::cos(angle), 1e-5);
      }
    for (std::int64_t i = heads * width; i < stride; ++i) ASSERT_EQ(y[r * stride + i], x[r * stride + i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, OpsTest, ::testing::ValuesIn(isas_here()),
                         [](const auto& i) { return to_string(i.param); });

}  // namespace
}  // namespace shelfcast::scorer::testing
