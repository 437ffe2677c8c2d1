#include "models/text/label_heads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/text/masked_language.h"
#include "tests/support/paths.h"

namespace shelfcast::models {
namespace {

at::Tensor some_logits(std::int64_t rows, std::int64_t labels, std::uint64_t key) {
  at::Tensor logits = at::empty({rows, labels}, at::kFloat);
  fill_normal(logits, key, 2.0);
  return logits.set_requires_grad(true);
}

const std::vector<std::int64_t> kClasses = {2, 0, kNoLabel, 1, 2}, kTags = {0, 3, 3, kNoLabel, 1, 2, 0};

// Sum over labelled rows of -w_y ((1 - s) log p_y) - s / labels * sum_c w_c log p_c, and its gradient, in
// double.
double closed_form(const at::Tensor& logits, const std::vector<std::int64_t>& targets,
                   std::vector<double> weights, double smoothing, at::Tensor& gradient) {
  const std::int64_t labels = logits.size(1);
  if (weights.empty()) weights.assign(static_cast<std::size_t>(labels), 1.0);
  gradient = at::zeros_like(logits, at::kDouble);
  double sum = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] == kNoLabel) continue;
    const auto row = static_cast<std::int64_t>(i);
    double z = 0;
    for (std::int64_t c = 0; c < labels; ++c) z += std::exp(logits[row][c].item<double>());
    double total = 0;  // of the target distribution, which weights keep from adding up to 1
    for (std::int64_t c = 0; c < labels; ++c) {
      const double target =
          ((c == targets[i] ? 1 - smoothing : 0) + smoothing / static_cast<double>(labels)) *
          weights[static_cast<std::size_t>(c)];
      sum -= target * (logits[row][c].item<double>() - std::log(z));
      gradient[row][c] -= target;
      total += target;
    }
    for (std::int64_t c = 0; c < labels; ++c)
      gradient[row][c] += total * std::exp(logits[row][c].item<double>()) / z;
  }
  return sum;
}

TEST(LabelLoss, is_the_weighted_smoothed_cross_entropy_of_both_heads_with_its_gradient) {
  const std::vector<double> class_weights = {0.5, 2.0, 1.5}, tag_weights = {1.0, 4.0, 0.25, 3.0};
  for (const bool weighted : {false, true})
    for (const double smoothing : {0.0, 0.2}) {
      const LabelLogits logits{some_logits(5, 3, 1), some_logits(7, 4, 2)};
      LabelWeights weights{
          .class_c = {}, .tag_t = {}, .text_class = 3.0, .tags = 0.5, .smoothing = smoothing};
      if (weighted) {
        weights.class_c = at::tensor(class_weights, at::kFloat);
        weights.tag_t = at::tensor(tag_weights, at::kFloat);
      }
      const LabelLoss loss =
          label_loss(logits, {at::tensor(kClasses, at::kLong), at::tensor(kTags, at::kLong)}, weights);
      loss.sum.backward();
      at::Tensor of_class, of_tags;
      const double expected =
          3.0 * closed_form(logits.class_bc.detach(), kClasses,
                            weighted ? class_weights : std::vector<double>(), smoothing, of_class) +
          0.5 * closed_form(logits.tag_nt.detach(), kTags, weighted ? tag_weights : std::vector<double>(),
                            smoothing, of_tags);
      EXPECT_NEAR(loss.sum.item<double>(), expected, 1e-5 * expected);
      EXPECT_EQ(loss.labels, 4 + 6);
      EXPECT_TRUE(at::allclose(logits.class_bc.grad().to(at::kDouble), 3.0 * of_class, 1e-5, 1e-6));
      EXPECT_TRUE(at::allclose(logits.tag_nt.grad().to(at::kDouble), 0.5 * of_tags, 1e-5, 1e-6));
    }
}

TEST(LabelLoss, of_one_head_is_torchs_mean_times_the_labels) {
  const LabelLogits logits{some_logits(5, 3, 1), {}};
  const at::Tensor targets = at::tensor(kClasses, at::kLong);
  const LabelLoss loss = label_loss(logits, {targets, {}}, {});
  const at::Tensor mean = at::cross_entropy_loss(logits.class_bc, targets);
  EXPECT_NEAR(loss.sum.item<double>() / static_cast<double>(loss.labels), mean.item<double>(), 1e-6);
}

struct Heads : ::testing::Test {
  Bert bert = Bert::open(shelfcast::testing::golden_dir() / "bert/uncased");
  data::Tokenizer tokenizer{shelfcast::testing::golden_dir() / "bert/uncased"};
  ParameterMaker maker{7, ParameterMaker::Fill::draw};
  LabelHeads heads{bert.config(), {5, 4}, maker};

  LabelLogits logits(const std::vector<std::string>& texts,
                     std::vector<std::int64_t>* words = nullptr) const {
    std::vector<data::Encoding> encodings;
    std::vector<data::WordEncoding> all;
    for (const std::string& text : texts) {
      all.push_back(tokenizer.encode_words(text));
      encodings.push_back(all.back().encoding);
    }
    const PackedTexts packed = pack_texts(encodings, bert.config());
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (words != nullptr) words->push_back(static_cast<std::int64_t>(rows.size()));
      for (const std::int32_t piece : all[i].first_piece)
        if (piece != data::WordEncoding::kNoPiece) rows.push_back(packed.first_row[i] + piece);
    }
    return heads(bert, bert.forward(packed), packed, Pooling::mean, rows);
  }
};

TEST_F(Heads, a_texts_logits_have_the_same_bits_alone_and_in_any_batch) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::NoGradGuard no_grad;
  const auto texts = nlohmann::json::parse(read_file(shelfcast::testing::golden_dir() / "bert/texts.json"))
                         .get<std::vector<std::string>>();
  std::vector<std::int64_t> first_word;
  const LabelLogits together = logits(texts, &first_word);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const LabelLogits alone = logits({texts[i]});
    EXPECT_TRUE(at::equal(alone.class_bc[0], together.class_bc[static_cast<std::int64_t>(i)])) << texts[i];
    EXPECT_TRUE(at::equal(alone.tag_nt, together.tag_nt.narrow(0, first_word[i], alone.tag_nt.size(0))))
        << texts[i];
  }
  at::set_num_threads(before);
}

TEST_F(Heads, are_linear_layers_on_the_pooled_text_and_on_first_pieces) {
  const at::NoGradGuard no_grad;
  const data::WordEncoding text = tokenizer.encode_words("white hanging heart");
  const PackedTexts packed = pack_texts(std::vector{text.encoding}, bert.config());
  const at::Tensor hidden = bert.forward(packed);
  const std::int64_t length = packed.tokens;
  const LabelLogits got = logits({"white hanging heart"});
  const std::vector<Parameter>& weights = heads.parameters();
  ASSERT_EQ(weights.size(), 4U);
  EXPECT_TRUE(at::allclose(got.class_bc[0],
                           weights[0].tensor.mv(hidden.narrow(0, 0, length).mean(0)) + weights[1].tensor,
                           1e-4, 1e-6));
  ASSERT_EQ(got.tag_nt.size(0), 3);
  for (std::int64_t word = 0; word < 3; ++word) {
    const std::int64_t piece = text.first_piece[static_cast<std::size_t>(word)];
    EXPECT_TRUE(
        at::allclose(got.tag_nt[word], weights[2].tensor.mv(hidden[piece]) + weights[3].tensor, 1e-4, 1e-6));
  }
}

TEST_F(Heads, a_head_without_labels_is_not_there) {
  const LabelHeads tags(bert.config(), {0, 4}, maker);
  EXPECT_EQ(tags.parameters().size(), 2U);
  EXPECT_EQ(tags.parameters()[0].name, "labels.tags.weight");
}

}  // namespace
}  // namespace shelfcast::models
