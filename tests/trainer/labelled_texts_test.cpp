// Labelled texts read from tables, and what is wrong with them.
#include "trainer/text/labelled_texts.h"

#include <gmock/gmock.h>

#include <set>

#include "models/text/masked_language.h"
#include "tests/trainer/labels_fixture.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LabelledTextsTest : public LabelledTables {
 protected:
  LabelledTexts read(const std::vector<std::string>& overrides = {}, std::uint64_t seed = 17) const {
    return read_labelled_texts(label_recipe("run", overrides).data.labels, seed, 4096);
  }
};

TEST_F(LabelledTextsTest, names_ascend_and_labels_point_at_them) {
  const LabelledTexts texts = read();
  EXPECT_THAT(texts.names.classes, ElementsAre("apple", "heart", "tea"));
  EXPECT_THAT(texts.names.tags, ElementsAre("B-size", "I-size", "O", "S-colour", "S-size"));
  EXPECT_EQ(texts.trained.front().text, "vintage white heart small");
  EXPECT_EQ(texts.trained.front().text_class, 1);
  EXPECT_THAT(texts.trained.front().tags, ElementsAre(2, 3, 2, 4));
}

TEST_F(LabelledTextsTest, a_tenth_is_held_out_by_seed_and_text_and_equal_texts_stay_together) {
  std::vector<LabelledRow> rows = labelled_rows();
  const std::vector<LabelledRow> once = rows;
  rows.insert(rows.end(), once.begin(), once.end());
  write(rows);
  const LabelledTexts texts = read(), other = read({}, 18);
  std::set<std::string> trained, held_out;
  for (const LabelledText& one : texts.trained) trained.insert(one.text);
  for (const LabelledText& one : texts.held_out) held_out.insert(one.text);
  EXPECT_EQ(texts.trained.size() + texts.held_out.size(), rows.size());
  EXPECT_FALSE(held_out.empty());
  for (const std::string& text : held_out) EXPECT_FALSE(trained.contains(text)) << text;
  EXPECT_NE(texts.digest, other.digest);
  EXPECT_EQ(texts.digest, read().digest);
}

TEST_F(LabelledTextsTest, a_split_column_decides_and_leaves_the_test_out) {
  std::vector<LabelledRow> rows = labelled_rows();
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i].split = i < 60 ? "validation" : i < 100 ? "test" : "train";
  write(rows);
  const LabelledTexts texts = read({"data.labels.split=split"});
  EXPECT_EQ(texts.held_out.size(), 60U);
  EXPECT_EQ(texts.trained.size(), 140U);
  EXPECT_EQ(texts.held_out.front().text, rows.front().text);
  rows[7].split = "dev";
  EXPECT_THAT(refusal(rows, {"data.labels.split=split"}), AllOf(HasSubstr("row 8 of"), HasSubstr("\"dev\"")));
}

TEST_F(LabelledTextsTest, rows_without_text_or_labels_are_left_out) {
  std::vector<LabelledRow> rows = labelled_rows();
  rows[3].text = rows[4].text = "";
  rows[4].tags = rows[5].text_class = "";  // 5 keeps its tags, 4 its class
  rows[3].tags = rows[6].tags = rows[6].text_class = "";
  write(rows);
  const LabelledTexts texts = read();
  EXPECT_EQ(texts.unlabelled, 3);
  std::int64_t without_class = 0;
  for (const auto* part : {&texts.trained, &texts.held_out})
    for (const LabelledText& one : *part) without_class += one.text_class == models::kNoLabel ? 1 : 0;
  EXPECT_EQ(without_class, 1);
}

TEST_F(LabelledTextsTest, balanced_weights_are_the_inverse_of_how_often_a_label_is_met) {
  std::vector<LabelledRow> rows = labelled_rows();
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].split = i % 4 == 0 ? "validation" : "train";
  write(rows);
  const Recipe recipe = label_recipe("run", {"data.labels.split=split", "model.labels.class_weights=balanced",
                                             "model.labels.tag_weights=[1, 2, 3, 4, 5]"});
  const LabelledTexts texts = read_labelled_texts(recipe.data.labels, 17, 4096);
  const models::LabelWeights weights = label_weights(recipe.model.labels, texts);
  std::vector<double> met(3);
  for (const LabelledText& one : texts.trained) ++met[static_cast<std::size_t>(one.text_class)];
  for (std::int64_t c = 0; c < 3; ++c)
    EXPECT_NEAR(weights.class_c[c].item<double>(), 180.0 / (3.0 * met[static_cast<std::size_t>(c)]), 1e-6);
  EXPECT_EQ(weights.tag_t[4].item<double>(), 5.0);
}

TEST_F(LabelledTextsTest, weights_that_fit_no_head_are_refused) {
  EXPECT_THAT(refusal(labelled_rows(), {"model.labels.class_weights=[1, 2]"}),
              AllOf(HasSubstr("class_weights holds 2"), HasSubstr("apple, heart, tea")));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.tags=null", "model.labels.tag_weights=balanced"}),
              AllOf(HasSubstr("tag_weights"), HasSubstr("head that is off")));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.class=null", "model.labels.class_weights=[1, 2, 3]"}),
              AllOf(HasSubstr("class_weights"), HasSubstr("head that is off")));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.tags=null", "model.labels.tags=0.3"}),
              HasSubstr("model.labels.tags weighs the labels of a head that is off"));
  EXPECT_THAT(refusal(labelled_rows(), {"tune.method=lora"}),
              HasSubstr("tune.text says what of the encoder"));
  EXPECT_THAT(refusal(labelled_rows(), {"model.labels.tags=0"}),
              HasSubstr("model.labels.tags must be positive"));
  EXPECT_THAT(refusal(labelled_rows(), {"model.labels.label_smoothing=1"}), HasSubstr("label_smoothing"));
}

TEST_F(LabelledTextsTest, a_column_that_is_missing_is_named_with_the_nearest) {
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.class=clas"}),
              AllOf(HasSubstr("\"clas\""), HasSubstr("class")));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.text=null"}), HasSubstr("data.labels.text is missing"));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.class=null", "data.labels.tags=null"}),
              HasSubstr("neither a class column nor one of tags"));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.table=null"}), HasSubstr("data.labels.table"));
  EXPECT_THAT(refusal(labelled_rows(), {"data.labels.table=nowhere.csv"}), HasSubstr("nowhere.csv"));
  EXPECT_THAT(refusal(labelled_rows(), {"train.task=masked_language"}),
              HasSubstr("data.labels names a table"));
}

TEST_F(LabelledTextsTest, a_class_that_cannot_be_learned_and_judged_is_named) {
  std::vector<LabelledRow> rows = labelled_rows();
  rows[9].text_class = "lamp";
  EXPECT_THAT(refusal(rows), AllOf(HasSubstr("class \"lamp\" has a single text"), HasSubstr("row 10 of")));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].split = i < 20 ? "validation" : "train";
  rows[10].text_class = "lamp";
  EXPECT_THAT(refusal(rows, {"data.labels.split=split"}),
              AllOf(HasSubstr("class \"lamp\" (row 10 of"),
                    HasSubstr("is absent from the texts that are trained on")));
  for (LabelledRow& row : rows) row.text_class = "tea";
  EXPECT_THAT(refusal(rows), HasSubstr("holds 1 different labels"));
  for (LabelledRow& row : rows) row.split = "train";
  EXPECT_THAT(refusal(labelled_rows(2), {"data.labels.tags=null"}), HasSubstr("single text"));
}

TEST_F(LabelledTextsTest, no_text_to_hold_out_is_an_error) {
  std::vector<LabelledRow> rows = labelled_rows();
  for (LabelledRow& row : rows) row.split = "train";
  EXPECT_THAT(refusal(rows, {"data.labels.split=split"}), HasSubstr("and 0 to hold out"));
}

TEST_F(LabelledTextsTest, tags_that_do_not_fit_the_words_are_named) {
  std::vector<LabelledRow> rows = labelled_rows();
  rows[1].tags = "O O";
  EXPECT_THAT(refusal(rows), AllOf(HasSubstr("row 2 of"), HasSubstr("2 tags for a text of 4 words")));
}

TEST_F(LabelledTextsTest, unknown_tags_are_named_with_their_word) {
  std::vector<LabelledRow> rows = labelled_rows();
  rows[2].tags = "O S-colour X O";
  EXPECT_THAT(refusal(rows),
              AllOf(HasSubstr("row 3 of"), HasSubstr("unknown tag \"X\" of word 3"), HasSubstr("\"apple\"")));
}

TEST_F(LabelledTextsTest, a_text_in_another_encoding_is_named) {
  std::vector<LabelledRow> rows = labelled_rows();
  rows[5].text = "caf\xE9 white heart small";
  EXPECT_THAT(refusal(rows), AllOf(HasSubstr("labels.csv"), HasSubstr("not UTF-8")));
}

}  // namespace
}  // namespace shelfcast::trainer
