#include "models/weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

using shelfcast::testing::TemporaryFolder;

std::vector<Parameter> parameters(at::IntArrayRef shape) {
  return {{"tower.w", at::zeros(shape).set_requires_grad(true), true}};
}

template <typename T>
void store(const std::filesystem::path& path, DType dtype, const std::vector<T>& values) {
  write_safetensors(
      path, std::vector<TensorToStore>{
                {"w", dtype, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values))}});
}

TEST(LoadWeights, reads_every_floating_type) {
  const TemporaryFolder folder;
  const auto path = folder / "w.safetensors";
  const auto load = [&] {
    auto wanted = parameters({3});
    load_weights(path, "tower.", wanted);
    return wanted.front().tensor.detach();
  };
  const at::Tensor expected = at::tensor({1.0F, -0.5F, 2.0F});
  store(path, DType::f32, std::vector<float>{1.0F, -0.5F, 2.0F});
  EXPECT_TRUE(at::equal(load(), expected));
  store(path, DType::f64, std::vector<double>{1.0, -0.5, 2.0});
  EXPECT_TRUE(at::equal(load(), expected));
  store(path, DType::bf16, std::vector<std::uint16_t>{0x3F80, 0xBF00, 0x4000});
  EXPECT_TRUE(at::equal(load(), expected));
  store(path, DType::f16, std::vector<std::uint16_t>{0x3C00, 0xB800, 0x4000});
  EXPECT_TRUE(at::equal(load(), expected));
}

// Longer than what one thread takes, so that the pieces meet.
TEST(LoadWeights, reads_long_tensors_whole) {
  const TemporaryFolder folder;
  std::vector<float> values(300'001);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  store(folder / "w.safetensors", DType::f32, values);
  auto wanted = parameters({300'001});
  load_weights(folder / "w.safetensors", "tower.", wanted);
  EXPECT_TRUE(at::equal(wanted.front().tensor.detach(), at::arange(300'001, at::kFloat)));
}

void expect_refused(const std::filesystem::path& path, const std::vector<Parameter>& wanted,
                    const std::string& word) {
  try {
    load_weights(path, "tower.", wanted);
    ADD_FAILURE() << "loaded although " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    for (const std::string& part : {std::string("\"w\""), path.string(), word})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(LoadWeights, names_the_tensor_that_is_not_finite_misshapen_or_of_integers) {
  const TemporaryFolder folder;
  const auto path = folder / "w.safetensors";
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    store(path, DType::f32, std::vector<float>{1.0F, 2.0F, bad});
    expect_refused(path, parameters({3}), "not finite");
  }
  store(path, DType::bf16, std::vector<std::uint16_t>{0x3F80, 0x7FC0});
  expect_refused(path, parameters({2}), "not finite");
  store(path, DType::f32, std::vector<float>{1.0F, 2.0F});
  expect_refused(path, parameters({2, 1}), "shape");
  expect_refused(path, {}, "no place");
  store(path, DType::i64, std::vector<std::int64_t>{1, 2});
  expect_refused(path, parameters({2}), "I64");
}

}  // namespace
}  // namespace shelfcast::models
