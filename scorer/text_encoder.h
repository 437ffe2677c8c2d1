// Product texts to the vectors that a bundle's model reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/text/tokenizer.h"
#include "scorer/forward/bert.h"
#include "scorer/forward/demand_model.h"
#include "scorer/forward/model_config.h"

namespace shelfcast::scorer {

class TextEncoder {
 public:
  // Opens the published directory `folder`; how texts are cut and pooled stands in `config`. Throws
  // Error(data).
  TextEncoder(const std::filesystem::path& folder, const ModelConfig& config, const Ops& ops);

  std::int64_t width() const { return bert_.config().width; }
  // [texts, width], each of mean square 1, on `threads` threads; the numbers do not depend on how many.
  // Throws Error(input) naming the text (counted from 1) that is not UTF-8.
  std::vector<float> encode(const std::vector<std::string>& texts, int threads) const;

  // Encodes the texts that `golden` lists and compares them with the `rows` vectors known from where the
  // bundle was made. Throws Error(data) when they differ by more than 1e-4, or when the file is broken.
  void check(const std::filesystem::path& golden, Rows<float> known, std::int64_t rows, int threads) const;

 private:
  data::Tokenizer tokenizer_;
  Bert bert_;
  std::int64_t length_;
};

}  // namespace shelfcast::scorer
