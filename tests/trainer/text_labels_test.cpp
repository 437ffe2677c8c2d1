// A text encoder with heads on labelled texts.
#include <gmock/gmock.h>

#include <set>

#include "eval/entity_metrics.h"
#include "tests/trainer/labels_fixture.h"
#include "trainer/requirements.h"
#include "trainer/text/label_model.h"
#include "trainer/text/text_encoder.h"
#include "trainer/text/text_labels_task.h"

namespace shelfcast::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TextLabels : public LabelledTables {
 protected:
  fs::path newest(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    return checkpoints.path_of(checkpoints.steps().back());
  }
  // Encoder and heads of a run's newest checkpoint.
  std::vector<float> label_weights_of(const std::string& run) const {
    std::vector<float> all;
    for (const char* part : {"text", "labels"}) {
      const SafetensorsFile file(newest(run) / part / "model.safetensors");
      for (const auto& [name, tensor] : file.tensors()) {
        const std::vector<float> values = tensor.to_float();
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return all;
  }
  // What validations found, without what depends on the clock.
  std::vector<nlohmann::json> validations(const std::string& run) const {
    std::vector<nlohmann::json> lines;
    for (nlohmann::json line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("validation_loss")) {
        line.erase("validation_seconds");
        lines.push_back(std::move(line));
      }
    return lines;
  }
  std::string label_lines(const std::string& run, const std::string& texts, std::int64_t batch = 64) const {
    write_file_atomically(folder_ / "texts.txt", texts);
    parallel::Launch launch(nullptr, nullptr);
    LabelCommand command;
    command.model = (folder_ / run).string();
    command.text = (folder_ / "texts.txt").string();
    command.out = (folder_ / "found.csv").string();
    command.batch = batch;
    trainer::run(command, launch);
    return read_file(folder_ / "found.csv");
  }
};

TEST_F(TextLabels, learns_classes_and_tags_and_says_them_of_new_texts) {
  train_alone(label_recipe("run", {"train.steps=240", "train.validate_every=60", "train.checkpoint_every=60",
                                   "model.dropout=0", "model.labels.class_weights=balanced"}));
  const nlohmann::json first = validations("run").front(), last = validations("run").back();
  EXPECT_LT(first.at("validation_f1_macro").get<double>(), 0.7);
  EXPECT_GT(last.at("validation_f1_macro").get<double>(), 0.99);
  EXPECT_GT(last.at("validation_entity_f1").get<double>(), 0.99);
  EXPECT_GT(last.at("validation_tag_accuracy").get<double>(), 0.99);
  double texts = 0;
  for (const nlohmann::json& row : last.at("confusion"))
    for (const nlohmann::json& cell : row) texts += cell.get<double>();
  EXPECT_EQ(texts,
            nlohmann::json::parse(read_file(folder_ / "run/labels.json")).at("held_out").get<double>());
  const std::string found = label_lines("run", "vintage blue tea family pack\n\nretro black apple small\n");
  EXPECT_THAT(found, HasSubstr("text,class,probability,tags\n"));
  EXPECT_THAT(found, HasSubstr("vintage blue tea family pack,tea,"));
  EXPECT_THAT(found, HasSubstr("O S-colour O B-size I-size\n,,,\nretro"));
  EXPECT_THAT(found, HasSubstr("retro black apple small,apple,"));
}

TEST_F(TextLabels, of_one_kind_alone_have_one_head) {
  train_alone(label_recipe("class", {"data.labels.tags=null", "train.steps=2"}));
  EXPECT_FALSE(validations("class").front().contains("validation_entity_f1"));
  EXPECT_THAT(label_lines("class", "tea\n"), HasSubstr("text,class,probability\ntea,"));
  train_alone(label_recipe("tags", {"data.labels.class=null", "train.steps=2"}));
  EXPECT_FALSE(validations("tags").front().contains("validation_accuracy"));
  EXPECT_THAT(label_lines("tags", "tea\n"), HasSubstr("text,tags\ntea,"));
}

TEST_F(TextLabels, begin_with_the_published_weights_and_never_end_worse) {
  train_alone(label_recipe("run", {"train.optimizer.lr=3", "train.clip=0"}));
  EXPECT_GT(validations("run").back().at("validation_loss"),
            validations("run").front().at("validation_loss"));
  EXPECT_EQ(Checkpoints(folder_ / "run/checkpoints").best_valid(), 0);
}

TEST_F(TextLabels, resumed_and_uninterrupted_training_end_in_the_same_bits) {
  for (const int ranks : {1, 2}) {
    const std::string whole = fmt::format("whole-{}", ranks), parts = fmt::format("parts-{}", ranks);
    train_on(ranks, label_recipe(whole));
    for (const std::int64_t stop : {7, 12, 19, 24})
      train_on(ranks, label_recipe(parts), {.resume = Resume::automatic, .stop_after = stop});
    EXPECT_EQ(label_weights_of(whole), label_weights_of(parts));
    EXPECT_EQ(validations(whole), validations(parts));
  }
}

TEST_F(TextLabels, ranks_and_micro_batches_change_rounding_only) {
  // SGD: AdamW divides a word's gradient of rounding size by itself.
  const auto run = [&](int ranks, const std::string& name, const std::string& micro_batch) {
    train_on(ranks,
             label_recipe(name, {"model.dropout=0.2", "train.optimizer.name=sgd", "train.optimizer.lr=0.05",
                                 "train.micro_batch=" + micro_batch, "model.labels.class_weights=balanced",
                                 "model.labels.label_smoothing=0.1"}));
    return label_weights_of(name);
  };
  const std::vector<float> expected = run(1, "one", "24");
  EXPECT_LT(relative_distance(run(1, "slices", "5"), expected), 1e-5);
  EXPECT_LT(relative_distance(run(2, "two", "7"), expected), 1e-5);
  EXPECT_LT(relative_distance(run(3, "three", "4"), expected), 1e-5);
  for (const char* other : {"two", "three"}) {
    EXPECT_NEAR(validations(other).back().at("validation_loss").get<double>(),
                validations("one").back().at("validation_loss").get<double>(), 1e-5);
    EXPECT_EQ(validations(other).front().at("confusion"), validations("one").front().at("confusion"));
  }
}

TEST_F(TextLabels, of_a_frozen_encoder_train_the_heads_alone) {
  train_alone(label_recipe("run", {"tune.text=frozen", "train.steps=12"}));
  EXPECT_LT(validations("run").back().at("validation_loss"),
            validations("run").front().at("validation_loss"));
  const TrainedText before(encoder(), label_recipe("run").model, {.pooler = false, .masked_language = false});
  const TrainedText after(newest("run") / "text", label_recipe("run").model,
                          {.pooler = false, .masked_language = false});
  for (std::size_t i = 0; i < before.parameters().size(); ++i)
    EXPECT_TRUE(before.parameters()[i].tensor.equal(after.parameters()[i].tensor))
        << before.parameters()[i].name;
}

TEST_F(TextLabels, the_loss_of_a_batch_is_that_of_its_texts_one_by_one) {
  const Recipe recipe = label_recipe("run");
  const LabelledTexts texts = read_labelled_texts(recipe.data.labels, 17, 4096);
  const LabelModel model(recipe, texts.names);
  const std::vector<LabelExample> examples = to_examples(model, texts.held_out);
  const models::LabelWeights weights = label_weights(recipe.model.labels, texts);
  std::vector<const LabelExample*> batch;
  double sum = 0;
  std::int64_t labels = 0;
  for (const LabelExample& example : examples) {
    batch.push_back(&example);
    const std::vector<const LabelExample*> alone = {&example};
    const models::LabelLoss loss = label_batch(model, alone, weights, 17, 3, LabelMode::training).loss;
    sum += loss.sum.item<double>();
    labels += loss.labels;
  }
  const models::LabelLoss together = label_batch(model, batch, weights, 17, 3, LabelMode::training).loss;
  EXPECT_NEAR(together.sum.item<double>(), sum, 1e-4 * sum);
  EXPECT_EQ(together.labels, labels);
}

TEST_F(TextLabels, of_words_that_are_cut_off_are_outside) {
  train_alone(label_recipe("run", {"model.text_length=4", "train.steps=2", "data.labels.class=null"}));
  const std::string found = label_lines("run", "white heart tea apple lamp\n");
  EXPECT_THAT(found, HasSubstr(" O O O\n"));
}

TEST_F(TextLabels, do_not_depend_on_the_other_texts) {
  train_alone(label_recipe("run", {"train.steps=2"}));
  std::string texts;
  for (const LabelledRow& row : labelled_rows(30)) texts += row.text + "\n";
  EXPECT_EQ(label_lines("run", texts, 64), label_lines("run", texts, 1));
  EXPECT_THAT(message_of([&] { label_lines("run", "tea\n\xFF\n"); }),
              AllOf(HasSubstr("texts.txt"), HasSubstr("text 2"), HasSubstr("not UTF-8")));
}

TEST_F(TextLabels, a_run_serves_as_a_text_model) {
  train_alone(label_recipe("run"));
  EXPECT_EQ(text_model_folder(folder_ / "run").filename(), "text");
  EXPECT_EQ(open_text_tower(folder_ / "run").bert.config().hidden_size,
            open_text_tower(encoder()).bert.config().hidden_size);
}

TEST_F(TextLabels, a_run_does_not_go_on_with_other_labels) {
  train_on(1, label_recipe("run"), {.resume = Resume::never, .stop_after = 12});
  std::vector<LabelledRow> rows = labelled_rows();
  rows[0].text_class = "tea";
  write(rows);
  EXPECT_THAT(
      message_of([&] { train_on(1, label_recipe("run"), {.resume = Resume::required, .stop_after = {}}); }),
      HasSubstr("the labelled texts are not those"));
}

TEST_F(TextLabels, are_foretold_by_check) {
  const Recipe recipe = label_recipe("run");
  const Requirements needs = estimate_requirements(recipe, 2);
  const LabelledTexts texts = read_labelled_texts(recipe.data.labels, 17, 4096);
  EXPECT_EQ(needs.unit, "texts");
  EXPECT_EQ(needs.training_windows, static_cast<std::int64_t>(texts.trained.size()));
  EXPECT_EQ(needs.validation_windows, static_cast<std::int64_t>(texts.held_out.size()));
  const LabelModel model(recipe, texts.names);
  std::int64_t parameters = 0;
  for (const auto* part : {&model.text().parameters(), &model.heads().parameters()})
    for (const models::Parameter& parameter : *part) parameters += parameter.tensor.numel();
  EXPECT_EQ(needs.trainable, parameters);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(TextLabels, name_the_key_that_is_wrong_before_a_run_folder_is_made) {
  const auto message = [&](const std::string& override) {
    return message_of([&] { train_alone(label_recipe("run", {override})); });
  };
  EXPECT_THAT(message("model.text=null"), HasSubstr("model.text names no"));
  EXPECT_THAT(message("model.text=nowhere"), HasSubstr("nowhere"));
  EXPECT_THAT(message("model.text_length=161"), HasSubstr("model.text_length"));
  EXPECT_THAT(message("run.start=runs/x"), HasSubstr("run.start"));
  EXPECT_THAT(message("train.adversarial.method=fgm"), HasSubstr("train.adversarial"));
  EXPECT_THAT(message("train.augment={share: 1.0, tokens: 0.5}"), HasSubstr("train.augment"));
  EXPECT_THAT(message("train.augment.jitter=0.1"), HasSubstr("train.augment"));
  EXPECT_THAT(message("train.new_items=0.1"), HasSubstr("train.new_items"));
  EXPECT_THAT(message("train.cuda_graphs=true"), HasSubstr("train.cuda_graphs"));
  EXPECT_THAT(message("data.shots=4"), HasSubstr("data.shots"));
  EXPECT_THAT(message("model.weights=x"), HasSubstr("model.weights"));
  EXPECT_THAT(message("data.labels.split=text"),
              HasSubstr("data.labels.text and data.labels.split are the same column text"));
  EXPECT_THAT(message_of([&] {
                train_on(3, label_recipe("run", {"train.batch=2", "train.micro_batch=2"}));
              }),
              HasSubstr("smaller than the 3 ranks"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  train_alone(recipe("demand", {"train.steps=1"}));
  EXPECT_THAT(message_of([&] { label_lines("demand", "tea\n"); }), HasSubstr("learned no labels"));
}

}  // namespace
}  // namespace shelfcast::trainer
