// A BERT-family encoder: token ids to the vector of a text (docs/text.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "scorer/forward/activation.h"
#include "scorer/forward/ops.h"

namespace shelfcast::scorer {

// What becomes of a text's token states: their mean, the first one, or the published pooler's reading of it.
enum class Pooling { mean, cls, pooler };
// Throws Error(data) for another name.
Pooling pooling_from(const std::string& name);

struct BertConfig {
  std::int64_t vocabulary = 0, width = 0, layers = 0, heads = 0, inner = 0, positions = 512, types = 2;
  float epsilon = 1e-12F;
  std::string activation = "gelu";
};

// Scratch of one thread.
struct BertScratch {
  Floats x, qkv, mixed, inner, attention;
};

// Immutable after construction; any number of threads, each with its own scratch.
class Bert {
 public:
  // A published directory: config.json and model.safetensors or its shards, today's names or older ones.
  // Throws Error(data) naming the file and what is missing or misshapen in it.
  Bert(const std::filesystem::path& folder, Pooling pooling, const Ops& ops);

  const BertConfig& config() const { return config_; }
  // Writes the text's vector [width]. `ids` as the tokenizer makes them: 1 to config().positions, below
  // config().vocabulary.
  void encode(std::span<const std::int32_t> ids, BertScratch& scratch, float* vector) const;

 private:
  struct Norm {
    std::vector<float> gain, bias;
  };
  struct Layer {
    DenseLayer qkv, attended, inner, outer;
    Norm attended_norm, outer_norm;
  };
  class File;

  Layer read_layer(const File& file, std::int64_t index) const;
  void normalise(const Norm& norm, std::int64_t rows, float* x) const;
  void attend(const Layer& layer, std::int64_t tokens, BertScratch& scratch) const;
  void pool(std::int64_t tokens, BertScratch& scratch, float* vector) const;

  BertConfig config_;
  Pooling pooling_;
  const Ops& ops_;
  ActivationFunction activation_;
  std::vector<float> words_, positions_, types_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  DenseLayer pooler_;
};

}  // namespace shelfcast::scorer
