#include "models/text/packed_texts.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace shelfcast::models {

namespace {

void check(const data::Encoding& text, std::size_t number, const BertConfig& config) {
  const auto complain = [number](const std::string& what, const std::string& why, const char* advice) {
    throw input_error(fmt::format("text {} of the batch {}", number, what), why, advice);
  };
  SHELFCAST_ASSERT(text.ids.size() == text.types.size());
  if (text.ids.empty()) complain("has no tokens", "", "even an empty text has its special tokens");
  if (static_cast<std::int64_t>(text.ids.size()) > config.max_position_embeddings)
    complain(fmt::format("has {} tokens", text.ids.size()),
             fmt::format("the model has positions for {}", config.max_position_embeddings),
             "cut texts to that length");
  for (std::size_t i = 0; i < text.ids.size(); ++i) {
    if (text.ids[i] < 0 || text.ids[i] >= config.vocab_size)
      complain(fmt::format("has the token id {}", text.ids[i]),
               fmt::format("the model's vocabulary holds {}", config.vocab_size),
               "tokenize with the vocabulary that was published with the model");
    if (text.types[i] < 0 || text.types[i] >= config.type_vocab_size)
      complain(fmt::format("has the token type {}", text.types[i]),
               fmt::format("the model knows {}", config.type_vocab_size), "give single texts");
  }
}

}  // namespace

PackedTexts pack_texts(std::span<const data::Encoding> texts, const BertConfig& config) {
  for (std::size_t i = 0; i < texts.size(); ++i) check(texts[i], i, config);
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return texts[a].ids.size() < texts[b].ids.size(); });
  PackedTexts packed;
  packed.place.resize(texts.size());
  packed.first_row.resize(texts.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto length = static_cast<std::int64_t>(texts[order[i]].ids.size());
    if (packed.groups.empty() || packed.groups.back().length != length)
      packed.groups.push_back({static_cast<std::int64_t>(i), 0, length, packed.tokens});
    ++packed.groups.back().texts;
    packed.place[order[i]] = static_cast<std::int64_t>(i);
    packed.first_row[order[i]] = packed.tokens;
    packed.tokens += length;
  }
  constexpr std::int64_t block = PackedTexts::kRowBlock;
  packed.rows = (packed.tokens + block - 1) / block * block;
  for (at::Tensor* tensor : {&packed.ids, &packed.types, &packed.positions})
    *tensor = at::zeros({packed.rows}, at::kLong);
  auto* ids = packed.ids.mutable_data_ptr<std::int64_t>();
  auto* types = packed.types.mutable_data_ptr<std::int64_t>();
  auto* positions = packed.positions.mutable_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::int64_t row = packed.first_row[i];
    std::copy(texts[i].ids.begin(), texts[i].ids.end(), ids + row);
    std::copy(texts[i].types.begin(), texts[i].types.end(), types + row);
    std::iota(positions + row, positions + row + texts[i].ids.size(), 0);
  }
  return packed;
}

at::Tensor pack_values(std::span<const std::vector<std::int32_t>> values, const PackedTexts& texts,
                       std::int64_t otherwise) {
  SHELFCAST_ASSERT(values.size() == texts.first_row.size());
  at::Tensor packed = at::full({texts.rows}, otherwise, at::kLong);
  auto* data = packed.mutable_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < values.size(); ++i)
    std::copy(values[i].begin(), values[i].end(), data + texts.first_row[i]);
  return packed;
}

}  // namespace shelfcast::models
