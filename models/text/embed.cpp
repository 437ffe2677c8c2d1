#include "models/text/embed.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "models/threads.h"

namespace shelfcast::models {

namespace {

// The distinct texts as ids, and which of them each text is.
struct Distinct {
  std::vector<data::Encoding> encodings;
  std::vector<std::int64_t> which;
};

Distinct tokenize(const data::Tokenizer& tokenizer, std::span<const std::string> texts,
                  std::int64_t max_tokens) {
  Distinct distinct;
  std::unordered_map<std::string_view, std::int64_t> known;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto [there, added] =
        known.try_emplace(texts[i], static_cast<std::int64_t>(distinct.encodings.size()));
    distinct.which.push_back(there->second);
    if (!added) continue;
    try {
      distinct.encodings.push_back(tokenizer.encode(texts[i], max_tokens));
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
  }
  return distinct;
}

// Vectors [rows, width] of some of the distinct texts.
at::Tensor encode(const Bert& bert, const Distinct& distinct, const std::vector<std::int64_t>& rows,
                  const EmbedOptions& options) {
  std::vector<data::Encoding> texts;
  for (const std::int64_t row : rows) texts.push_back(distinct.encodings[static_cast<std::size_t>(row)]);
  const PackedTexts packed = pack_texts(texts, bert.config());
  const at::Tensor pooled = bert.pool(bert.forward(packed), packed, options.pooling);
  return options.length == EmbedOptions::Length::one ? l2_normalized(pooled) : pooled;
}

}  // namespace

void EmbedOptions::validate(const BertConfig& config) const {
  if (max_tokens < 2 || max_tokens > config.max_position_embeddings)
    throw input_error(fmt::format("texts of up to {} tokens do not fit the model", max_tokens),
                      fmt::format("it has positions for 2 to {}", config.max_position_embeddings),
                      "choose another length");
  if (batch < 1) throw input_error(fmt::format("a batch of {} texts is not possible", batch), "", "use 64");
}

at::Tensor embed(const Bert& bert, const data::Tokenizer& tokenizer, std::span<const std::string> texts,
                 const EmbedOptions& options,
                 const std::function<void(std::int64_t done, std::int64_t of)>& progress) {
  options.validate(bert.config());
  const at::NoGradGuard no_grad;
  const Distinct distinct = tokenize(tokenizer, texts, options.max_tokens);
  const auto count = static_cast<std::int64_t>(distinct.encodings.size());
  std::vector<std::int64_t> order(distinct.encodings.size());
  std::iota(order.begin(), order.end(), 0);
  // The longest first: what memory does not hold fails at once.
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return distinct.encodings[static_cast<std::size_t>(a)].ids.size() >
           distinct.encodings[static_cast<std::size_t>(b)].ids.size();
  });
  at::Tensor vectors = at::empty({count, bert.config().hidden_size}, at::kFloat);
  std::mutex writing;
  std::int64_t done = 0;
  run_tasks((count + options.batch - 1) / options.batch, [&](std::int64_t number) {
    const std::int64_t first = number * options.batch, last = std::min(count, first + options.batch);
    const std::vector<std::int64_t> rows(order.begin() + first, order.begin() + last);
    const at::Tensor batch = encode(bert, distinct, rows, options);
    const std::lock_guard lock(writing);
    vectors.index_copy_(0, at::tensor(rows, at::kLong), batch.cpu());
    done += last - first;
    if (progress) progress(done, count);
  });
  return vectors.index_select(0, at::tensor(distinct.which, at::kLong));
}

}  // namespace shelfcast::models
