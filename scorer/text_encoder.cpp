#include "scorer/text_encoder.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_file.h"
#include "base/share.h"

namespace shelfcast::scorer {
namespace {

// Encoders differ in how long their vectors are; the model reads them all at one length (docs/text.md).
void scale_to_mean_square_one(float* vector, std::int64_t width) {
  double squares = 0.0;
  for (std::int64_t d = 0; d < width; ++d) squares += static_cast<double>(vector[d]) * vector[d];
  const auto factor =
      static_cast<float>(std::sqrt(static_cast<double>(width)) / std::max(std::sqrt(squares), 1e-12));
  for (std::int64_t d = 0; d < width; ++d) vector[d] *= factor;
}

}  // namespace

TextEncoder::TextEncoder(const std::filesystem::path& folder, const ModelConfig& config, const Ops& ops)
    : tokenizer_(folder), bert_(folder, pooling_from(config.text_pooling), ops), length_(config.text_length) {
  if (bert_.config().width != config.text_width ||
      tokenizer_.vocabulary().size() > bert_.config().vocabulary || length_ > bert_.config().positions)
    throw data_error(folder.string() + " is not the text model that model.json speaks of", {},
                     "export the bundle again");
}

std::vector<float> TextEncoder::encode(const std::vector<std::string>& texts, int threads) const {
  std::vector<float> vectors(texts.size() * static_cast<std::size_t>(width()));
  share(texts.size(), threads, [&](std::size_t i) {
    data::Encoding text;
    try {
      text = tokenizer_.encode(texts[i], length_);
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("text {}: {}", i + 1, error.problem()), error.why(),
                  error.advice());
    }
    BertScratch scratch;
    float* vector = vectors.data() + static_cast<std::int64_t>(i) * width();
    bert_.encode(text.ids, scratch, vector);
    scale_to_mean_square_one(vector, width());
  });
  return vectors;
}

void TextEncoder::check(const std::filesystem::path& golden, Rows<float> known, std::int64_t rows,
                        int threads) const {
  std::vector<std::string> texts;
  std::vector<std::int64_t> row_of;
  try {
    const nlohmann::json json = read_json(golden);
    json.at("texts").get_to(texts);
    json.at("rows").get_to(row_of);
  } catch (const nlohmann::json::exception& error) {
    throw data_error(golden.string() + " cannot be read", error.what(), "export the bundle again");
  }
  const std::vector<float> vectors = encode(texts, threads);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i >= row_of.size() || row_of[i] < 0 || row_of[i] >= rows)
      throw data_error(golden.string() + " names a text that is not there", {}, "export the bundle again");
    const float* expected = known.row(row_of[i]);
    for (std::int64_t d = 0; d < width(); ++d) {
      const float got = vectors[static_cast<std::int64_t>(i) * width() + d];
      if (!(std::abs(got - expected[d]) <= 1e-4F * std::max(1.0F, std::abs(expected[d]))))
        throw data_error(
            fmt::format("the text model in {} computes something else here than where it was exported",
                        golden.parent_path().string()),
            fmt::format("\"{}\", number {}: {} instead of {}", texts[i], d, got, expected[d]),
            "export the bundle again; if it stays, report it with the output of lscpu");
    }
  }
}

}  // namespace shelfcast::scorer
