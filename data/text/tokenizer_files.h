// The files of a published BERT tokenizer: its vocabulary and how it treats text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace shelfcast::data {

// What a published directory says about its texts.
struct TokenizerConfig {
  enum class StripAccents { as_lower_case, no, yes };
  bool do_lower_case = true;
  StripAccents strip_accents = StripAccents::as_lower_case;
  bool tokenize_chinese_chars = true;
  std::string unknown = "[UNK]", separator = "[SEP]", pad = "[PAD]", cls = "[CLS]", mask = "[MASK]";
  std::vector<std::string> never_split;  // words left whole besides the special tokens
};

struct TokenizerFiles {
  TokenizerConfig config;
  std::vector<std::string> tokens;  // by id
  std::string source;               // the file of the vocabulary, for messages
};

// Reads vocab.txt, or the vocabulary of tokenizer.json when that is absent, and tokenizer_config.json, or
// tokenizer.json's normalizer when that is absent. Throws Error(io) on an unreadable file, Error(data) on
// another kind of tokenizer and on added tokens, which ours has no rules for.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder);

}  // namespace shelfcast::data
