// Any bytes as vocab.txt, tokenizer.json or a text: refused with a clear error, or encoding a text gives ids
// of the vocabulary. The first byte chooses which of them the rest is.
#include <string_view>

#include "data/text/tokenizer.h"
#include "tests/fuzz/input_folder.h"

namespace {

constexpr std::string_view kText = "Caf\xc3\xa9 au lait, 2\xc3\x97 250 g \xe5\x92\x96\xe5\x95\xa1 [MASK]!";
constexpr std::string_view kVocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n##b\nab\n##ab\n";

void expect_known_ids(const shelfcast::data::Tokenizer& tokenizer, std::string_view text) {
  for (const auto& encoding : {tokenizer.encode(text, 16), tokenizer.encode_pair(text, kText, 16)}) {
    if (encoding.ids.size() > 16 || encoding.ids.size() != encoding.types.size()) std::abort();
    for (const std::int32_t id : encoding.ids)
      if (id < 0 || id >= tokenizer.vocabulary().size()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using shelfcast::fuzz::expect_read_or_refused;
  static const shelfcast::fuzz::InputFolder folder, ours;
  static const shelfcast::data::Tokenizer known = [] {
    ours.write("vocab.txt", reinterpret_cast<const std::uint8_t*>(kVocabulary.data()), kVocabulary.size());
    return shelfcast::data::Tokenizer(ours.path());
  }();
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  if (bytes[0] == 't') {
    expect_read_or_refused([&] { expect_known_ids(known, rest); });
    return 0;
  }
  const char* name = bytes[0] == '{' ? "tokenizer.json" : "vocab.txt";
  const std::size_t skipped = bytes[0] == '{' ? 0 : 1;
  folder.write(name, bytes + skipped, size - skipped);
  expect_read_or_refused([] { expect_known_ids(shelfcast::data::Tokenizer(folder.path()), kText); });
  std::filesystem::remove(folder.path() / name);
  return 0;
}
