#include "trainer/text/series_texts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/safetensors.h"
#include "models/transfer.h"
#include "parallel/sharding.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDigest = "digest";
constexpr const char* kVectors = "vectors";

std::span<const std::byte> bytes_of(const at::Tensor& vectors) {
  return std::as_bytes(std::span(vectors.const_data_ptr<float>(), static_cast<std::size_t>(vectors.numel())));
}

void write_cache(const fs::path& path, const at::Tensor& vectors) {
  std::error_code failed;
  fs::create_directories(path.parent_path(), failed);
  if (failed) throw io_error(fmt::format("cannot make {}", path.parent_path().string()), failed.value());
  const TensorToStore stored{kVectors, DType::f32, vectors.sizes().vec(), bytes_of(vectors)};
  write_safetensors(path, {&stored, 1}, {{kDigest, digest_bytes(stored.bytes)}});
}

at::Tensor read_cache(const fs::path& path, std::int64_t texts, std::int64_t width) {
  const auto damaged = [&](const std::string& why) {
    return data_error(fmt::format("{} is damaged", path.string()), why,
                      "remove it: the texts are encoded again");
  };
  std::optional<SafetensorsFile> file;
  try {
    file.emplace(path);
    (void)file->at(kVectors);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw damaged(error.why().empty() ? error.problem() : error.why());
  }
  const StoredTensor& stored = file->at(kVectors);
  const auto digest = file->metadata().find(kDigest);
  if (stored.dtype != DType::f32 || stored.shape != std::vector<std::int64_t>{texts, width} ||
      digest == file->metadata().end() || digest->second != digest_bytes(stored.bytes))
    throw damaged("it does not hold the vectors that its name promises");
  at::Tensor vectors = at::empty({texts, width}, at::kFloat);
  stored.to_float(0, stored.elements(), vectors.mutable_data_ptr<float>());
  return vectors;
}

// Ascending, without -1.
std::vector<std::int64_t> distinct_rows(std::vector<std::int64_t> rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  if (!rows.empty() && rows.front() < 0) rows.erase(rows.begin());
  return rows;
}

std::int64_t place_of(const std::vector<std::int64_t>& sorted, std::int64_t row) {
  return std::lower_bound(sorted.begin(), sorted.end(), row) - sorted.begin();
}

at::Tensor encode(const std::vector<std::string>& texts, const data::TextColumn& column,
                  const models::ModelConfig& model) {
  const TextEncoder encoder(model);
  if (encoder.digest() != column.encoder)
    throw data_error(
        fmt::format("the text encoder in {} is not the one that the model was trained with", model.text),
        "its files have changed", "put the directory back as it was");
  return encoder.encode(texts);
}

// [texts, width] of a corpus' texts, by way of the cache.
at::Tensor corpus_vectors(const ProductTexts& all, const fs::path& corpus, const data::TextColumn& column,
                          const models::ModelConfig& model, parallel::Communicator& communicator) {
  const fs::path path = text_cache_path(corpus, column, all.texts);
  if (communicator.rank() == 0 && !fs::exists(path)) {
    write_cache(path, encode(all.texts, column, model));
    log::all("{} product texts encoded: {}", all.texts.size(), path.string());
  }
  communicator.barrier("product texts encoded");
  return read_cache(path, static_cast<std::int64_t>(all.texts.size()), column.width);
}

}  // namespace

SeriesTexts::SeriesTexts(const at::Tensor& vectors, std::vector<std::int64_t> row_of_series)
    : vectors_(at::cat({at::zeros({1, vectors.size(1)}), vectors})),
      row_of_series_(std::move(row_of_series)) {}

SeriesTexts::SeriesTexts(std::shared_ptr<const LiveTexts> texts, std::vector<std::int64_t> row_of_series)
    : live_(std::move(texts)), row_of_series_(std::move(row_of_series)) {}

std::int64_t SeriesTexts::row_of(const data::Window& window) const {
  return window.series < 0 ? -1 : row_of_series_.at(static_cast<std::size_t>(window.series));
}

at::Tensor SeriesTexts::of(const std::vector<data::Window>& window_b, const models::DropoutKeys* keys) const {
  if (!vectors_.defined() && !live_) return {};
  std::vector<std::int64_t> rows;
  rows.reserve(window_b.size());
  for (const data::Window& window : window_b) rows.push_back(row_of(window));
  if (!live_) {
    for (std::int64_t& row : rows) ++row;
    return vectors_.index_select(0, at::tensor(rows, at::kLong));
  }
  const std::vector<std::int64_t> distinct = distinct_rows(rows);
  for (std::int64_t& row : rows) row = row < 0 ? 0 : 1 + place_of(distinct, row);
  const at::Tensor encoded = live_->encode(distinct, keys);
  const at::Tensor of_none = at::zeros({1, live_->width()}, encoded.options());
  return at::cat({of_none, encoded}).index_select(0, models::sent(rows, encoded.device()));
}

SeriesTexts SeriesTexts::now(const std::vector<data::Window>& windows,
                             parallel::Communicator& communicator) const {
  if (!live_) return *this;
  std::vector<std::int64_t> rows;
  for (const data::Window& window : windows) rows.push_back(row_of(window));
  const std::vector<std::int64_t> distinct = distinct_rows(rows);
  const auto all = static_cast<std::int64_t>(distinct.size());
  const parallel::Slice own = parallel::slice_of(all, communicator.size(), communicator.rank());
  // Every row is encoded by one rank and is zero on the others, so their sum is exact.
  at::Tensor vectors = at::zeros({all, live_->width()});
  vectors.narrow(0, own.begin, own.size())
      .copy_(live_->encode_now(std::span(distinct).subspan(static_cast<std::size_t>(own.begin),
                                                           static_cast<std::size_t>(own.size()))));
  communicator.all_reduce(
      std::span(vectors.mutable_data_ptr<float>(), static_cast<std::size_t>(vectors.numel())),
      parallel::ReduceOp::sum, "product texts encoded");
  std::vector<std::int64_t> places;
  for (const std::int64_t row : row_of_series_) {
    const bool used = std::binary_search(distinct.begin(), distinct.end(), row);
    places.push_back(used ? place_of(distinct, row) : -1);
  }
  return {vectors, std::move(places)};
}

std::int64_t SeriesTexts::series_without() const {
  return std::count(row_of_series_.begin(), row_of_series_.end(), -1);
}

at::Tensor SeriesTexts::vectors() const {
  return vectors_.defined() ? vectors_.narrow(0, 1, vectors_.size(0) - 1) : vectors_;
}

ProductTexts::ProductTexts(const std::vector<std::string>& text_of_series) {
  std::unordered_map<std::string_view, std::int64_t> known;
  for (const std::string& text : text_of_series) {
    if (text.empty()) {
      row_of_series.push_back(-1);
      continue;
    }
    const auto [there, added] = known.try_emplace(text, static_cast<std::int64_t>(texts.size()));
    if (added) texts.push_back(text);
    row_of_series.push_back(there->second);
  }
}

std::unordered_map<std::string, std::string> text_of_item(const data::Corpus& corpus) {
  std::unordered_map<std::string, std::string> texts;
  for (data::Document& document : corpus.documents())
    texts.emplace(std::move(document.item), std::move(document.text));
  return texts;
}

std::vector<std::string> text_of_series(const data::Corpus& corpus) {
  const data::CorpusInfo& info = corpus.info();
  if (info.item_level.empty())
    throw input_error(
        fmt::format("data.text: the corpus {} has no item level", corpus.folder().string()),
        "texts belong to items",
        "name it in the map (levels: {item: COLUMN}) and ingest again, or set data.text: false");
  const std::unordered_map<std::string, std::string> of_item = text_of_item(corpus);
  if (of_item.empty())
    throw input_error(
        fmt::format("data.text: the corpus {} holds no product texts", corpus.folder().string()),
        "none were ingested",
        "name their column in the map (text: COLUMN) and ingest again, or set data.text: false");
  const std::size_t level = info.static_index(info.item_level);
  std::vector<std::string> texts;
  for (const std::int32_t code : corpus.static_codes(level)) {
    const auto found = code < 0
                           ? of_item.end()
                           : of_item.find(info.statics[level].vocabulary[static_cast<std::size_t>(code)]);
    texts.push_back(found == of_item.end() ? "" : found->second);
  }
  return texts;
}

data::TextColumn text_column(const models::ModelConfig& model, const data::Corpus& corpus) {
  (void)text_of_series(corpus);
  const TextEncoder encoder(model);
  return {encoder.width(), encoder.digest()};
}

fs::path text_cache_path(const fs::path& corpus, const data::TextColumn& column,
                         const std::vector<std::string>& texts) {
  // Not as JSON: texts that are not UTF-8 are named by the tokenizer.
  std::string all = column.encoder;
  for (const std::string& text : texts) all += fmt::format("\n{}:{}", text.size(), text);
  const fs::path folder = corpus.has_filename() ? corpus : corpus.parent_path();
  const std::string digest = digest_text(all);
  return folder.parent_path() / (folder.filename().string() + ".texts") /
         (digest.substr(digest.find(':') + 1) + ".safetensors");
}

SeriesTexts read_series_texts(const data::Corpus& corpus, const data::TextColumn& column,
                              const models::ModelConfig& model, parallel::Communicator& communicator) {
  if (column.width == 0) return {};
  const ProductTexts all(text_of_series(corpus));
  return {corpus_vectors(all, corpus.folder(), column, model, communicator), all.row_of_series};
}

SeriesTexts encode_series_texts(const std::vector<std::string>& text_of_series, const data::Corpus* corpus,
                                const data::TextColumn& column, const models::ModelConfig& model) {
  if (column.width == 0) return {};
  const ProductTexts wanted(text_of_series);
  const auto alone = parallel::make_single();
  const ProductTexts known(corpus == nullptr ? std::vector<std::string>() : trainer::text_of_series(*corpus));
  std::vector<at::Tensor> vectors = {at::empty({0, column.width}, at::kFloat)};
  if (corpus != nullptr) vectors.push_back(corpus_vectors(known, corpus->folder(), column, model, *alone));
  std::unordered_map<std::string_view, std::int64_t> row_of;
  for (const std::string& text : known.texts) row_of.emplace(text, static_cast<std::int64_t>(row_of.size()));
  std::vector<std::string> others;
  for (const std::string& text : wanted.texts)
    if (row_of.try_emplace(text, static_cast<std::int64_t>(row_of.size())).second) others.push_back(text);
  if (!others.empty()) vectors.push_back(encode(others, column, model));
  std::vector<std::int64_t> rows;
  for (const std::string& text : text_of_series) rows.push_back(text.empty() ? -1 : row_of.at(text));
  return {at::cat(vectors), std::move(rows)};
}

SeriesTexts live_series_texts(const data::Corpus& corpus, std::shared_ptr<const TrainedText> encoder,
                              const models::ModelConfig& model, const AugmentConfig& augment) {
  ProductTexts all(text_of_series(corpus));
  return {std::make_shared<const LiveTexts>(std::move(encoder), model, std::move(all.texts), augment),
          std::move(all.row_of_series)};
}

}  // namespace shelfcast::trainer
