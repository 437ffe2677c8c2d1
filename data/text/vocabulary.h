// WordPiece vocabularies: tokens, their ids, and the longest piece that begins a word.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shelfcast::data {

// Immutable, free for all threads. Pieces are found by walking a trie over bytes, so that cutting a word
// costs about one step a byte.
class Vocabulary {
 public:
  // Token i has id i. `source` names the file in errors: Error(data) on a token given twice or not UTF-8.
  Vocabulary(std::vector<std::string> tokens, const std::string& source);

  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
  const std::string& token(std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }
  std::optional<std::int32_t> find(std::string_view token) const;

  // Appends the pieces of a word: the longest token that it begins with, then the longest "##" token of what
  // follows, and so on. False, with nothing appended, when some place has no piece.
  bool append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  // An edge of the trie in an open-addressing table: from `key` = node * 256 + byte to `node`; 0 is no edge.
  struct Edge {
    std::uint32_t key = 0, node = 0;
  };
  std::uint32_t step(std::uint32_t node, unsigned char byte) const;
  std::uint32_t walk(std::uint32_t node, std::string_view bytes) const;
  std::uint32_t add(std::uint32_t node, unsigned char byte);
  void grow();

  std::vector<std::string> tokens_;
  std::vector<std::int32_t> ids_;  // of the token that ends at a node; -1 = none
  std::vector<Edge> edges_;
  int shift_ = 0;
  std::uint32_t continuation_ = 0;  // the node of "##"
};

}  // namespace shelfcast::data
