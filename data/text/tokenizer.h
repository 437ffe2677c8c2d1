// BERT's tokenizer: cleaning, words, WordPiece ids. Follows the reference's slow Python class (BertTokenizer
// of transformers) where it and the fast one differ: accents are composed before words are looked up.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizer_files.h"
#include "data/text/vocabulary.h"

namespace shelfcast::data {

// One text, or two, as a model takes it.
struct Encoding {
  std::vector<std::int32_t> ids;    // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]
  std::vector<std::int32_t> types;  // as many: 1 for b and its [SEP], else 0
};

// A text whose words (split_words) are known.
struct WordEncoding {
  static constexpr std::int32_t kNoPiece = -1;  // the word was cut off, or holds nothing that has an id
  Encoding encoding;
  std::vector<std::int32_t> first_piece;  // of each word: where its first id stands
};

// Immutable, free for all threads.
class Tokenizer {
 public:
  static constexpr std::int64_t kDefaultLength = 128;

  // Throws what read_tokenizer_files throws, and what the other constructor does.
  explicit Tokenizer(const std::filesystem::path& folder) : Tokenizer(read_tokenizer_files(folder)) {}
  // Throws Error(data) on a vocabulary that lacks a special token or holds a token twice.
  explicit Tokenizer(TokenizerFiles files);

  // At most `max_length` ids with the special tokens (at least 2, for pairs 3); the end of a long text is
  // cut, of a pair the end of the longer one, or of b when both are equally long. Special tokens written out
  // in a text count as such. Throws Error(input) naming the byte offset where a text is not UTF-8.
  Encoding encode(std::string_view text, std::int64_t max_length = kDefaultLength) const;
  // The same ids, and where words begin.
  WordEncoding encode_words(std::string_view text, std::int64_t max_length = kDefaultLength) const;
  Encoding encode_pair(std::string_view a, std::string_view b,
                       std::int64_t max_length = kDefaultLength) const;
  // Ids without special tokens around them, appended.
  void append_ids(std::string_view text, std::vector<std::int32_t>& ids) const;

  const TokenizerConfig& config() const { return config_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::int32_t cls() const { return cls_; }
  std::int32_t separator() const { return separator_; }
  std::int32_t pad() const { return pad_; }
  std::int32_t mask() const { return mask_; }
  std::int32_t unknown() const { return unknown_; }
  // "xxh3:..."; equal digests give equal ids.
  const std::string& digest() const { return digest_; }

 private:
  struct Whole {  // a token that is never split
    std::string text;
    std::int32_t id;
  };
  std::int32_t special(const std::string& token, const std::string& source);
  void protect(const std::string& word, std::int32_t id, std::vector<Whole>& list);
  void append_between(std::string_view text, std::size_t at, std::vector<std::int32_t>& ids) const;
  void append_word(std::string& word, bool ascii, std::vector<std::int32_t>& ids) const;
  bool append_whole(const std::string& word, std::vector<std::int32_t>& ids) const;
  void append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const;

  TokenizerConfig config_;
  Vocabulary vocabulary_;
  std::vector<Whole> specials_, words_;   // found anywhere in a text; only as whole words
  std::array<bool, 256> starts_whole_{};  // first bytes of both
  std::int32_t unknown_, separator_, pad_, cls_, mask_;
  std::string digest_;
};

}  // namespace shelfcast::data
