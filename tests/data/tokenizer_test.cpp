// Against the reference's slow Python tokenizer: files of tests/golden/make_bert.py.
#include "data/text/tokenizer.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "data/text/unicode.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace shelfcast::data {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

fs::path golden() { return shelfcast::testing::golden_dir() / "bert"; }

nlohmann::json json_of(const fs::path& path) { return nlohmann::json::parse(read_file(path)); }

class TokenizerGolden : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path folder() const { return golden() / GetParam(); }
  std::vector<std::string> texts() const { return json_of(golden() / "texts.json"); }
  nlohmann::json tokens() const { return json_of(folder() / "tokens.json"); }
};

TEST_P(TokenizerGolden, ids_of_texts_in_many_scripts_equal_the_reference) {
  const Tokenizer tokenizer(folder());
  const auto all = texts();
  const auto expected = tokens();
  ASSERT_GE(all.size(), 100U);
  ASSERT_EQ(all.size(), expected["ids"].size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(all[i], expected["length"]).ids, expected["ids"][i].get<Ids>()) << all[i];
    Ids whole;
    tokenizer.append_ids(all[i], whole);
    EXPECT_EQ(whole.size(), expected["whole"][i].get<std::size_t>()) << all[i];
  }
}

TEST_P(TokenizerGolden, words_have_the_ids_of_the_text_and_say_where_they_begin) {
  const Tokenizer tokenizer(folder());
  for (const std::string& text : texts())
    for (const std::int64_t length : {6, 128}) {
      const WordEncoding words = tokenizer.encode_words(text, length);
      EXPECT_EQ(words.encoding.ids, tokenizer.encode(text, length).ids) << text;
      EXPECT_EQ(words.encoding.types.size(), words.encoding.ids.size());
      const std::vector<std::string_view> all = split_words(text);
      ASSERT_EQ(words.first_piece.size(), all.size()) << text;
      std::size_t at = 1;
      for (std::size_t i = 0; i < all.size(); ++i) {
        Ids pieces;
        tokenizer.append_ids(all[i], pieces);
        const bool there = !pieces.empty() && at < static_cast<std::size_t>(length - 1);
        EXPECT_EQ(words.first_piece[i], there ? static_cast<std::int32_t>(at) : WordEncoding::kNoPiece)
            << text;
        at += pieces.size();
      }
    }
}

TEST(Words, stand_between_spaces_of_any_kind) {
  EXPECT_THAT(split_words(" white\t heart\u3000\u8336\u00a0x\n"),
              ElementsAre("white", "heart", "\u8336", "x"));
  EXPECT_TRUE(split_words(" \n ").empty());
  EXPECT_THROW(split_words("caf\xE9 "), Error);
}

TEST_P(TokenizerGolden, pairs_are_cut_and_typed_as_by_the_reference) {
  const Tokenizer tokenizer(folder());
  const auto all = texts();
  const auto expected = tokens();
  ASSERT_GE(expected["pairs"].size(), 30U);
  for (const auto& pair : expected["pairs"]) {
    const Encoding got = tokenizer.encode_pair(all.at(pair["a"].get<std::size_t>()),
                                               all.at(pair["b"].get<std::size_t>()), expected["pair_length"]);
    EXPECT_EQ(got.ids, pair["ids"].get<Ids>());
    EXPECT_EQ(got.types, pair["types"].get<Ids>());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, TokenizerGolden, ::testing::Values("uncased", "cased", "chinese"),
                         [](const auto& chosen) { return std::string(chosen.param); });

// A small vocabulary by hand; ids in this order.
const std::vector<std::string> kTokens{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",   "tea",
                                       "##pot", "##s",   "red",   "!",     "caf\u00E9"};

std::string lines(const std::vector<std::string>& tokens) {
  return fmt::format("{}\n", fmt::join(tokens, "\n"));
}

class TokenizerFolder : public ::testing::Test {
 protected:
  Tokenizer with_vocabulary(const std::string& bytes) {
    write_file_atomically(folder_ / "vocab.txt", bytes);
    return Tokenizer(folder_.path());
  }
  std::string error_with_vocabulary(const std::string& bytes) {
    try {
      with_vocabulary(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return error.what();
    }
    return "nothing was wrong";
  }
  shelfcast::testing::TemporaryFolder folder_;
};

TEST_F(TokenizerFolder, words_become_their_longest_pieces_and_unknown_ones_one_token) {
  const Tokenizer tokenizer = with_vocabulary(lines(kTokens));
  EXPECT_THAT(tokenizer.encode("Red TEAPOTS! teapotx").ids, ElementsAre(2, 8, 5, 6, 7, 9, 1, 3));
  EXPECT_THAT(tokenizer.encode("red [MASK]tea").ids, ElementsAre(2, 8, 4, 5, 3));
}

TEST_F(TokenizerFolder, line_ends_of_windows_do_not_belong_to_tokens) {
  const Tokenizer tokenizer = with_vocabulary(fmt::format("{}\r\n", fmt::join(kTokens, "\r\n")));
  EXPECT_THAT(tokenizer.encode("teapots").ids, ElementsAre(2, 5, 6, 7, 3));
}

TEST_F(TokenizerFolder, settings_beside_the_vocabulary_count) {
  write_file_atomically(folder_ / "tokenizer_config.json",
                        R"({"do_lower_case": true, "strip_accents": false, "never_split": ["tea!"]})");
  const Tokenizer kept = with_vocabulary(lines(kTokens));
  EXPECT_THAT(kept.encode("CAFE\u0301 tea!").ids, ElementsAre(2, 10, 1, 3));
  write_file_atomically(folder_ / "tokenizer_config.json", R"({"do_lower_case": true, "cls_token": "red"})");
  const Tokenizer renamed(folder_.path());
  EXPECT_THAT(renamed.encode("caf\u00E9").ids, ElementsAre(8, 1, 3));
  EXPECT_NE(kept.digest(), renamed.digest());
}

TEST_F(TokenizerFolder, tokenizer_json_serves_where_there_is_no_vocab_txt) {
  const auto expected = Tokenizer(golden() / "uncased").encode("Café crème 250g").ids;
  nlohmann::json whole;
  whole["model"]["type"] = "WordPiece";
  const auto words = Tokenizer(golden() / "uncased");
  for (std::int32_t id = 0; id < words.vocabulary().size(); ++id)
    whole["model"]["vocab"][words.vocabulary().token(id)] = id;
  whole["normalizer"] = {{"type", "BertNormalizer"}, {"lowercase", true}, {"strip_accents", nullptr}};
  write_file_atomically(folder_ / "tokenizer.json", whole.dump());
  EXPECT_EQ(Tokenizer(folder_.path()).encode("Café crème 250g").ids, expected);
  whole["model"]["type"] = "BPE";
  write_file_atomically(folder_ / "tokenizer.json", whole.dump());
  try {
    const Tokenizer tokenizer(folder_.path());
    FAIL() << "took a BPE tokenizer";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("of type \"BPE\""));
  }
}

TEST_F(TokenizerFolder, a_vocabulary_without_special_tokens_is_named) {
  EXPECT_THAT(error_with_vocabulary("tea\nred\n"), HasSubstr("lacks the special token \"[UNK]\""));
  EXPECT_THAT(error_with_vocabulary(""), HasSubstr("it holds 0 tokens"));
}

TEST_F(TokenizerFolder, a_token_given_twice_is_named_with_both_places) {
  EXPECT_THAT(error_with_vocabulary(lines(kTokens) + "red\n"),
              HasSubstr("holds the token \"red\" twice (as 8 and as 11"));
}

TEST_F(TokenizerFolder, a_vocabulary_in_another_encoding_is_an_error) {
  EXPECT_THAT(error_with_vocabulary(lines(kTokens) + "caf\xE9s\n"), HasSubstr("token 11 is not UTF-8"));
}

TEST_F(TokenizerFolder, text_that_is_not_utf8_is_named_by_its_byte) {
  const Tokenizer tokenizer = with_vocabulary(lines(kTokens));
  // A byte alone, a cut-off end, an overlong slash, a surrogate, beyond Unicode; behind a special token.
  for (const auto& [text, offset] : std::vector<std::pair<std::string, int>>{{"red caf\xE9 tea", 7},
                                                                             {"tea\xE4\xBD", 3},
                                                                             {"\xC0\xAF", 0},
                                                                             {"a\xED\xA0\x80", 1},
                                                                             {"ab\xF4\x90\x80\x80", 2},
                                                                             {"[MASK] \xFF", 7}}) {
    try {
      tokenizer.encode(text);
      FAIL() << "took byte " << offset;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_THAT(error.what(), HasSubstr(fmt::format("not UTF-8 at byte {} ", offset)));
    }
  }
}

TEST_F(TokenizerFolder, a_folder_without_vocabulary_and_no_folder_at_all_are_errors) {
  EXPECT_THROW(Tokenizer{folder_.path()}, Error);
  EXPECT_THROW(Tokenizer{folder_ / "absent"}, Error);
  write_file_atomically(folder_ / "tokenizer_config.json", "{");
  EXPECT_THAT(error_with_vocabulary(lines(kTokens)), HasSubstr("is not JSON"));
}

TEST_F(TokenizerFolder, a_length_without_room_for_special_tokens_is_an_error) {
  const Tokenizer tokenizer = with_vocabulary(lines(kTokens));
  EXPECT_THAT(tokenizer.encode("red tea", 2).ids, ElementsAre(2, 3));
  EXPECT_THROW(tokenizer.encode("red", 1), Error);
  EXPECT_THROW(tokenizer.encode_pair("red", "tea", 2), Error);
}

}  // namespace
}  // namespace shelfcast::data
