#include "data/text/vocabulary.h"

#include "base/error.h"
#include "data/text/unicode.h"

namespace shelfcast::data {

namespace {

constexpr std::uint32_t kRoot = 1;  // node 0 is "nowhere"

std::size_t slot_of(std::uint32_t key, int shift) {
  return static_cast<std::size_t>((key * 0x9E3779B1U) >> shift);
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::string& source)
    : tokens_(std::move(tokens)), ids_(2, -1), edges_(1U << 10), shift_(22) {
  for (std::size_t id = 0; id < tokens_.size(); ++id) {
    const std::string& token = tokens_[id];
    try {
      for (std::size_t at = 0; at < token.size();) next_code_point(token, at);
    } catch (const Error&) {
      throw data_error(fmt::format("{}: token {} is not UTF-8", source, id), "",
                       "fetch the vocabulary again; it is damaged or in another encoding");
    }
    std::uint32_t node = kRoot;
    for (const char c : token) node = add(node, static_cast<unsigned char>(c));
    if (ids_[node] >= 0)
      throw data_error(
          fmt::format("{} holds the token \"{}\" twice", source, token),
          fmt::format("as {} and as {}, counted from 0", ids_[node], id),
          "every token needs one id: remove one without moving the others, or fetch the file again");
    ids_[node] = static_cast<std::int32_t>(id);
  }
  continuation_ = walk(kRoot, "##");
}

std::uint32_t Vocabulary::step(std::uint32_t node, unsigned char byte) const {
  const std::uint32_t key = node << 8 | byte;
  for (std::size_t slot = slot_of(key, shift_);; slot = (slot + 1) & (edges_.size() - 1)) {
    if (edges_[slot].key == key) return edges_[slot].node;
    if (edges_[slot].key == 0) return 0;
  }
}

std::uint32_t Vocabulary::walk(std::uint32_t node, std::string_view bytes) const {
  for (std::size_t i = 0; i < bytes.size() && node != 0; ++i)
    node = step(node, static_cast<unsigned char>(bytes[i]));
  return node;
}

std::uint32_t Vocabulary::add(std::uint32_t node, unsigned char byte) {
  if (const std::uint32_t there = step(node, byte); there != 0) return there;
  const auto made = static_cast<std::uint32_t>(ids_.size());
  // Nodes share a word with a byte.
  if (made >= 1U << 24) throw data_error("the vocabulary is too large", "more than 16 million prefixes");
  ids_.push_back(-1);
  if (ids_.size() * 2 > edges_.size()) grow();
  const std::uint32_t key = node << 8 | byte;
  std::size_t slot = slot_of(key, shift_);
  while (edges_[slot].key != 0) slot = (slot + 1) & (edges_.size() - 1);
  edges_[slot] = {key, made};
  return made;
}

void Vocabulary::grow() {
  std::vector<Edge> larger(edges_.size() * 2);
  --shift_;
  for (const Edge& edge : edges_) {
    if (edge.key == 0) continue;
    std::size_t slot = slot_of(edge.key, shift_);
    while (larger[slot].key != 0) slot = (slot + 1) & (larger.size() - 1);
    larger[slot] = edge;
  }
  edges_ = std::move(larger);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view token) const {
  const std::uint32_t node = walk(kRoot, token);
  return ids_[node] < 0 ? std::nullopt : std::optional(ids_[node]);
}

bool Vocabulary::append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  std::uint32_t node = kRoot;
  for (std::size_t start = 0; start < word.size(); node = continuation_) {
    std::int32_t longest = -1;
    std::size_t end = start;
    for (std::size_t at = start; at < word.size() && node != 0; ++at) {
      node = step(node, static_cast<unsigned char>(word[at]));
      if (ids_[node] < 0) continue;
      longest = ids_[node];
      end = at + 1;
    }
    if (longest < 0) {
      ids.resize(before);
      return false;
    }
    ids.push_back(longest);
    start = end;
  }
  return true;
}

}  // namespace shelfcast::data
