#include "base/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast {
namespace {

using testing::TemporaryFolder;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// A file as anybody may have written it.
std::filesystem::path write_raw(const TemporaryFolder& folder, const std::string& header,
                                const std::string& data, std::int64_t claimed_length = -1) {
  const std::uint64_t length =
      claimed_length < 0 ? header.size() : static_cast<std::uint64_t>(claimed_length);
  std::string file(reinterpret_cast<const char*>(&length), 8);
  write_file_atomically(folder / "raw.safetensors", file + header + data);
  return folder / "raw.safetensors";
}

// Opening must fail as damaged data, naming the file and `word`.
void expect_damaged(const std::filesystem::path& path, const std::string& word) {
  try {
    const SafetensorsFile file(path);
    ADD_FAILURE() << "opened although " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(Safetensors, round_trip_keeps_everything) {
  const TemporaryFolder folder;
  const std::vector<float> weights = {1.5f, -2.0f, 3.25f};
  const std::vector<std::int64_t> ids = {7, -9};
  const std::vector<std::uint8_t> flags = {1, 0, 1};
  const std::vector<double> scalar = {0.1};
  write_safetensors(folder / "m.safetensors",
                    std::vector<TensorToStore>{{"flags", DType::boolean, {3}, bytes_of(flags)},
                                               {"weights", DType::f32, {3, 1}, bytes_of(weights)},
                                               {"ids", DType::i64, {2}, bytes_of(ids)},
                                               {"scalar", DType::f64, {}, bytes_of(scalar)},
                                               {"nothing", DType::f32, {0, 4}, {}},
                                               {"Gr\u00f6\u00dfe \"x\"", DType::u8, {3}, bytes_of(flags)}},
                    {{"format", "pt"}, {"note", "caf\u00e9"}});

  const SafetensorsFile file(folder / "m.safetensors");
  EXPECT_EQ(file.tensors().size(), 6u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("note"), "caf\u00e9");
  EXPECT_EQ(file.at("weights").to_float(), weights);
  EXPECT_EQ(file.at("weights").shape, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(file.at("scalar").elements(), 1);
  EXPECT_EQ(file.at("scalar").to_float(), std::vector<float>{0.1f});
  EXPECT_EQ(file.at("nothing").elements(), 0);
  EXPECT_EQ(std::memcmp(file.at("ids").bytes.data(), ids.data(), 16), 0);
  EXPECT_EQ(std::memcmp(file.at("Gr\u00f6\u00dfe \"x\"").bytes.data(), flags.data(), 3), 0);
}

TEST(Safetensors, tensors_are_aligned_to_their_elements) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> odd = {1, 2, 3};
  const std::vector<std::uint16_t> halves = {1};
  const std::vector<double> wide = {1.0};
  write_safetensors(folder / "m", std::vector<TensorToStore>{{"odd", DType::u8, {3}, bytes_of(odd)},
                                                             {"halves", DType::bf16, {1}, bytes_of(halves)},
                                                             {"wide", DType::f64, {1}, bytes_of(wide)}});
  const SafetensorsFile file(folder / "m");
  for (const auto& [name, tensor] : file.tensors())
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype), 0u) << name;
}

TEST(Safetensors, keeps_the_given_order_of_equal_dtypes) {
  const TemporaryFolder folder;
  const std::vector<float> one = {1.0f};
  write_safetensors(folder / "m", std::vector<TensorToStore>{{"z", DType::f32, {1}, bytes_of(one)},
                                                             {"a", DType::f32, {1}, bytes_of(one)}});
  const SafetensorsFile file(folder / "m");
  EXPECT_LT(file.at("z").bytes.data(), file.at("a").bytes.data());
}

TEST(Safetensors, a_file_without_tensors_is_sound) {
  const TemporaryFolder folder;
  write_safetensors(folder / "m", {});
  EXPECT_TRUE(SafetensorsFile(folder / "m").tensors().empty());
}

TEST(Safetensors, refuses_to_write_what_it_could_not_read) {
  const TemporaryFolder folder;
  const std::vector<float> one = {1.0f};
  const TensorToStore tensor{"a", DType::f32, {1}, bytes_of(one)};
  EXPECT_THROW(write_safetensors(folder / "m", std::vector{tensor, tensor}), Error);
  EXPECT_THROW(
      write_safetensors(folder / "m", std::vector<TensorToStore>{{"a", DType::f32, {2}, bytes_of(one)}}),
      Error);
  EXPECT_THROW(
      write_safetensors(folder / "m", std::vector<TensorToStore>{{"a", DType::f32, {-1}, bytes_of(one)}}),
      Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "m"));
}

TEST(Safetensors, a_missing_tensor_is_named_with_the_nearest_there_is) {
  const TemporaryFolder folder;
  const std::vector<float> one = {1.0f};
  write_safetensors(folder / "m",
                    std::vector<TensorToStore>{{"encoder.weight", DType::f32, {1}, bytes_of(one)}});
  try {
    SafetensorsFile(folder / "m").at("encoder.wieght");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("nearest is \"encoder.weight\""), std::string::npos);
  }
}

TEST(Safetensors, reads_tensors_at_odd_addresses) {
  const TemporaryFolder folder;
  const float value = 2.5f;
  const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const auto path = write_raw(folder, header, "x" + std::string(reinterpret_cast<const char*>(&value), 4));
  EXPECT_EQ(SafetensorsFile(path).at("f").to_float(), std::vector<float>{2.5f});
}

StoredTensor sixteen_bit(DType dtype, const std::vector<std::uint16_t>& bits) {
  return {dtype, {static_cast<std::int64_t>(bits.size())}, bytes_of(bits)};
}

TEST(StoredTensor, decodes_half_precision) {
  const std::vector<std::uint16_t> bits = {0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF,
                                           0x0400, 0x0001, 0x03FF, 0x7C00, 0xFC00};
  const std::vector<float> values = sixteen_bit(DType::f16, bits).to_float();
  const std::vector<float> expected = {0.0f,     -0.0f,           1.0f,     -2.0f,    65504.0f, 0x1p-14f,
                                       0x1p-24f, 1023 * 0x1p-24f, INFINITY, -INFINITY};
  for (std::size_t i = 0; i < bits.size(); ++i)
    EXPECT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << std::hex << bits[i];
  EXPECT_TRUE(std::isnan(sixteen_bit(DType::f16, {0x7E00}).to_float()[0]));
}

// Every half, compared with its definition: (-1)^s * 2^(e-15) * (1 + f/1024).
TEST(StoredTensor, decodes_every_finite_half) {
  for (int exponent = 0; exponent < 31; ++exponent) {
    for (int fraction = 0; fraction < 1024; ++fraction) {
      const double value = exponent == 0 ? std::ldexp(fraction / 1024.0, -14)
                                         : std::ldexp(1 + fraction / 1024.0, exponent - 15);
      const auto bits = static_cast<std::uint16_t>(exponent << 10 | fraction);
      const std::vector<std::uint16_t> both = {bits, static_cast<std::uint16_t>(bits | 0x8000)};
      const std::vector<float> decoded = sixteen_bit(DType::f16, both).to_float();
      ASSERT_EQ(decoded[0], static_cast<float>(value));
      ASSERT_EQ(decoded[1], static_cast<float>(-value));
    }
  }
}

TEST(StoredTensor, decodes_bfloat16) {
  const std::vector<std::uint16_t> bits = {0x3F80, 0xC000, 0x7F80, 0x0001, 0x4049};
  EXPECT_EQ(sixteen_bit(DType::bf16, bits).to_float(),
            (std::vector<float>{1.0f, -2.0f, INFINITY, 0x1p-133f, 3.140625f}));
}

TEST(StoredTensor, integers_are_not_floating_point) {
  const std::vector<std::int64_t> ids = {1};
  EXPECT_THROW((StoredTensor{DType::i64, {1}, bytes_of(ids)}.to_float()), Error);
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

std::string header_of(const std::vector<std::string>& tensors) {
  std::string text = "{";
  for (const std::string& one : tensors) text += (text.size() > 1 ? "," : "") + one;
  return text + "}";
}

TEST(DamagedSafetensors, missing_and_foreign_files_are_refused) {
  const TemporaryFolder folder;
  EXPECT_THROW(SafetensorsFile(folder / "absent"), Error);
  write_file_atomically(folder / "f", "");
  expect_damaged(folder / "f", "only 0 bytes");
  write_file_atomically(folder / "f", "1234567");
  expect_damaged(folder / "f", "only 7 bytes");
  write_file_atomically(folder / "f", "PK\x03\x04 this is a zip archive, or so it says");
  expect_damaged(folder / "f", "header claims");
}

TEST(DamagedSafetensors, header_lengths_that_lie_are_refused) {
  const TemporaryFolder folder;
  const std::string header = header_of({tensor("a", "F32", "[1]", "[0,4]")});
  expect_damaged(write_raw(folder, header, "1234", 1000), "truncated");
  expect_damaged(write_raw(folder, header, "1234", std::numeric_limits<std::int64_t>::max()), "claims");
  expect_damaged(write_raw(folder, header, "1234", 0), "not JSON");
  expect_damaged(write_raw(folder, header, "1234", static_cast<std::int64_t>(header.size()) - 1), "not JSON");
  expect_damaged(write_raw(folder, header, "1234", static_cast<std::int64_t>(header.size()) + 1), "JSON");
}

TEST(DamagedSafetensors, every_truncation_is_noticed) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3};
  write_safetensors(folder / "m", std::vector<TensorToStore>{{"a", DType::f32, {3}, bytes_of(values)}},
                    {{"k", "v"}});
  const std::string whole = read_file(folder / "m");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_file_atomically(folder / "cut", whole.substr(0, length));
    EXPECT_THROW(SafetensorsFile(folder / "cut"), Error) << length;
  }
  write_file_atomically(folder / "cut", whole + "x");
  expect_damaged(folder / "cut", "1 bytes after the last tensor");
}

TEST(DamagedSafetensors, no_flipped_bit_of_the_header_crashes) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3};
  write_safetensors(folder / "m", std::vector<TensorToStore>{{"a", DType::f32, {3}, bytes_of(values)}});
  const std::string whole = read_file(folder / "m");
  for (std::size_t bit = 0; bit < (whole.size() - 12) * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    write_file_atomically(folder / "flipped", flipped);
    try {
      const SafetensorsFile file(folder / "flipped");
      for (const auto& [name, stored] : file.tensors()) EXPECT_LE(stored.bytes.size(), 12u);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    }
  }
}

TEST(DamagedSafetensors, headers_that_are_not_what_they_should_be_are_refused) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& header, const std::string& word) {
    expect_damaged(write_raw(folder, header, "1234"), word);
  };
  refuse("not json", "not JSON");
  refuse("[1, 2]", "not a JSON object");
  refuse(R"({"a": 5})", "\"a\"");
  refuse(R"({"a": {"shape": [1], "data_offsets": [0, 4]}})", "dtype is missing");
  refuse(R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", "shape is missing");
  refuse(R"({"a": {"dtype": "F32", "shape": [1]}})", "data_offsets is missing");
  refuse(header_of({tensor("a", "F4", "[1]", "[0,4]")}), "dtype F4");
  refuse(header_of({tensor("a", "F32", "[-1]", "[0,4]")}), "not a natural number");
  refuse(header_of({tensor("a", "F32", "[1.0]", "[0,4]")}), "not a natural number");
  refuse(header_of({tensor("a", "F32", R"(["1"])", "[0,4]")}), "not a natural number");
  refuse(header_of({tensor("a", "F32", "[1]", "[0,4,8]")}), "not two numbers");
  refuse(header_of({tensor("a", "F32", "[1]", "[0,-4]")}), "not a natural number");
  refuse(R"({"__metadata__": {"step": 5}, )" + header_of({tensor("a", "F32", "[1]", "[0,4]")}).substr(1),
         "__metadata__");
  refuse(std::string(50'000, '['), "not JSON");
}

TEST(DamagedSafetensors, offsets_and_shapes_that_lie_are_refused) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::vector<std::string>& tensors, const std::string& word) {
    expect_damaged(write_raw(folder, header_of(tensors), "12345678"), word);
  };
  refuse({tensor("a", "F32", "[1]", "[0,4]"), tensor("b", "F32", "[1]", "[0,4]")}, "overlaps");
  refuse({tensor("a", "F32", "[1]", "[0,4]"), tensor("b", "U8", "[6]", "[2,8]")}, "overlaps");
  refuse({tensor("a", "F32", "[1]", "[4,8]")}, "unused bytes before");
  refuse({tensor("a", "F32", "[1]", "[0,4]")}, "after the last tensor");
  refuse({tensor("a", "F32", "[3]", "[0,12]")}, "truncated");
  refuse({tensor("a", "F32", "[3]", "[0,8]")}, "shape needs 12 bytes, 8 are stored");
  refuse({tensor("a", "F32", "[2]", "[8,0]")}, "end before they begin");
  refuse({tensor("a", "F32", "[4611686018427387904,4]", "[0,8]")}, "beyond 64 bits");
  refuse({tensor("a", "F32", "[18446744073709551615]", "[0,8]")}, "beyond 64 bits");
  refuse({tensor("a", "F32", "[2]", "[0,18446744073709551615]")}, "truncated");
}

TEST(DamagedSafetensors, a_name_given_twice_is_refused) {
  const TemporaryFolder folder;
  expect_damaged(
      write_raw(folder, header_of({tensor("a", "F32", "[1]", "[0,4]"), tensor("a", "F32", "[1]", "[4,8]")}),
                "12345678"),
      "named twice");
}

// A model in two shards, "a" in the first and "b" in the second, and the index that says so.
class Shards : public ::testing::Test {
 protected:
  Shards() {
    write("model-1.safetensors", "a");
    write("model-2.safetensors", "b");
    index(R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
  }
  void write(const std::string& file, const std::string& tensor) {
    const std::vector<float> values = {1.0f, 2.0f};
    write_safetensors(folder_ / file,
                      std::vector<TensorToStore>{{tensor, DType::f32, {2}, bytes_of(values)}});
  }
  void index(const std::string& text) {
    write_file_atomically(folder_ / "model.safetensors.index.json", text);
  }
  void expect_refused(const std::string& word) {
    try {
      const StoredWeights weights(folder_.path());
      ADD_FAILURE() << "opened although " << word;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
  TemporaryFolder folder_;
};

TEST_F(Shards, hold_one_model) {
  const StoredWeights weights(folder_.path());
  EXPECT_EQ(weights.tensors().size(), 2U);
  EXPECT_EQ(weights.at("b").to_float(), (std::vector<float>{1.0f, 2.0f}));
  weights.release(weights.at("b"));
  EXPECT_EQ(weights.at("b").to_float(), (std::vector<float>{1.0f, 2.0f}))
      << "released bytes can be read again";
  EXPECT_THROW((void)weights.at("c"), Error);
}

TEST_F(Shards, of_which_one_is_missing_or_damaged_are_refused) {
  std::filesystem::resize_file(folder_ / "model-2.safetensors", 30);
  expect_refused("model-2.safetensors");
  std::filesystem::remove(folder_ / "model-2.safetensors");
  expect_refused("model-2.safetensors");
}

TEST_F(Shards, that_do_not_hold_what_the_index_says_are_refused) {
  index(
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}})");
  expect_refused("\"c\"");
  index(R"({"weight_map": {"a": "model-1.safetensors", "c": "model-2.safetensors"}})");
  expect_refused("\"b\"");
}

TEST_F(Shards, with_an_index_that_is_none_or_leads_elsewhere_are_refused) {
  for (const char* text : {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": {"a": 1}})"}) {
    index(text);
    expect_refused("index.json");
  }
  index(R"({"weight_map": {"a": "../model-1.safetensors"}})");
  expect_refused("../model-1.safetensors");
}

TEST_F(Shards, a_folder_without_weights_is_refused_with_advice) {
  std::filesystem::remove(folder_ / "model.safetensors.index.json");
  expect_refused("model.safetensors");
}

}  // namespace
}  // namespace shelfcast
