// Against the reference Python package: files of tests/golden/make_bert.py.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/safetensors.h"
#include "models/text/bert.h"
#include "tests/support/paths.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;

std::vector<std::int32_t> integers(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  const auto* data = reinterpret_cast<const std::int32_t*>(tensor.bytes.data());
  return {data, data + tensor.elements()};
}

at::Tensor stored(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  std::vector<float> values = tensor.to_float();
  return at::from_blob(values.data(), tensor.shape, at::kFloat).clone();
}

// The reference's rows, text by text, cut into texts again.
std::vector<std::vector<std::int32_t>> by_text(const SafetensorsFile& file, const std::string& name) {
  const std::vector<std::int32_t> all = integers(file, name);
  std::vector<std::vector<std::int32_t>> texts;
  auto at = all.begin();
  for (const std::int32_t length : integers(file, "lengths")) {
    texts.emplace_back(at, at + length);
    at += length;
  }
  return texts;
}

std::vector<data::Encoding> encodings(const SafetensorsFile& file, const std::string& ids) {
  const auto id_lists = by_text(file, ids), types = by_text(file, "types");
  std::vector<data::Encoding> texts;
  for (std::size_t i = 0; i < id_lists.size(); ++i) texts.push_back({id_lists[i], types[i]});
  return texts;
}

// Rows in the order of the texts, as the reference has them.
at::Tensor in_text_order(const at::Tensor& hidden, const PackedTexts& packed,
                         const std::vector<data::Encoding>& texts) {
  std::vector<at::Tensor> rows;
  for (std::size_t i = 0; i < texts.size(); ++i)
    rows.push_back(hidden.narrow(0, packed.first_row[i], static_cast<std::int64_t>(texts[i].ids.size())));
  return at::cat(rows);
}

// The largest error over the largest reference value.
float error_of(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  return ((got - expected).abs().max() / expected.abs().max()).item<float>();
}

class BertGolden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const {
    return shelfcast::testing::source_dir() / "tests" / "golden" / "bert" / GetParam();
  }
  SafetensorsFile golden() const { return SafetensorsFile(folder() / "case.safetensors"); }
};

TEST_P(BertGolden, hidden_states_and_poolings_equal_the_padded_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder());
  const auto texts = encodings(file, "ids");
  const PackedTexts packed = pack_texts(texts, bert.config());
  const auto compare = [&] {
    const at::Tensor hidden = bert.forward(packed);
    EXPECT_LT(error_of(in_text_order(hidden, packed, texts), stored(file, "hidden")), 1e-5F);
    EXPECT_LT(error_of(bert.pool(hidden, packed, Pooling::mean), stored(file, "mean")), 1e-5F);
    EXPECT_LT(error_of(bert.pool(hidden, packed, Pooling::cls), stored(file, "cls")), 1e-5F);
    EXPECT_LT(
        error_of(l2_normalized(bert.pool(hidden, packed, Pooling::mean)), stored(file, "normalized_mean")),
        1e-5F);
    if (file.contains("pooler")) {
      EXPECT_LT(error_of(bert.pool(hidden, packed, Pooling::pooler), stored(file, "pooler")), 1e-5F);
    } else {
      EXPECT_THROW(bert.pool(hidden, packed, Pooling::pooler), Error);
    }
  };
  compare();  // as in training
  const at::NoGradGuard no_grad;
  compare();  // by the faster attention
}

// What make_bert.py keeps of a gradient.
std::array<double, 3> digest(const at::Tensor& gradient) {
  const at::Tensor flat = gradient.to(at::kDouble).flatten();
  const at::Tensor index = at::arange(flat.numel(), at::kDouble);
  const auto along = [&](double phase) {
    return flat.dot(at::cos(index * 0.37 + phase) + 0.1).item<double>();
  };
  return {along(0.0), along(1.0), flat.norm().item<double>()};
}

at::Tensor loss_of(const Bert& bert, const SafetensorsFile& file) {
  const PackedTexts packed = pack_texts(encodings(file, "masked_ids"), bert.config());
  const at::Tensor hidden = bert.forward(packed);
  if (!bert.masked_language()) {
    const at::Tensor pooled = bert.pool(hidden, packed, Pooling::mean).flatten();
    return (pooled * (at::cos(at::arange(pooled.numel(), at::kDouble) * 0.37) + 0.1).to(at::kFloat)).sum();
  }
  const auto labels = by_text(file, "labels");
  const MaskedLanguageLoss loss =
      masked_language_loss(*bert.masked_language(), hidden, pack_values(labels, packed, kNoLabel));
  std::int64_t labelled = 0;
  for (const std::int32_t label : integers(file, "labels")) labelled += label != kNoLabel;
  EXPECT_EQ(loss.tokens, labelled);
  return loss.sum / static_cast<double>(loss.tokens);
}

void compare_gradient(const Parameter& parameter, const std::array<double, 3>& got,
                      const at::Tensor& expected, double floor) {
  const double size = std::max(expected[2].item<double>(), floor);
  // A dot product's error is up to the vector's length times the gradient's.
  const double reach = std::sqrt(static_cast<double>(parameter.tensor.numel())) * size;
  EXPECT_NEAR(got[0] / reach, expected[0].item<double>() / reach, 1e-4) << parameter.name;
  EXPECT_NEAR(got[1] / reach, expected[1].item<double>() / reach, 1e-4) << parameter.name;
  EXPECT_NEAR(got[2] / size, expected[2].item<double>() / size, 1e-4) << parameter.name;
}

TEST_P(BertGolden, loss_and_every_gradient_equal_the_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder(), "");
  const at::Tensor loss = loss_of(bert, file);
  EXPECT_NEAR(loss.item<double>() / stored(file, "losses")[0].item<double>(), 1.0, 1e-5);
  loss.backward();
  // A key's bias shifts all scores of a query alike: its gradient is zero but for rounding.
  double largest = 0.0;
  std::size_t in_file = 0, compared = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    if (!name.starts_with("gradient.")) continue;
    largest = std::max(largest, static_cast<double>(tensor.to_float()[2]));
    // Another head of the checkpoint, which this loss does not reach.
    in_file += name.find("seq_relationship") == std::string::npos ? 1 : 0;
  }
  for (const Parameter& parameter : bert.parameters()) {
    const std::string published =
        file.contains("gradient." + parameter.name) ? "gradient." : "gradient.bert.";
    const at::Tensor& gradient = parameter.tensor.grad();
    compare_gradient(parameter, digest(gradient.defined() ? gradient : at::zeros_like(parameter.tensor)),
                     stored(file, published + parameter.name), 1e-4 * largest);
    ++compared;
  }
  EXPECT_EQ(compared, in_file);
}

// Loshchilov and Hutter, 2019, as the reference's optimizer has it.
struct AdamW {
  explicit AdamW(const std::vector<Parameter>& parameters) : all(parameters) {
    for (const Parameter& one : all) {
      first.push_back(at::zeros_like(one.tensor));
      second.push_back(at::zeros_like(one.tensor));
    }
  }
  void step() {
    const at::NoGradGuard no_grad;
    ++steps;
    for (std::size_t i = 0; i < all.size(); ++i) {
      at::Tensor weight = all[i].tensor;
      if (!weight.grad().defined()) continue;
      weight.mul_(1 - 1e-3 * 0.01);
      first[i].mul_(0.9).add_(weight.grad(), 0.1);
      second[i].mul_(0.999).addcmul_(weight.grad(), weight.grad(), 0.001);
      const double correction = std::sqrt(1 - std::pow(0.999, steps));
      weight.addcdiv_(first[i], second[i].sqrt().div_(correction).add_(1e-8),
                      -1e-3 / (1 - std::pow(0.9, steps)));
      weight.grad().zero_();
    }
  }
  std::vector<Parameter> all;
  std::vector<at::Tensor> first, second;
  int steps = 0;
};

TEST_P(BertGolden, five_steps_of_adamw_have_the_losses_of_the_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder());
  const at::Tensor expected = stored(file, "losses");
  AdamW optimizer(bert.parameters());
  for (std::int64_t step = 0; step < expected.size(0); ++step) {
    const at::Tensor loss = loss_of(bert, file);
    EXPECT_NEAR(loss.item<double>() / expected[step].item<double>(), 1.0, 1e-4) << "step " << step;
    loss.backward();
    optimizer.step();
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, BertGolden, ::testing::Values("uncased", "cased", "chinese"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::models
