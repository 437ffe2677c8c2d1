// The scorer's text model against the reference Python package: files of tests/golden/make_bert.py.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/safetensors.h"
#include "scorer/text_encoder.h"
#include "tests/scorer/random_model.h"
#include "tests/support/paths.h"

namespace shelfcast::scorer::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::int32_t> integers(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  const auto* data = reinterpret_cast<const std::int32_t*>(tensor.bytes.data());
  return {data, data + tensor.elements()};
}

class ScorerBert : public ::testing::TestWithParam<std::tuple<const char*, Isa>> {
 protected:
  fs::path folder() const { return shelfcast::testing::golden_dir() / "bert" / std::get<0>(GetParam()); }
  // Compares all golden texts that are not pairs with the tensor `name`, [texts, width].
  void expect_golden(Pooling pooling, const std::string& name) const {
    const SafetensorsFile file(folder() / "case.safetensors");
    const Bert bert(folder(), pooling, ops_for(std::get<1>(GetParam())));
    const std::int64_t width = bert.config().width;
    const std::vector<float> expected = file.at(name).to_float();
    const auto ids = integers(file, "ids"), types = integers(file, "types"),
               lengths = integers(file, "lengths");
    float largest = 0.0F, worst = 0.0F;
    std::int64_t first = 0, compared = 0;
    for (std::size_t text = 0; text < lengths.size(); first += lengths[text++]) {
      if (std::count(types.begin() + first, types.begin() + first + lengths[text], 0) != lengths[text])
        continue;
      BertScratch scratch;
      std::vector<float> vector(static_cast<std::size_t>(width));
      bert.encode(std::span(ids).subspan(first, lengths[text]), scratch, vector.data());
      for (std::int64_t d = 0; d < width; ++d) {
        const float want = expected[text * static_cast<std::size_t>(width) + static_cast<std::size_t>(d)];
        largest = std::max(largest, std::abs(want));
        worst = std::max(worst, std::abs(vector[static_cast<std::size_t>(d)] - want));
      }
      ++compared;
    }
    EXPECT_GT(compared, 5);
    EXPECT_LT(worst, 1e-5F * largest) << name;
  }
};

TEST_P(ScorerBert, poolings_equal_the_reference) {
  expect_golden(Pooling::mean, "mean");
  expect_golden(Pooling::cls, "cls");
  if (SafetensorsFile(folder() / "case.safetensors").contains("pooler"))
    expect_golden(Pooling::pooler, "pooler");
}

INSTANTIATE_TEST_SUITE_P(All, ScorerBert,
                         ::testing::Combine(::testing::Values("cased", "uncased", "chinese"),
                                            ::testing::ValuesIn(isas_here())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" +
                                  to_string(std::get<1>(test.param));
                         });

TEST(TextEncoder, vectors_have_mean_square_1_and_do_not_depend_on_threads) {
  const TextEncoder encoder(shelfcast::testing::golden_dir() / "bert/uncased", small_config(),
                            ops_for(best_isa()));
  const std::vector<std::string> texts = {"Café crème", "苹果 juice, 1 l", "",
                                          std::string(5000, 'a') + " long"};
  const std::vector<float> vectors = encoder.encode(texts, 1);
  ASSERT_EQ(vectors.size(), texts.size() * 32);
  for (std::size_t text = 0; text < texts.size(); ++text) {
    double squares = 0.0;
    for (std::size_t d = 0; d < 32; ++d) squares += vectors[text * 32 + d] * vectors[text * 32 + d];
    EXPECT_NEAR(squares / 32.0, 1.0, 1e-5);
  }
  EXPECT_EQ(encoder.encode(texts, 3), vectors);
}

TEST(TextEncoder, what_does_not_fit_is_refused) {
  const fs::path folder = shelfcast::testing::golden_dir() / "bert/uncased";
  ModelConfig config = small_config();
  const TextEncoder encoder(folder, config, ops_for(best_isa()));
  EXPECT_THROW(encoder.encode({"fine", "\xff"}, 1), Error);
  config.text_width = 31;
  EXPECT_THROW(TextEncoder(folder, config, ops_for(best_isa())), Error);
  config = small_config();
  config.text_length = 161;  // the model has 160 positions
  EXPECT_THROW(TextEncoder(folder, config, ops_for(best_isa())), Error);
  config = small_config();
  config.text_pooling = "max";
  EXPECT_THROW(TextEncoder(folder, config, ops_for(best_isa())), Error);
}

}  // namespace
}  // namespace shelfcast::scorer::testing
