#include "trainer/text/label_model.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/json_file.h"
#include "base/random.h"
#include "models/threads.h"
#include "models/weights.h"
#include "trainer/run/checkpoint.h"
#include "trainer/text/text_encoder.h"

namespace shelfcast::trainer {
namespace {

namespace fs = std::filesystem;

constexpr const char *kNamesFile = "labels.json", *kWeightsFile = "model.safetensors", *kPrefix = "labels.";

// Only a class of the whole text is read off a pooled vector.
models::BertParts parts_for(const Recipe& recipe, const LabelNames& names) {
  if (names.classes.empty()) return {.pooler = false, .masked_language = false};
  return demand_text_parts(recipe.model);
}

LabelNames read_names(const fs::path& file) {
  const nlohmann::json json = read_json(file);
  try {
    return {json.at("classes").get<std::vector<std::string>>(),
            json.at("tags").get<std::vector<std::string>>()};
  } catch (const nlohmann::json::exception& error) {
    throw data_error(fmt::format("{} does not name the labels", file.string()), error.what(),
                     "the file is damaged: use another checkpoint");
  }
}

models::LabelHeads make_heads(const models::BertConfig& config, const models::LabelCounts& counts,
                              std::uint64_t seed, models::ParameterMaker::Fill fill) {
  models::ParameterMaker maker(seed, fill);
  return {config, counts, maker};
}

}  // namespace

LabelModel::LabelModel(TrainedText text, const Recipe& recipe, LabelNames names, std::uint64_t seed,
                       models::ParameterMaker::Fill fill)
    : names_(std::move(names)),
      text_(std::move(text)),
      pooling_(models::pooling_from(recipe.model.text_pooling)),
      length_(recipe.model.text_length),
      heads_(make_heads(text_.bert().config(), names_.counts(), seed, fill)) {}

LabelModel::LabelModel(const Recipe& recipe, const LabelNames& names)
    : LabelModel(TrainedText(text_model_folder(recipe.model.text), recipe.model, parts_for(recipe, names),
                             recipe.model.text_start, static_cast<std::uint64_t>(recipe.run.seed)),
                 recipe, names, static_cast<std::uint64_t>(recipe.run.seed),
                 models::ParameterMaker::Fill::draw) {}

LabelModel LabelModel::open(const fs::path& checkpoint, const Recipe& recipe) {
  const fs::path folder = checkpoint / kLabelsFolder;
  const LabelNames names = read_names(folder / kNamesFile);
  LabelModel model(TrainedText(checkpoint / kTextFolder, recipe.model, parts_for(recipe, names)), recipe,
                   names, 0, models::ParameterMaker::Fill::leave);
  models::load_weights(folder / kWeightsFile, kPrefix, model.heads_.parameters());
  return model;
}

void LabelModel::save(const fs::path& checkpoint, const std::vector<models::Parameter>& text,
                      const std::vector<models::Parameter>& heads) const {
  text_.save(checkpoint / kTextFolder, text);
  const fs::path folder = checkpoint / kLabelsFolder;
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw io_error("cannot make " + folder.string(), failed.value());
  const nlohmann::json names = {{"classes", names_.classes}, {"tags", names_.tags}};
  write_file_atomically(folder / kNamesFile, names.dump(2) + "\n");
  models::save_weights(folder / kWeightsFile, kPrefix, heads);
}

LabelInput LabelModel::encode(const std::string& text) const {
  return {text_.tokenizer().encode_words(text, length_), key_of(text)};
}

models::LabelLogits LabelModel::forward(std::span<const LabelInput* const> texts,
                                        models::DropoutKeys* keys) const {
  std::vector<data::Encoding> encodings;
  for (const LabelInput* text : texts) {
    encodings.push_back(text->encoding.encoding);
    if (keys != nullptr) keys->sample_b.push_back(static_cast<std::int64_t>(text->digest));
  }
  const models::Bert& bert = text_.bert();
  const models::PackedTexts packed = models::pack_texts(encodings, bert.config());
  std::vector<std::int64_t> words;
  for (std::size_t i = 0; i < texts.size(); ++i)
    for (const std::int32_t piece : texts[i]->encoding.first_piece)
      if (piece != data::WordEncoding::kNoPiece) words.push_back(packed.first_row[i] + piece);
  return heads_(bert, bert.forward(packed, keys), packed, pooling_, words);
}

std::vector<TextLabels> label(const LabelModel& model, std::span<const std::string> texts, std::int64_t batch,
                              const std::function<void(std::int64_t done, std::int64_t of)>& progress) {
  const at::NoGradGuard no_grad;
  std::vector<LabelInput> inputs;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    try {
      inputs.push_back(model.encode(texts[i]));
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
  }
  // Like lengths together; the longest first: what memory does not hold fails at once.
  std::vector<std::size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return inputs[a].encoding.encoding.ids.size() > inputs[b].encoding.encoding.ids.size();
  });
  std::vector<TextLabels> labels(inputs.size());
  std::mutex counting;
  const auto count = static_cast<std::int64_t>(inputs.size());
  std::int64_t done = 0;
  models::run_tasks((count + batch - 1) / batch, [&](std::int64_t number) {
    const std::int64_t first = number * batch, last = std::min(count, first + batch);
    std::vector<const LabelInput*> own;
    for (std::int64_t i = first; i < last; ++i) own.push_back(&inputs[order[static_cast<std::size_t>(i)]]);
    const models::LabelLogits logits = model.forward(own, nullptr);
    at::Tensor probability_b, class_b, tag_n;
    if (logits.class_bc.defined()) std::tie(probability_b, class_b) = at::softmax(logits.class_bc, 1).max(1);
    if (logits.tag_nt.defined()) tag_n = logits.tag_nt.argmax(1);
    std::int64_t word = 0;
    for (std::int64_t i = 0; i < last - first; ++i) {
      TextLabels& one = labels[order[static_cast<std::size_t>(first + i)]];
      const std::vector<std::int32_t>& pieces = own[static_cast<std::size_t>(i)]->encoding.first_piece;
      if (class_b.defined() && !pieces.empty()) {
        one.text_class = class_b[i].item<std::int64_t>();
        one.probability = probability_b[i].item<double>();
      }
      if (!tag_n.defined()) continue;
      for (const std::int32_t piece : pieces)
        one.tags.push_back(piece == data::WordEncoding::kNoPiece ? models::kNoLabel
                                                                 : tag_n[word++].item<std::int64_t>());
    }
    const std::lock_guard lock(counting);
    done += last - first;
    if (progress) progress(done, count);
  });
  return labels;
}

}  // namespace shelfcast::trainer
