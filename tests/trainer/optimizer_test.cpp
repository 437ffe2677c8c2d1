#include "trainer/optimizer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/safetensors.h"
#include "tests/support/paths.h"
#include "trainer/weight_average.h"

namespace shelfcast::trainer {
namespace {

// The update of Loshchilov and Hutter, Algorithm 2, on one number in double.
struct Reference {
  double value, first = 0, second = 0;
  int steps = 0;
  void step(const OptimizerConfig& c, double lr, double decay, double gradient) {
    ++steps;
    first = c.beta1 * first + (1 - c.beta1) * gradient;
    second = c.beta2 * second + (1 - c.beta2) * gradient * gradient;
    const double unbiased = first / (1 - std::pow(c.beta1, steps));
    const double root = std::sqrt(second / (1 - std::pow(c.beta2, steps)));
    value = value - lr * decay * value - lr * unbiased / (root + c.eps);
  }
};

struct Setting {
  Setting() {
    at::manual_seed(1);
    a = at::randn({40'000}).set_requires_grad(true);  // several pieces
    b = at::randn({7}).set_requires_grad(true);
  }
  parallel::FlatBuffers buffers() const {
    return parallel::FlatBuffers({{"a", a, 1.0, true}, {"b", b, 0.25, false}});
  }
  at::Tensor a, b;
};

TEST(AdamW, equals_the_formula_in_double_with_scaled_gradients_rates_and_decay_by_range) {
  const Setting setting;
  parallel::FlatBuffers buffers = setting.buffers();
  OptimizerConfig config;
  config.weight_decay = 0.1;
  config.beta2 = 0.95;
  const auto optimizer = make_optimizer(config, buffers);
  std::vector<Reference> reference;
  for (const at::Tensor& tensor : {setting.a, setting.b}) {
    for (std::int64_t i = 0; i < tensor.numel(); i += tensor.numel() - 1) {
      reference.push_back({tensor.view(-1)[i].item<double>()});
    }
  }
  for (int step = 0; step < 20; ++step) {
    const double lr = 1e-2 / (1 + step);
    buffers.gradients().copy_(at::randn({buffers.elements()}));
    std::size_t next = 0;
    for (const at::Tensor& tensor : {setting.a, setting.b}) {
      const bool is_a = tensor.is_same(setting.a);
      for (std::int64_t i = 0; i < tensor.numel(); i += tensor.numel() - 1) {
        const double gradient = tensor.grad().view(-1)[i].item<double>() * 0.5;
        reference[next++].step(config, lr * (is_a ? 1.0 : 0.25), is_a ? 0.1 : 0.0, gradient);
      }
    }
    optimizer->step(lr, 0.5);
    // The random gradients above went into the padding between parameters, too, which no step touches.
    for (const at::Tensor& tensor : {setting.a, setting.b}) {
      EXPECT_EQ(tensor.grad().abs().max().item<float>(), 0.0F) << "gradients are not cleared";
    }
  }
  std::size_t next = 0;
  for (const at::Tensor& tensor : {setting.a, setting.b}) {
    for (std::int64_t i = 0; i < tensor.numel(); i += tensor.numel() - 1) {
      EXPECT_NEAR(tensor.view(-1)[i].item<double>(), reference[next++].value, 2e-6);
    }
  }
  EXPECT_EQ(optimizer->steps(), 20);
}

TEST(AdamW, goes_on_to_the_bit_from_stored_moments) {
  const auto gradient = [](std::int64_t elements, int step) {
    return at::sin(at::arange(elements, at::kFloat) * static_cast<double>(step + 1));
  };
  const Setting straight, stopped;
  parallel::FlatBuffers one = straight.buffers(), two = stopped.buffers();
  const auto whole = make_optimizer({}, one), before = make_optimizer({}, two);
  for (int step = 0; step < 6; ++step) {
    one.gradients().copy_(gradient(one.elements(), step));
    whole->step(1e-2, 1.0);
  }
  for (int step = 0; step < 3; ++step) {
    two.gradients().copy_(gradient(two.elements(), step));
    before->step(1e-2, 1.0);
  }
  const auto after = make_optimizer({}, two);
  for (std::size_t i = 0; i < before->state().size(); ++i)
    after->state()[i].values.copy_(before->state()[i].values);
  after->set_steps(before->steps());
  for (int step = 3; step < 6; ++step) {
    two.gradients().copy_(gradient(two.elements(), step));
    after->step(1e-2, 1.0);
  }
  EXPECT_TRUE(at::equal(one.values(), two.values()));
}

TEST(Sgd, equals_the_formula_in_double_with_and_without_momentum) {
  for (const double momentum : {0.0, 0.8}) {
    const Setting setting;
    parallel::FlatBuffers buffers = setting.buffers();
    OptimizerConfig config;
    config.name = "sgd";
    config.weight_decay = 0.1;
    config.momentum = momentum;
    const auto optimizer = make_optimizer(config, buffers);
    EXPECT_EQ(optimizer->state().size(), momentum > 0 ? 1U : 0U);
    at::Tensor value_a = setting.a.detach().to(at::kDouble).clone(), velocity_a = at::zeros_like(value_a);
    at::Tensor value_b = setting.b.detach().to(at::kDouble).clone(), velocity_b = at::zeros_like(value_b);
    for (int step = 0; step < 10; ++step) {
      buffers.gradients().copy_(at::randn({buffers.elements()}));
      velocity_a = momentum * velocity_a + 0.5 * setting.a.grad().to(at::kDouble);
      velocity_b = momentum * velocity_b + 0.5 * setting.b.grad().to(at::kDouble);
      value_a = value_a * (1 - 1e-2 * 0.1) - 1e-2 * velocity_a;
      value_b = value_b - 0.25e-2 * velocity_b;  // a quarter of the rate, no decay
      optimizer->step(1e-2, 0.5);
      EXPECT_EQ(setting.a.grad().abs().max().item<float>(), 0.0F) << "gradients are not cleared";
    }
    EXPECT_LT((setting.a.detach() - value_a).abs().max().item<double>(), 2e-6) << momentum;
    EXPECT_LT((setting.b.detach() - value_b).abs().max().item<double>(), 2e-6) << momentum;
  }
}

// Files of tests/golden/make_optimizers.py.
TEST(Adafactor, equals_transformers_with_and_without_rates_in_units_of_size) {
  const SafetensorsFile golden(shelfcast::testing::source_dir() / "tests/golden/optimizers.safetensors");
  const auto stored = [&](const std::string& name) {
    std::vector<float> values = golden.at(name).to_float();
    return at::from_blob(values.data(), golden.at(name).shape, at::kFloat).clone();
  };
  for (const std::string chosen : {"plain", "scaled"}) {
    const at::Tensor matrix = stored("start.matrix").set_requires_grad(true),
                     vector = stored("start.vector").set_requires_grad(true);
    parallel::FlatBuffers buffers({{"matrix", matrix}, {"vector", vector}});
    OptimizerConfig config;
    config.name = "adafactor";
    config.scale_parameter = chosen == "scaled";
    config.weight_decay = chosen == "scaled" ? 0.1 : 0.0;
    config.clip_threshold = chosen == "scaled" ? 0.3 : 1.0;
    const auto optimizer = make_optimizer(config, buffers);
    ASSERT_EQ(optimizer->state().size(), 1U);
    EXPECT_EQ(optimizer->state()[0].values.numel(), 5 + 7 + 6);
    for (int step = 0; step < 10; ++step) {
      matrix.grad().copy_(2.0 * stored(fmt::format("gradient.{}.matrix", step)));
      vector.grad().copy_(2.0 * stored(fmt::format("gradient.{}.vector", step)));
      optimizer->step(0.05 / (1 + step), 0.5);
      EXPECT_EQ(matrix.grad().abs().max().item<float>(), 0.0F) << "gradients are not cleared";
      if (step != 0 && step != 1 && step != 9) continue;
      const std::string after = fmt::format("adafactor.{}.{}.", chosen, step + 1);
      EXPECT_LT((matrix - stored(after + "matrix")).abs().max().item<double>(), 2e-6) << after;
      EXPECT_LT((vector - stored(after + "vector")).abs().max().item<double>(), 2e-7) << after;
    }
  }
}

TEST(WeightAverage, equals_torchs_exponential_moving_average_and_is_exchanged_for_the_weights) {
  const SafetensorsFile golden(shelfcast::testing::source_dir() / "tests/golden/optimizers.safetensors");
  const std::vector<float> numbers = golden.at("averaged").to_float();
  const auto row = [&](std::size_t i) {
    return at::tensor(std::vector<float>(numbers.begin() + 4 * static_cast<std::ptrdiff_t>(i),
                                         numbers.begin() + 4 * static_cast<std::ptrdiff_t>(i + 1)));
  };
  const at::Tensor weights = row(0).set_requires_grad(true);
  parallel::FlatBuffers buffers({{"weights", weights}});
  WeightAverage average(buffers, 0.9);
  for (std::size_t step = 1; step < 6; ++step) {
    weights.detach().copy_(row(step));
    average.update();
    const at::Tensor expected = at::tensor(golden.at(fmt::format("average.{}", step)).to_float());
    {
      const WeightAverage::Use use(average);
      EXPECT_TRUE(at::allclose(weights.detach(), expected, 1e-6, 1e-7)) << step;
    }
    EXPECT_TRUE(at::equal(weights.detach(), row(step)));
  }
  EXPECT_FALSE(WeightAverage(buffers, 0.0).active());
}

TEST(AdamW, gives_the_same_bits_for_any_number_of_threads) {
  const int before = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    const Setting setting;
    parallel::FlatBuffers buffers = setting.buffers();
    const auto optimizer = make_optimizer({}, buffers);
    for (int step = 0; step < 3; ++step) {
      buffers.gradients().copy_(at::cos(at::arange(buffers.elements(), at::kFloat)));
      optimizer->step(1e-2, 1.0);
    }
    results.push_back(buffers.values().clone());
  }
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

}  // namespace
}  // namespace shelfcast::trainer
