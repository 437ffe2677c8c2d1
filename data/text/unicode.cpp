#include "data/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/error.h"

namespace shelfcast::data {

namespace {

[[noreturn]] void refuse(std::size_t offset) {
  throw input_error(fmt::format("the text is not UTF-8 at byte {}", offset), "",
                    "convert it to UTF-8, for example with iconv");
}

struct Range {
  char32_t first, last;
};
// As the reference has them; later blocks of ideographs are not among them.
constexpr Range kIdeographs[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                 {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF},
                                 {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};

bool is_ideograph(char32_t code) {
  if (code < 0x3400) return false;
  return std::any_of(std::begin(kIdeographs), std::end(kIdeographs),
                     [code](Range range) { return code >= range.first && code <= range.last; });
}

CharacterClass classify_ascii(char32_t code) {
  if (code == ' ' || code == '\t' || code == '\n' || code == '\r') return CharacterClass::space;
  if (code < 32 || code == 127) return CharacterClass::control;
  const bool symbol = code < 48 || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) || code >= 123;
  return symbol ? CharacterClass::punctuation : CharacterClass::letter;
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& at) {
  const std::size_t start = at;
  const auto byte = [&](std::size_t i) -> char32_t { return static_cast<unsigned char>(text[i]); };
  const char32_t lead = byte(at++);
  if (lead < 0x80) return lead;
  const std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - at < more) refuse(start);
  char32_t code = lead & (0x3FU >> more);
  for (std::size_t i = 0; i < more; ++i, ++at) {
    if ((byte(at) & 0xC0U) != 0x80U) refuse(start);
    code = code << 6 | (byte(at) & 0x3FU);
  }
  constexpr char32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) refuse(start);
  return code;
}

void append_utf8(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  for (utf8proc_ssize_t i = 0; i < length; ++i) text += static_cast<char>(bytes[i]);
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    if (classify(next_code_point(text, at)) != CharacterClass::space) continue;
    if (here > start) words.push_back(text.substr(start, here - start));
    start = at;
  }
  if (start < text.size()) words.push_back(text.substr(start));
  return words;
}

CharacterClass classify(char32_t code) {
  if (code < 128) return classify_ascii(code);
  if (code == 0xFFFD) return CharacterClass::control;
  if (is_ideograph(code)) {
    // Holes of the compatibility blocks are unassigned, and dropped like all of that category.
    return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_CN
               ? CharacterClass::control
               : CharacterClass::ideograph;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharacterClass::space;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return CharacterClass::control;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return CharacterClass::punctuation;
    default:
      return CharacterClass::letter;
  }
}

bool is_accent(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_MN;
}

void append_lower(std::string& text, char32_t code) {
  if (code == 0x130) {  // the one letter whose lower case is two code points
    text += "i\u0307";
    return;
  }
  append_utf8(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

std::string normalize(const std::string& word, Accents accents) {
  // At most 18 code points come of one (U+FDFA), canonically 4; a byte is at least a code point.
  std::vector<utf8proc_int32_t> codes(word.size() * 4);
  const auto decompose = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  auto length = utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t*>(word.data()),
                                   static_cast<utf8proc_ssize_t>(word.size()), codes.data(),
                                   static_cast<utf8proc_ssize_t>(codes.size()), decompose);
  SHELFCAST_ASSERT(length >= 0 && length <= static_cast<utf8proc_ssize_t>(codes.size()));
  if (accents == Accents::compose) {
    const auto compose = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    length = utf8proc_normalize_utf32(codes.data(), length, compose);
    SHELFCAST_ASSERT(length >= 0);
  }
  codes.resize(static_cast<std::size_t>(length));
  std::string result;
  for (const utf8proc_int32_t code : codes) {
    const auto one = static_cast<char32_t>(code);
    if (accents == Accents::compose || !is_accent(one)) append_utf8(result, one);
  }
  return result;
}

}  // namespace shelfcast::data
