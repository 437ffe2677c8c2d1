// Against the reference Python package: files of tests/golden/make_bert.py.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/safetensors.h"
#include "models/adapters/adapter.h"
#include "models/adapters/lora.h"
#include "models/text/bert.h"
#include "tests/models/adapter_golden.h"
#include "tests/models/golden.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using testing::digest_error;
using testing::error_of;
using testing::expect_below;
using testing::gradient_of;
using testing::stored;

std::vector<std::int32_t> integers(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& tensor = file.at(name);
  const auto* data = reinterpret_cast<const std::int32_t*>(tensor.bytes.data());
  return {data, data + tensor.elements()};
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

class BertGolden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return shelfcast::testing::golden_dir() / "bert" / GetParam(); }
  SafetensorsFile golden() const { return SafetensorsFile(folder() / "case.safetensors"); }
};

TEST_P(BertGolden, hidden_states_and_poolings_equal_the_padded_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder());
  const auto texts = encodings(file, "ids");
  const PackedTexts packed = pack_texts(texts, bert.config());
  const auto compare = [&] {
    const at::Tensor hidden = bert.forward(packed);
    expect_below("bert hidden", error_of(in_text_order(hidden, packed, texts), stored(file, "hidden")), 1e-5);
    expect_below("bert mean", error_of(bert.pool(hidden, packed, Pooling::mean), stored(file, "mean")), 1e-5);
    expect_below("bert cls", error_of(bert.pool(hidden, packed, Pooling::cls), stored(file, "cls")), 1e-5);
    expect_below(
        "bert normalized_mean",
        error_of(l2_normalized(bert.pool(hidden, packed, Pooling::mean)), stored(file, "normalized_mean")),
        1e-5);
    if (file.contains("pooler")) {
      expect_below("bert pooler",
                   error_of(bert.pool(hidden, packed, Pooling::pooler), stored(file, "pooler")), 1e-5);
    } else {
      EXPECT_THROW(bert.pool(hidden, packed, Pooling::pooler), Error);
    }
  };
  compare();  // as in training
  const at::NoGradGuard no_grad;
  compare();  // by the faster attention
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

TEST_P(BertGolden, loss_and_every_gradient_equal_the_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder(), "");
  const at::Tensor loss = loss_of(bert, file);
  expect_below("bert loss", std::abs(loss.item<double>() / stored(file, "losses")[0].item<double>() - 1.0),
               1e-5);
  loss.backward();
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
    // A key's bias shifts all scores of a query alike: its gradient is zero but for rounding.
    const double floor = parameter.name.ends_with("key.bias") ? 1e-3 : 1e-4;
    expect_below(
        "bert gradient",
        digest_error(gradient_of(parameter), stored(file, published + parameter.name), floor * largest), 1e-4,
        parameter.name);
    ++compared;
  }
  EXPECT_EQ(compared, in_file);
}

TEST_P(BertGolden, five_steps_of_adamw_have_the_losses_of_the_reference) {
  const SafetensorsFile file = golden();
  const Bert bert = Bert::open(folder());
  const at::Tensor expected = stored(file, "losses");
  testing::PlainAdamW optimizer(bert.parameters());
  for (std::int64_t step = 0; step < expected.size(0); ++step) {
    const at::Tensor loss = loss_of(bert, file);
    expect_below("bert loss in five steps",
                 std::abs(loss.item<double>() / expected[step].item<double>() - 1.0), 1e-4);
    loss.backward();
    optimizer.step();
  }
}

TEST(BertLoraGolden, an_adapter_of_peft_gives_its_hidden_states_and_merged_it_gives_them_too) {
  const at::NoGradGuard no_grad;
  const fs::path folder = testing::adapter_folder("bert"), base = testing::base_of(folder);
  const SafetensorsFile inputs(base / "case.safetensors"), golden(folder / "case.safetensors");
  const Bert bert = Bert::open(base);
  const auto texts = encodings(inputs, "ids");
  const PackedTexts packed = pack_texts(texts, bert.config());
  const auto error = [&](const char* name) {
    return error_of(in_text_order(bert.forward(packed), packed, texts), stored(golden, name));
  };
  expect_below("bert lora base", error("base.hidden"), 1e-5);
  const AdapterConfig config = read_adapter_config(folder);
  ParameterMaker make(1, ParameterMaker::Fill::draw);
  const std::vector<Parameter> parameters = attach_adapter(bert.parameters(), "text.", config, make);
  load_adapter(folder, parameters, "text.", config, base_digest(base));
  expect_below("bert lora hidden", error("adapted.hidden"), 1e-5);
  const shelfcast::testing::TemporaryFolder written;
  save_adapter(written.path(), parameters, "text.", config, base.string(), base_digest(base));
  testing::keep_for_peft(written.path(), folder);
  const std::vector<Parameter> merged = merge_lora(parameters);
  EXPECT_EQ(merged.size(), bert.parameters().size());
  expect_below("bert lora merged", error("adapted.hidden"), 1e-5);
  testing::expect_merged(golden, merged, "text.");
}

INSTANTIATE_TEST_SUITE_P(Cases, BertGolden, ::testing::Values("uncased", "cased", "chinese"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::models
