#include "scorer/forward/bert.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::scorer {
namespace {

namespace fs = std::filesystem;
constexpr const char* kAdvice = "export the bundle again";

BertConfig read_config(const fs::path& path) {
  const nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, false);
  try {
    if (json.is_discarded()) throw data_error(path.string() + " is not JSON", {}, kAdvice);
    if (json.value("model_type", std::string("bert")) != "bert" ||
        json.value("position_embedding_type", std::string("absolute")) != "absolute")
      throw data_error(path.string() + " describes no BERT encoder", {}, "update shelfcast-score");
    BertConfig config;
    json.at("vocab_size").get_to(config.vocabulary);
    json.at("hidden_size").get_to(config.width);
    json.at("num_hidden_layers").get_to(config.layers);
    json.at("num_attention_heads").get_to(config.heads);
    json.at("intermediate_size").get_to(config.inner);
    config.positions = json.value("max_position_embeddings", config.positions);
    config.types = json.value("type_vocab_size", config.types);
    config.epsilon = json.value("layer_norm_eps", config.epsilon);
    config.activation = json.value("hidden_act", config.activation);
    if (std::min({config.vocabulary, config.width, config.layers, config.heads, config.inner,
                  config.positions, config.types}) < 1 ||
        config.width % config.heads != 0 || !(config.epsilon > 0.0F))
      throw data_error(path.string() + " holds an impossible size", {}, kAdvice);
    return config;
  } catch (const nlohmann::json::exception& error) {
    throw data_error(path.string() + " cannot be read", error.what(), kAdvice);
  }
}

// Today's name without a prefix.
std::string canonical(std::string name) {
  if (name.starts_with("bert.")) name.erase(0, 5);
  for (const auto& [old, now] :
       {std::pair{"LayerNorm.gamma", "LayerNorm.weight"}, std::pair{"LayerNorm.beta", "LayerNorm.bias"}})
    if (name.ends_with(old)) name.replace(name.size() - std::string_view(old).size(), std::string::npos, now);
  return name;
}

}  // namespace

Pooling pooling_from(const std::string& name) {
  if (name == "mean") return Pooling::mean;
  if (name == "cls") return Pooling::cls;
  if (name == "pooler") return Pooling::pooler;
  throw data_error("there is no pooling \"" + name + "\"", {}, "update shelfcast-score");
}

// Tensors by today's names.
class Bert::File {
 public:
  explicit File(const fs::path& folder) : stored_(folder) {
    for (const auto& [name, tensor] : stored_.tensors()) names_.emplace(canonical(name), name);
  }

  std::vector<float> take(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const auto found = names_.find(name);
    const StoredTensor& tensor = stored_.at(found == names_.end() ? name : found->second);
    if (tensor.shape != shape)
      throw data_error(fmt::format("tensor {} of {} has shape [{}]", name, stored_.path().string(),
                                   fmt::join(tensor.shape, ", ")),
                       fmt::format("config.json asks for [{}]", fmt::join(shape, ", ")), kAdvice);
    return tensor.to_float();
  }

 private:
  StoredWeights stored_;
  std::map<std::string, std::string> names_;
};

Bert::Bert(const fs::path& folder, Pooling pooling, const Ops& ops)
    : config_(read_config(folder / "config.json")),
      pooling_(pooling),
      ops_(ops),
      activation_(activation_function(config_.activation)) {
  const File file(folder);
  const std::int64_t width = config_.width;
  words_ = file.take("embeddings.word_embeddings.weight", {config_.vocabulary, width});
  positions_ = file.take("embeddings.position_embeddings.weight", {config_.positions, width});
  types_ = file.take("embeddings.token_type_embeddings.weight", {config_.types, width});
  embedding_norm_ = {file.take("embeddings.LayerNorm.weight", {width}),
                     file.take("embeddings.LayerNorm.bias", {width})};
  for (std::int64_t i = 0; i < config_.layers; ++i) layers_.push_back(read_layer(file, i));
  if (pooling_ == Pooling::pooler)
    pooler_ = pack(ops_, file.take("pooler.dense.weight", {width, width}), width, width,
                   file.take("pooler.dense.bias", {width}));
}

Bert::Layer Bert::read_layer(const File& file, std::int64_t index) const {
  const std::string prefix = fmt::format("encoder.layer.{}.", index);
  const std::int64_t width = config_.width;
  const auto dense = [&](const std::string& name, std::int64_t outputs, std::int64_t inputs) {
    return pack(ops_, file.take(prefix + name + ".weight", {outputs, inputs}), outputs, inputs,
                file.take(prefix + name + ".bias", {outputs}));
  };
  const auto norm = [&](const std::string& name) {
    return Norm{file.take(prefix + name + ".LayerNorm.weight", {width}),
                file.take(prefix + name + ".LayerNorm.bias", {width})};
  };
  std::vector<float> weights, biases;
  for (const char* part : {"query", "key", "value"}) {
    std::vector<float> weight =
        file.take(fmt::format("{}attention.self.{}.weight", prefix, part), {width, width});
    std::vector<float> bias = file.take(fmt::format("{}attention.self.{}.bias", prefix, part), {width});
    if (weights
            .empty()) {  // scores are divided by the root of a head's width: queries are, here, once for all
      const std::int64_t head = width / config_.heads;
      const float scale = 1.0F / std::sqrt(static_cast<float>(head));
      for (float& w : weight) w *= scale;
      for (float& b : bias) b *= scale;
    }
    weights.insert(weights.end(), weight.begin(), weight.end());
    biases.insert(biases.end(), bias.begin(), bias.end());
  }
  return {pack(ops_, weights, 3 * width, width, biases),
          dense("attention.output.dense", width, width),
          dense("intermediate.dense", config_.inner, width),
          dense("output.dense", width, config_.inner),
          norm("attention.output"),
          norm("output")};
}

// Layer norm of each row, in place.
void Bert::normalise(const Norm& norm, std::int64_t rows, float* x) const {
  const std::int64_t width = config_.width;
  for (std::int64_t r = 0; r < rows; ++r, x += width) {
    const double mean = std::accumulate(x, x + width, 0.0) / static_cast<double>(width);
    double squares = 0.0;
    for (std::int64_t d = 0; d < width; ++d) squares += (x[d] - mean) * (x[d] - mean);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(width) + config_.epsilon);
    for (std::int64_t d = 0; d < width; ++d)
      x[d] = static_cast<float>((x[d] - mean) * factor) * norm.gain[d] + norm.bias[d];
  }
}

// x += attention(x), normalised.
void Bert::attend(const Layer& layer, std::int64_t tokens, BertScratch& scratch) const {
  const std::int64_t width = config_.width, head = width / config_.heads;
  float* qkv = reserve(scratch.qkv, tokens * 3 * width);
  float* mixed = reserve(scratch.mixed, tokens * width);
  ops_.dense(layer.qkv, scratch.x.data(), width, tokens, qkv, 3 * width, Write::store);
  Attention attention = Attention::among(tokens, config_.heads, head, qkv);
  attention.scratch = reserve(scratch.attention, attention_scratch(tokens, tokens, head));
  attention.out = mixed;
  ops_.attention(attention);
  ops_.dense(layer.attended, mixed, width, tokens, scratch.x.data(), width, Write::add);
  normalise(layer.attended_norm, tokens, scratch.x.data());
}

void Bert::pool(std::int64_t tokens, BertScratch& scratch, float* vector) const {
  const std::int64_t width = config_.width;
  const float* x = scratch.x.data();
  if (pooling_ == Pooling::pooler) {
    ops_.dense(pooler_, x, width, 1, vector, width, Write::store);
    for (std::int64_t d = 0; d < width; ++d) vector[d] = std::tanh(vector[d]);
    return;
  }
  if (pooling_ == Pooling::cls) {
    std::copy_n(x, width, vector);
    return;
  }
  for (std::int64_t d = 0; d < width; ++d) {
    double sum = 0.0;
    for (std::int64_t t = 0; t < tokens; ++t) sum += x[t * width + d];
    vector[d] = static_cast<float>(sum / static_cast<double>(tokens));
  }
}

void Bert::encode(std::span<const std::int32_t> ids, BertScratch& scratch, float* vector) const {
  const std::int64_t tokens = std::ssize(ids), width = config_.width;
  SHELFCAST_ASSERT(tokens >= 1 && tokens <= config_.positions);
  float* x = reserve(scratch.x, tokens * width);
  for (std::int64_t t = 0; t < tokens; ++t) {
    SHELFCAST_ASSERT(ids[t] >= 0 && ids[t] < config_.vocabulary);
    for (std::int64_t d = 0; d < width; ++d)
      x[t * width + d] = words_[ids[t] * width + d] + types_[d] + positions_[t * width + d];
  }
  normalise(embedding_norm_, tokens, x);
  for (const Layer& layer : layers_) {
    attend(layer, tokens, scratch);
    float* inner = reserve(scratch.inner, tokens * row_stride(config_.inner));
    dense_activated(ops_, layer.inner, activation_, x, width, tokens, inner);
    ops_.dense(layer.outer, inner, row_stride(config_.inner), tokens, x, width, Write::add);
    normalise(layer.outer_norm, tokens, x);
  }
  pool(tokens, scratch, vector);
}

}  // namespace shelfcast::scorer
