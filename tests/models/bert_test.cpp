// The text tower's own promises: texts do not see each other, dropout is keyed, bad files are named.
#include "models/text/bert.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/safetensors.h"
#include "models/text/embed.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::models {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

fs::path golden(const std::string& name) { return shelfcast::testing::golden_dir() / "bert" / name; }

std::vector<std::string> some_texts() {
  return nlohmann::json::parse(read_file(golden("texts.json"))).get<std::vector<std::string>>();
}

struct Uncased : ::testing::Test {
  Bert bert = Bert::open(golden("uncased"));
  data::Tokenizer tokenizer{golden("uncased")};

  std::vector<data::Encoding> encode(const std::vector<std::string>& texts) const {
    std::vector<data::Encoding> all;
    for (const std::string& text : texts) all.push_back(tokenizer.encode(text));
    return all;
  }
  at::Tensor vectors(const std::vector<std::string>& texts, Pooling pooling,
                     const DropoutKeys* keys = nullptr) const {
    const PackedTexts packed = pack_texts(encode(texts), bert.config());
    return bert.pool(bert.forward(packed, keys), packed, pooling);
  }
};

// How many threads work inside operations, for one test.
struct Threads {
  explicit Threads(int count) : before(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before); }
  int before;
};

TEST_F(Uncased, a_texts_vector_has_the_same_bits_alone_and_in_any_batch) {
  const Threads one(1);
  const std::vector<std::string> texts = some_texts();
  const at::NoGradGuard no_grad;
  for (const Pooling pooling : {Pooling::mean, Pooling::cls, Pooling::pooler}) {
    const at::Tensor together = vectors(texts, pooling);
    for (std::size_t i = 0; i < texts.size(); ++i)
      ASSERT_TRUE(at::equal(vectors({texts[i]}, pooling)[0], together[static_cast<std::int64_t>(i)]))
          << texts[i];
  }
}

TEST_F(Uncased, dropout_follows_a_text_wherever_it_stands) {
  const std::vector<std::string> texts{"white heart", "red tea pot", "milk", "blue cup set"};
  const DropoutKeys forward{7, 3, {11, 12, 13, 14}}, backward{7, 3, {14, 13, 12, 11}};
  const at::Tensor one = vectors(texts, Pooling::mean, &forward);
  const at::Tensor other = vectors({texts.rbegin(), texts.rend()}, Pooling::mean, &backward).flip({0});
  EXPECT_TRUE(at::allclose(one, other, 0, 1e-6));
  const DropoutKeys next_step{7, 4, {11, 12, 13, 14}};
  EXPECT_FALSE(at::allclose(one, vectors(texts, Pooling::mean, &next_step), 0, 1e-2));
  EXPECT_FALSE(at::allclose(one, vectors(texts, Pooling::mean), 0, 1e-2));
}

TEST_F(Uncased, embedding_many_texts_equals_one_by_one_in_order_on_any_number_of_threads) {
  std::vector<std::string> texts = some_texts();
  texts.insert(texts.end(), texts.begin(), texts.begin() + 20);  // texts come again
  EmbedOptions options;
  options.batch = 7;
  options.length = EmbedOptions::Length::one;
  std::int64_t distinct = 0;
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    const Threads threads(count);
    results.push_back(
        embed(bert, tokenizer, texts, options, [&](std::int64_t, std::int64_t of) { distinct = of; }));
    EXPECT_EQ(distinct, static_cast<std::int64_t>(texts.size()) - 20);
  }
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
  const Threads one(1);
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < texts.size(); ++i)
    ASSERT_TRUE(at::equal(l2_normalized(vectors({texts[i]}, Pooling::mean))[0],
                          results[0][static_cast<std::int64_t>(i)]));
  EXPECT_EQ(embed(bert, tokenizer, {}, options).sizes(), (std::vector<std::int64_t>{0, 32}));
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was wrong";
}

TEST_F(Uncased, ids_beyond_the_vocabulary_and_overlong_texts_are_named) {
  std::vector<data::Encoding> texts = encode({"milk", "tea"});
  texts[1].ids[1] = 700;
  EXPECT_THAT(error_of([&] { pack_texts(texts, bert.config()); }),
              HasSubstr("text 1 of the batch has the token id 700"));
  texts[1] = {std::vector<std::int32_t>(161, 5), std::vector<std::int32_t>(161, 0)};
  EXPECT_THAT(error_of([&] { pack_texts(texts, bert.config()); }), HasSubstr("has 161 tokens"));
  texts[1] = {{2, 3}, {0, 2}};
  EXPECT_THAT(error_of([&] { pack_texts(texts, bert.config()); }), HasSubstr("token type 2"));
  const std::vector<std::string> broken{"tea", "caf\xE9"};
  EXPECT_THAT(error_of([&] { embed(bert, tokenizer, broken, {}); }),
              HasSubstr("text 2: the text is not UTF-8 at byte 3"));
  EmbedOptions options;
  options.max_tokens = 1000;
  EXPECT_THAT(error_of([&] { embed(bert, tokenizer, broken, options); }), HasSubstr("positions"));
}

TEST_F(Uncased, masks_hide_fifteen_percent_and_never_special_tokens) {
  data::Encoding text;
  text.ids.assign(2000000, 60);
  text.ids.front() = tokenizer.cls();
  text.ids.back() = tokenizer.separator();
  text.types.assign(text.ids.size(), 0);
  const MaskedText masked = mask_tokens(text, tokenizer, {1, 2, 3});
  EXPECT_EQ(masked.labels.front(), kNoLabel);
  EXPECT_EQ(masked.labels.back(), kNoLabel);
  double picked = 0, hidden = 0, kept = 0;
  std::vector<int> seen(700);
  for (std::size_t i = 0; i < text.ids.size(); ++i) {
    if (masked.labels[i] == kNoLabel) {
      ASSERT_EQ(masked.text.ids[i], text.ids[i]);
      continue;
    }
    ASSERT_EQ(masked.labels[i], text.ids[i]);
    ++picked;
    hidden += masked.text.ids[i] == tokenizer.mask();
    kept += masked.text.ids[i] == text.ids[i];
    ++seen[static_cast<std::size_t>(masked.text.ids[i])];
  }
  // Four standard deviations of each share.
  EXPECT_NEAR(picked / 1999998, 0.15, 4 * std::sqrt(0.15 * 0.85 / 1999998));
  EXPECT_NEAR(hidden / picked, 0.8 + 0.1 / 700, 4 * std::sqrt(0.8 * 0.2 / picked));
  EXPECT_NEAR(kept / picked, 0.1 + 0.1 / 700, 4 * std::sqrt(0.1 * 0.9 / picked));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << "some replacement never comes";
}

TEST_F(Uncased, masks_follow_seed_step_and_text_and_nothing_else) {
  const data::Encoding text = tokenizer.encode(some_texts().back());
  const auto masked = [&](MaskKeys keys) { return mask_tokens(text, tokenizer, keys).text.ids; };
  const std::uint64_t digest = key_of("some text");
  EXPECT_EQ(masked({1, 2, digest}), masked({1, 2, digest}));
  EXPECT_NE(masked({1, 2, digest}), masked({2, 2, digest}));
  EXPECT_NE(masked({1, 2, digest}), masked({1, 3, digest}));
  EXPECT_NE(masked({1, 2, digest}), masked({1, 2, digest + 1}));
}

// A copy of a published directory, to be damaged.
class DamagedModel : public ::testing::Test {
 protected:
  DamagedModel() {
    for (const char* file : {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"})
      fs::copy_file(golden("uncased") / file, folder_ / file);
  }
  void set(const std::string& key, const nlohmann::json& value) {
    auto config = nlohmann::json::parse(read_file(folder_ / "config.json"));
    config[key] = value;
    write_file_atomically(folder_ / "config.json", config.dump());
  }
  // Rewrites the weights; `change` sees every tensor and may drop it by clearing its name.
  void rewrite(const std::function<void(std::string& name, std::vector<float>& values)>& change) {
    std::vector<std::vector<float>> values;
    std::vector<TensorToStore> tensors;
    const SafetensorsFile file(folder_ / "model.safetensors");
    values.reserve(file.tensors().size());
    for (const auto& [name, tensor] : file.tensors()) {
      std::string now = name;
      values.push_back(tensor.to_float());
      change(now, values.back());
      if (!now.empty())
        tensors.push_back({now, DType::f32, tensor.shape, std::as_bytes(std::span(values.back()))});
    }
    write_safetensors(folder_ / "model.safetensors", tensors);
  }
  std::string error() const {
    return error_of([this] { Bert::open(folder_.path()); });
  }
  shelfcast::testing::TemporaryFolder folder_;
};

TEST_F(DamagedModel, other_architectures_activations_and_positions_are_named) {
  set("hidden_act", "snake");
  EXPECT_THAT(error(), HasSubstr("config.json has hidden_act \"snake\""));
  set("hidden_act", "gelu");
  set("position_embedding_type", "relative_key");
  EXPECT_THAT(error(), HasSubstr("position_embedding_type \"relative_key\""));
  set("position_embedding_type", "absolute");
  set("num_attention_heads", 5);
  EXPECT_THAT(error(), HasSubstr("num_attention_heads"));
  set("model_type", "roberta");
  EXPECT_THAT(error(), HasSubstr("of type \"roberta\""));
  write_file_atomically(folder_ / "config.json", "{\"model_type\": \"bert\"}");
  EXPECT_THAT(error(), HasSubstr("vocab_size"));
  fs::remove(folder_ / "config.json");
  EXPECT_THAT(error(), HasSubstr("holds no config.json"));
}

TEST_F(DamagedModel, sizes_that_are_none_or_fill_any_memory_are_named_with_file_and_key) {
  const std::string file = (folder_ / "config.json").string();
  const auto original = nlohmann::json::parse(read_file(folder_ / "config.json"));
  for (const char* key : {"num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings",
                          "num_attention_heads", "intermediate_size", "type_vocab_size"}) {
    for (const nlohmann::json& value :
         {nlohmann::json(1e12), nlohmann::json(1'000'000'000), nlohmann::json("many"), nlohmann::json(2.5)}) {
      set(key, value);
      EXPECT_THAT(error(), AllOf(StartsWith(file), HasSubstr(key))) << value;
      set(key, original.at(key));
    }
  }
  // As large as it may be, and far more than the weights hold.
  set("vocab_size", 1 << 24);
  EXPECT_THAT(error(), AllOf(StartsWith(file), HasSubstr("parameters")));
}

TEST_F(DamagedModel, truncated_missing_and_pickled_weights_are_named) {
  const fs::path file = folder_ / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 100);
  EXPECT_THAT(error(), HasSubstr("model.safetensors"));
  fs::rename(file, folder_ / "pytorch_model.bin");
  EXPECT_THAT(error(), HasSubstr("pytorch_model.bin must be saved as safetensors"));
}

TEST_F(DamagedModel, weights_that_are_not_numbers_are_named_by_tensor) {
  rewrite([](const std::string& name, std::vector<float>& values) {
    if (name == "bert.encoder.layer.1.output.dense.bias") values[3] = std::numeric_limits<float>::quiet_NaN();
  });
  EXPECT_THAT(error(), HasSubstr("\"bert.encoder.layer.1.output.dense.bias\""));
  EXPECT_THAT(error(), HasSubstr("not finite"));
}

TEST_F(DamagedModel, surplus_missing_and_misshapen_tensors_are_named) {
  rewrite([](std::string& name, std::vector<float>&) {
    if (name == "bert.embeddings.LayerNorm.bias") name = "bert.embeddings.LayerNorm.bent";
  });
  EXPECT_THAT(error(), HasSubstr("has no tensor \"embeddings.LayerNorm.bias\""));
  rewrite([](std::string& name, std::vector<float>&) {
    if (name == "bert.embeddings.LayerNorm.bent") name = "embeddings.LayerNorm.beta";
  });
  EXPECT_EQ(error(), "nothing was wrong");
  set("type_vocab_size", 3);
  EXPECT_THAT(error(), HasSubstr("the model needs [3, 32]"));
  set("type_vocab_size", 2);
  set("num_hidden_layers", 1);
  EXPECT_THAT(error(), HasSubstr("no place for"));
}

}  // namespace
}  // namespace shelfcast::models
