#include "data/text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "data/text/unicode.h"

namespace shelfcast::data {

namespace {

constexpr std::size_t kLongestWord = 100;  // code points; longer words are unknown, as in the reference

using StripAccents = TokenizerConfig::StripAccents;

bool strips_accents(const TokenizerConfig& config) {
  return config.strip_accents == StripAccents::as_lower_case ? config.do_lower_case
                                                             : config.strip_accents == StripAccents::yes;
}

std::string digest_of(const TokenizerConfig& config, const Vocabulary& vocabulary) {
  std::string all = fmt::format("wordpiece 1\n{} {} {}\n", config.do_lower_case, strips_accents(config),
                                config.tokenize_chinese_chars);
  for (const std::string& token : {config.unknown, config.separator, config.pad, config.cls, config.mask})
    all += token + '\n';
  for (const std::string& word : config.never_split) all += word + '\n';
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) all += vocabulary.token(id) + '\n';
  return digest_text(all);
}

void check_length(std::int64_t max_length, std::int64_t needed) {
  if (max_length < needed)
    throw input_error(fmt::format("a length of {} tokens has no room for the special tokens", max_length), "",
                      fmt::format("allow at least {}", needed));
}

}  // namespace

Tokenizer::Tokenizer(TokenizerFiles files)
    : config_(std::move(files.config)), vocabulary_(std::move(files.tokens), files.source) {
  unknown_ = special(config_.unknown, files.source);
  separator_ = special(config_.separator, files.source);
  pad_ = special(config_.pad, files.source);
  cls_ = special(config_.cls, files.source);
  mask_ = special(config_.mask, files.source);
  for (const std::string& word : config_.never_split)
    protect(word, vocabulary_.find(word).value_or(unknown_), words_);
  digest_ = digest_of(config_, vocabulary_);
}

std::int32_t Tokenizer::special(const std::string& token, const std::string& source) {
  const auto id = vocabulary_.find(token);
  if (token.empty() || !id)
    throw data_error(
        fmt::format("{} lacks the special token \"{}\"", source, token),
        fmt::format("it holds {} tokens", vocabulary_.size()),
        "is this BERT's vocabulary? Its tokenizer_config.json may give special tokens other names");
  protect(token, *id, specials_);
  return *id;
}

void Tokenizer::protect(const std::string& word, std::int32_t id, std::vector<Whole>& list) {
  if (word.empty()) return;
  list.push_back({word, id});
  // The longest is tried first.
  std::sort(list.begin(), list.end(),
            [](const Whole& a, const Whole& b) { return a.text.size() > b.text.size(); });
  starts_whole_[static_cast<unsigned char>(word[0])] = true;
}

Encoding Tokenizer::encode(std::string_view text, std::int64_t max_length) const {
  check_length(max_length, 2);
  Encoding result;
  result.ids.push_back(cls_);
  append_ids(text, result.ids);
  result.ids.resize(std::min(result.ids.size(), static_cast<std::size_t>(max_length - 1)));
  result.ids.push_back(separator_);
  result.types.resize(result.ids.size());
  return result;
}

WordEncoding Tokenizer::encode_words(std::string_view text, std::int64_t max_length) const {
  check_length(max_length, 2);
  WordEncoding result;
  std::vector<std::int32_t>& ids = result.encoding.ids;
  ids.push_back(cls_);
  const auto room = static_cast<std::size_t>(max_length - 1);
  for (const std::string_view word : split_words(text)) {
    const std::size_t first = ids.size();
    append_ids(word, ids);
    const bool there = ids.size() > first && first < room;
    result.first_piece.push_back(there ? static_cast<std::int32_t>(first) : WordEncoding::kNoPiece);
  }
  ids.resize(std::min(ids.size(), room));
  ids.push_back(separator_);
  result.encoding.types.resize(ids.size());
  return result;
}

Encoding Tokenizer::encode_pair(std::string_view a, std::string_view b, std::int64_t max_length) const {
  check_length(max_length, 3);
  std::vector<std::int32_t> first, second;
  append_ids(a, first);
  append_ids(b, second);
  const auto room = static_cast<std::size_t>(max_length - 3);
  if (first.size() + second.size() > room) {
    // Cutting one by one from the longer ends with equal halves, unless one is shorter than that.
    const std::size_t half = room / 2, whole_b = std::min(second.size(), half);
    const std::size_t left = std::min(first.size(), room - whole_b);
    first.resize(left);
    second.resize(room - left);
  }
  Encoding result;
  result.ids.push_back(cls_);
  result.ids.insert(result.ids.end(), first.begin(), first.end());
  result.ids.push_back(separator_);
  result.types.resize(result.ids.size(), 0);
  result.ids.insert(result.ids.end(), second.begin(), second.end());
  result.ids.push_back(separator_);
  result.types.resize(result.ids.size(), 1);
  return result;
}

void Tokenizer::append_ids(std::string_view text, std::vector<std::int32_t>& ids) const {
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!starts_whole_[static_cast<unsigned char>(text[at])]) continue;
    const auto found = std::find_if(specials_.begin(), specials_.end(), [&](const Whole& whole) {
      return text.substr(at).starts_with(whole.text);
    });
    if (found == specials_.end()) continue;
    append_between(text.substr(0, at), start, ids);
    ids.push_back(found->id);
    start = at + found->text.size();
    at = start - 1;
  }
  append_between(text, start, ids);
}

// What follows `at`, without special tokens: words between spaces, ideographs as words of their own.
void Tokenizer::append_between(std::string_view text, std::size_t at, std::vector<std::int32_t>& ids) const {
  std::string word;
  bool ascii = true;
  const auto end_word = [&] {
    if (!word.empty()) append_word(word, ascii, ids);
    word.clear();
    ascii = true;
  };
  while (at < text.size()) {
    const std::size_t here = at;
    const char32_t code = next_code_point(text, at);
    switch (classify(code)) {
      case CharacterClass::control:
        continue;
      case CharacterClass::space:
        end_word();
        continue;
      case CharacterClass::ideograph:
        if (config_.tokenize_chinese_chars) {
          end_word();
          if (code >= 0x4E00 && code <= 0x9FFF) {  // has no other form
            append_pieces(text.substr(here, at - here), ids);
            continue;
          }
          append_utf8(word, code);
          ascii = false;
          end_word();
          continue;
        }
        break;
      default:
        break;
    }
    if (code < 128) {
      const bool upper = config_.do_lower_case && code >= 'A' && code <= 'Z';
      word += static_cast<char>(upper ? code + 32 : code);
    } else {
      ascii = false;
      if (config_.do_lower_case) {
        append_lower(word, code);
      } else {
        append_utf8(word, code);
      }
    }
  }
  end_word();
}

// Accents, then punctuation, then pieces. `word` is in lower case where that is wanted.
void Tokenizer::append_word(std::string& word, bool ascii, std::vector<std::int32_t>& ids) const {
  if (append_whole(word, ids)) return;
  if (!ascii) {
    word = normalize(word, strips_accents(config_) ? Accents::strip : Accents::compose);
    if (append_whole(word, ids)) return;
  }
  std::size_t start = 0;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t here = at;
    if (classify(next_code_point(word, at)) != CharacterClass::punctuation) continue;
    append_pieces(std::string_view(word).substr(start, here - start), ids);
    append_pieces(std::string_view(word).substr(here, at - here), ids);
    start = at;
  }
  append_pieces(std::string_view(word).substr(start), ids);
}

bool Tokenizer::append_whole(const std::string& word, std::vector<std::int32_t>& ids) const {
  if (word.empty() || !starts_whole_[static_cast<unsigned char>(word[0])]) return false;
  for (const auto* list : {&specials_, &words_}) {
    for (const Whole& whole : *list) {
      if (whole.text != word) continue;
      ids.push_back(whole.id);
      return true;
    }
  }
  return false;
}

void Tokenizer::append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  const bool too_long = word.size() > kLongestWord && count_code_points(word) > kLongestWord;
  if (too_long || !vocabulary_.append_pieces(word, ids)) ids.push_back(unknown_);
}

}  // namespace shelfcast::data
