#include "data/text/tokenizer_files.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::data {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::optional<json> read_json(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& error) {
    throw data_error(fmt::format("{} is not JSON", path.string()), error.what(), "fetch the file again");
  }
}

// One token a line; only the line's end is cut off.
std::vector<std::string> read_vocabulary_lines(const fs::path& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> tokens;
  for (std::size_t start = 0; start < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', start), bytes.size());
    const bool windows = end > start && bytes[end - 1] == '\r';
    tokens.push_back(bytes.substr(start, end - start - (windows ? 1 : 0)));
    start = end + 1;
  }
  return tokens;
}

std::vector<std::string> vocabulary_of(const json& tokenizer, const fs::path& path) {
  const json& model = tokenizer.at("model");
  const std::string type = model.value("type", std::string("WordPiece"));
  if (type != "WordPiece" || model.value("continuing_subword_prefix", std::string("##")) != "##" ||
      model.value("max_input_chars_per_word", 100) != 100)
    throw data_error(fmt::format("{} describes a tokenizer of type \"{}\"", path.string(), type),
                     "only BERT's WordPiece with \"##\" and words of at most 100 characters is known",
                     "use a model of the BERT family");
  std::vector<std::optional<std::string>> places(model.at("vocab").size());
  for (const auto& [token, id] : model.at("vocab").items()) {
    const auto place = id.get<std::size_t>();
    if (place >= places.size() || places[place])
      throw data_error(fmt::format("{}: the id {} of \"{}\" is beyond the vocabulary or given twice",
                                   path.string(), place, token),
                       fmt::format("{} tokens need the ids 0 to {}", places.size(), places.size() - 1),
                       "fetch the file again");
    places[place] = token;
  }
  std::vector<std::string> tokens;
  for (auto& token : places) tokens.push_back(*std::move(token));
  return tokens;
}

using StripAccents = TokenizerConfig::StripAccents;

template <typename T>
void read_if_there(const json& j, const char* key, T& value) {
  if (const auto found = j.find(key); found != j.end() && !found->is_null()) found->get_to(value);
}

void read_accents(const json& j, TokenizerConfig& config) {
  if (const auto found = j.find("strip_accents"); found != j.end() && !found->is_null())
    config.strip_accents = found->get<bool>() ? StripAccents::yes : StripAccents::no;
}

// A special token is published as a string, or as an object with its "content".
void read_special(const json& j, const char* key, std::string& token) {
  const auto found = j.find(key);
  if (found == j.end() || found->is_null()) return;
  token = found->is_object() ? found->at("content").get<std::string>() : found->get<std::string>();
}

void read_specials(const json& j, TokenizerConfig& config) {
  read_special(j, "unk_token", config.unknown);
  read_special(j, "sep_token", config.separator);
  read_special(j, "pad_token", config.pad);
  read_special(j, "cls_token", config.cls);
  read_special(j, "mask_token", config.mask);
}

void refuse_added_tokens(const json& decoder, const TokenizerConfig& config, const fs::path& path) {
  const std::set<std::string> known{config.unknown, config.separator, config.pad, config.cls, config.mask};
  for (const auto& [id, token] : decoder.items()) {
    const auto content = token.at("content").get<std::string>();
    if (known.count(content) == 0)
      throw data_error(fmt::format("{} adds the token \"{}\" to the vocabulary", path.string(), content),
                       "added tokens follow rules of their own that are not known here",
                       "use a model without added tokens");
  }
}

void read_settings(const json& j, const fs::path& path, TokenizerConfig& config) {
  read_if_there(j, "do_lower_case", config.do_lower_case);
  read_if_there(j, "tokenize_chinese_chars", config.tokenize_chinese_chars);
  read_if_there(j, "never_split", config.never_split);
  read_accents(j, config);
  read_specials(j, config);
  if (!j.value("do_basic_tokenize", true))
    throw data_error(fmt::format("{} has do_basic_tokenize false", path.string()), "only true is known");
  if (j.contains("added_tokens_decoder")) refuse_added_tokens(j["added_tokens_decoder"], config, path);
}

void read_normalizer(const json& tokenizer, const fs::path& path, TokenizerConfig& config) {
  const auto found = tokenizer.find("normalizer");
  if (found == tokenizer.end() || found->is_null()) return;
  if (found->value("type", std::string()) != "BertNormalizer" || !found->value("clean_text", true))
    throw data_error(fmt::format("{} has another normalizer than BERT's", path.string()), "",
                     "use a model of the BERT family");
  read_if_there(*found, "lowercase", config.do_lower_case);
  read_if_there(*found, "handle_chinese_chars", config.tokenize_chinese_chars);
  read_accents(*found, config);
}

void read_into(TokenizerFiles& files, const fs::path& folder) {
  const fs::path lines = folder / "vocab.txt", whole = folder / "tokenizer.json";
  const fs::path settings = folder / "tokenizer_config.json", specials = folder / "special_tokens_map.json";
  const bool has_lines = fs::exists(lines);
  if (!has_lines && !fs::exists(whole))
    throw data_error(fmt::format("{} holds no vocabulary", folder.string()),
                     "there is neither vocab.txt nor tokenizer.json",
                     "point to the published directory of a BERT-family model");
  const auto config = read_json(settings);
  if (const auto map = read_json(specials)) read_specials(*map, files.config);
  if (has_lines) {
    files.source = lines.string();
    files.tokens = read_vocabulary_lines(lines);
  } else {
    files.source = whole.string();
    const json tokenizer = read_json(whole).value();
    files.tokens = vocabulary_of(tokenizer, whole);
    if (!config) read_normalizer(tokenizer, whole, files.config);
  }
  if (config) read_settings(*config, settings, files.config);
  if (fs::exists(folder / "added_tokens.json"))
    throw data_error(fmt::format("{} adds tokens to the vocabulary", (folder / "added_tokens.json").string()),
                     "added tokens follow rules of their own that are not known here",
                     "use a model without added tokens");
}

}  // namespace

TokenizerFiles read_tokenizer_files(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw input_error(fmt::format("there is no folder {}", folder.string()), "",
                      "give the published directory of a BERT-family model");
  TokenizerFiles files;
  try {
    read_into(files, folder);
  } catch (const json::exception& error) {
    throw data_error(fmt::format("the tokenizer in {} cannot be read", folder.string()), error.what(),
                     "fetch tokenizer_config.json, special_tokens_map.json and tokenizer.json again");
  }
  return files;
}

}  // namespace shelfcast::data
