// Code points of UTF-8 texts and what BERT's tokenizer needs to know of them. Character tables are
// utf8proc's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shelfcast::data {

// The code point that starts at byte `at` of `text`; moves `at` behind it. Throws Error(input) naming the
// byte offset when it is not UTF-8 (overlong forms and surrogates are not).
char32_t next_code_point(std::string_view text, std::size_t& at);
void append_utf8(std::string& text, char32_t code);
// How many code points valid UTF-8 holds.
std::size_t count_code_points(std::string_view text);

// What stands between spaces, in order. Throws what next_code_point throws.
std::vector<std::string_view> split_words(std::string_view text);

// How the tokenizer treats a code point.
enum class CharacterClass : std::uint8_t {
  letter,       // and everything not named below
  space,        // ends a word
  control,      // dropped: categories C*, U+FFFD
  punctuation,  // a word of its own: ASCII symbols, categories P*
  ideograph,    // a word of its own: CJK, but neither kana nor hangul
};
CharacterClass classify(char32_t code);
// A mark that is dropped with the accents (category Mn).
bool is_accent(char32_t code);

// Appends the lower case of one code point by itself, as Python's str.lower() of a single character.
void append_lower(std::string& text, char32_t code);

// What becomes of the accents of a word.
enum class Accents {
  compose,  // e + U+0301 becomes U+00E9 (NFC)
  strip,    // both become e (NFD without category Mn)
};
// Normalises a word of valid UTF-8.
std::string normalize(const std::string& word, Accents accents);

}  // namespace shelfcast::data
