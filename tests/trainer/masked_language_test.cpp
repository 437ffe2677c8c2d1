// Masked-language training of a text encoder on the texts of a corpus.
#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "base/npy.h"
#include "models/text/bert_weights.h"
#include "tests/trainer/text_fixture.h"
#include "trainer/requirements.h"
#include "trainer/text/masked_language_task.h"
#include "trainer/text/text_encoder.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using ::testing::HasSubstr;

// Descriptions with a rule to learn: what a thing is called tells its colour, and the other way round.
std::vector<std::string> descriptions() {
  const std::vector<std::string> things = {"heart", "tea", "apple", "glass", "lamp"};
  const std::vector<std::string> colours = {"white", "green", "red", "blue", "black"};
  const std::vector<std::string> sizes = {"small", "medium", "large", "party size", "family pack"};
  const std::vector<std::string> makers = {"vintage", "retro", "organic", "design", "classic", "christmas"};
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 150; ++i)
    texts.push_back(
        fmt::format("{} {} {} {}", makers[i / 25], colours[i % 5], things[i % 5], sizes[i / 5 % 5]));
  return texts;
}

class MaskedLanguage : public Texts {
 protected:
  explicit MaskedLanguage(std::vector<std::string> texts = descriptions())
      : Texts({.series = 4, .steps = 60, .change = {}, .texts = std::move(texts)}) {}

  Recipe language_recipe(const std::string& run, const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all = {"train.task=masked_language",
                                    "model.text=" + encoder().string(),
                                    "tune.text=all",
                                    "train.steps=24",
                                    "train.validate_every=12",
                                    "train.checkpoint_every=12",
                                    "train.early_stop=0"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return recipe(run, all);
  }
  fs::path text_of(const std::string& run) const {
    const Checkpoints checkpoints(folder_ / run / "checkpoints");
    return checkpoints.path_of(checkpoints.steps().back()) / "text";
  }
  // The weights of a run's newest checkpoint.
  std::vector<float> encoder_weights(const std::string& run) const {
    const SafetensorsFile file(text_of(run) / "model.safetensors");
    std::vector<float> all;
    for (const auto& [name, tensor] : file.tensors()) {
      const std::vector<float> values = tensor.to_float();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  std::vector<double> validation_losses(const std::string& run) const {
    std::vector<double> losses;
    for (const nlohmann::json& line : read_lines(folder_ / run / "metrics.jsonl"))
      if (line.contains("validation_loss")) losses.push_back(line.at("validation_loss").get<double>());
    return losses;
  }
};

TEST_F(MaskedLanguage, learns_what_the_texts_have_in_common) {
  const TrainResult result = train_alone(
      language_recipe("run", {"train.steps=400", "train.validate_every=100", "train.checkpoint_every=400",
                              "model.text_start=drawn", "model.dropout=0"}));
  const std::vector<double> losses = validation_losses("run");
  // Drawn weights guess evenly among the vocabulary's 700.
  EXPECT_GT(read_lines(folder_ / "run/metrics.jsonl").front().at("loss").get<double>(),
            0.8 * std::log(700.0));
  // Knowing how often words come takes it to about 2.6, the rule to about 1.3.
  EXPECT_LT(losses.back(), 2.0);
  EXPECT_EQ(result.best_metric, *std::min_element(losses.begin(), losses.end()));
}

TEST_F(MaskedLanguage, begins_with_the_published_weights_and_never_ends_worse) {
  train_alone(language_recipe("run", {"train.optimizer.lr=3", "train.clip=0"}));
  const std::vector<double> losses = validation_losses("run");
  ASSERT_EQ(losses.size(), 3U);
  EXPECT_GT(losses.back(), losses.front());
  const Checkpoints checkpoints(folder_ / "run/checkpoints");
  EXPECT_EQ(checkpoints.best_valid(), 0);
  EXPECT_EQ(text_model_folder(folder_ / "run"), checkpoints.path_of(0) / "text");
}

TEST_F(MaskedLanguage, resumed_and_uninterrupted_training_end_in_the_same_bits) {
  for (const int ranks : {1, 2}) {
    const std::string whole = fmt::format("whole-{}", ranks), parts = fmt::format("parts-{}", ranks);
    train_on(ranks, language_recipe(whole, {"model.dropout=0.1"}));
    for (const std::int64_t stop : {7, 12, 19, 24})
      train_on(ranks, language_recipe(parts, {"model.dropout=0.1"}),
               {.resume = Resume::automatic, .stop_after = stop});
    EXPECT_EQ(encoder_weights(whole), encoder_weights(parts));
    EXPECT_EQ(validation_losses(whole), validation_losses(parts));
  }
}

TEST_F(MaskedLanguage, ranks_and_micro_batches_change_rounding_only) {
  // SGD: AdamW divides a word's gradient of rounding size by itself.
  const auto run = [&](int ranks, const std::string& name, const std::string& micro_batch, int zero = 0) {
    train_on(ranks, language_recipe(
                        name, {"model.dropout=0.2", "train.optimizer.name=sgd", "train.optimizer.lr=0.05",
                               "train.micro_batch=" + micro_batch, fmt::format("parallel.zero={}", zero)}));
    return encoder_weights(name);
  };
  const std::vector<float> expected = run(1, "one", "24");
  EXPECT_LT(relative_distance(run(1, "slices", "5"), expected), 1e-5);
  EXPECT_LT(relative_distance(run(3, "ranks", "4"), expected), 1e-5);
  // Gradients of every micro-batch are sent, also by ranks that have none of them left.
  EXPECT_LT(relative_distance(run(5, "shares", "2", 2), expected), 1e-5);
  EXPECT_NEAR(validation_losses("ranks").back(), validation_losses("one").back(), 1e-5);
}

TEST_F(MaskedLanguage, holds_out_the_same_tenth_in_any_order_and_trains_on_the_rest) {
  const data::Corpus opened(corpus());
  const TextSplit split = split_texts(opened, 17, 4096);
  const std::set<std::string> trained(split.trained.begin(), split.trained.end()),
      held_out(split.held_out.begin(), split.held_out.end());
  EXPECT_EQ(trained.size() + held_out.size(), 150U);
  EXPECT_NEAR(static_cast<double>(held_out.size()), 15.0, 10.0);
  for (const std::string& text : held_out) EXPECT_FALSE(trained.contains(text));
  const TextSplit few = split_texts(opened, 17, 3), other = split_texts(opened, 18, 4096);
  EXPECT_EQ(few.held_out.size(), 3U);
  EXPECT_EQ(few.trained, split.trained);
  for (const std::string& text : few.held_out) EXPECT_TRUE(held_out.contains(text));
  EXPECT_NE(other.held_out, split.held_out);
}

TEST_F(MaskedLanguage, a_run_serves_as_a_text_model_for_embed_and_for_demand) {
  train_alone(language_recipe("run"));
  write_file_atomically(folder_ / "texts.txt", "white heart\nred apple\n");
  parallel::Launch launch(nullptr, nullptr);
  const auto embed = [&](const fs::path& model, const char* out) {
    EmbedCommand command;
    command.model = model.string();
    command.text = (folder_ / "texts.txt").string();
    command.out = (folder_ / out).string();
    trainer::run(command, launch);
    return read_file(folder_ / out);
  };
  const std::string of_run = embed(folder_ / "run", "run.npy");
  EXPECT_EQ(of_run, embed(text_model_folder(folder_ / "run"), "folder.npy"));
  EXPECT_NE(of_run, embed(encoder(), "published.npy"));
  const Recipe demand =
      recipe("demand", {"data.text=true", "model.text=" + (folder_ / "run").string(), "train.steps=2"});
  train_alone(demand);
  EXPECT_EQ(open_run(folder_ / "demand").features.text.encoder, TextEncoder(demand.model).digest());
  EXPECT_THAT(message_of([&] { open_run(folder_ / "run"); }), HasSubstr("forecasts nothing"));
}

TEST_F(MaskedLanguage, a_head_that_the_directory_lacks_is_drawn) {
  fs::remove_all(encoder());
  fs::copy(shelfcast::testing::golden_dir() / "bert/chinese", encoder());
  train_alone(language_recipe("run", {"train.steps=2", "model.text_length=64"}));
  EXPECT_TRUE(models::bert_parts(text_of("run")).masked_language);
}

TEST_F(MaskedLanguage, is_foretold_by_check) {
  const Requirements needs = estimate_requirements(language_recipe("run"), 2);
  EXPECT_EQ(needs.unit, "texts");
  const data::Corpus opened(corpus());
  EXPECT_EQ(needs.training_windows, static_cast<std::int64_t>(split_texts(opened, 17, 4096).trained.size()));
  std::int64_t parameters = 0;
  const TrainedText text = open_masked_language_encoder(language_recipe("run"));
  for (const models::Parameter& parameter : text.parameters()) parameters += parameter.tensor.numel();
  EXPECT_EQ(needs.trainable, parameters);
  EXPECT_THAT(describe(needs, language_recipe("run")), HasSubstr("training texts"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(MaskedLanguage, names_the_key_that_is_wrong_before_a_run_folder_is_made) {
  EXPECT_THAT(message_of([&] { language_recipe("run", {"model.text=null"}); }),
              HasSubstr("model.text names no"));
  EXPECT_THAT(message_of([&] { language_recipe("run", {"tune.text=frozen"}); }),
              HasSubstr("nothing would be"));
  EXPECT_THAT(message_of([&] {
                language_recipe("run", {"tune.text=top", "model.text_start=drawn"});
              }),
              HasSubstr("model.text_start is drawn"));
  EXPECT_THAT(message_of([&] { language_recipe("run", {"train.task=language"}); }),
              HasSubstr("demand, masked_language"));
  const auto message = [&](const std::string& override) {
    return message_of([&] { train_alone(language_recipe("run", {override})); });
  };
  EXPECT_THAT(message("model.text=nowhere"), HasSubstr("nowhere"));
  EXPECT_THAT(message("model.text_length=161"), HasSubstr("model.text_length"));
  EXPECT_THAT(message_of([&] {
                train_on(3, language_recipe("run", {"train.batch=2", "train.micro_batch=2"}));
              }),
              HasSubstr("smaller than the 3 ranks"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

class TooFewTexts : public MaskedLanguage {
 protected:
  TooFewTexts() : MaskedLanguage({"tea", "tea", ""}) {}
};
TEST_F(TooFewTexts, are_refused) {
  EXPECT_THAT(message_of([&] { train_alone(language_recipe("run")); }),
              HasSubstr("1 different product texts"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

// With $SHELFCAST_SAVED the folder stays for make_bert.py --check.
class MaskedLanguageGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(MaskedLanguageGolden, a_model_with_its_head_is_saved_as_published) {
  const fs::path published = shelfcast::testing::golden_dir() / "bert" / GetParam();
  const models::BertParts parts{.pooler = false, .masked_language = true};
  const TrainedText text(published, models::ModelConfig(), parts);
  const char* named = std::getenv("SHELFCAST_SAVED");
  const fs::path out = named != nullptr
                           ? fs::path(named) / fmt::format("bert_{}_masked_language", GetParam())
                           : fs::temp_directory_path() / fmt::format("shelfcast-language-{}", getpid());
  fs::remove_all(out);
  text.save(out, text.parameters());
  const TrainedText again(out, models::ModelConfig(), parts);
  ASSERT_EQ(again.parameters().size(), text.parameters().size());
  for (std::size_t i = 0; i < text.parameters().size(); ++i)
    EXPECT_TRUE(text.parameters()[i].tensor.equal(again.parameters()[i].tensor)) << text.parameters()[i].name;
  if (named == nullptr) return void(fs::remove_all(out));
  fs::copy_file(published / "case.safetensors", out / "case.safetensors");
}

INSTANTIATE_TEST_SUITE_P(Cases, MaskedLanguageGolden, ::testing::Values("uncased", "cased"),
                         [](const auto& chosen) { return std::string(chosen.param); });

}  // namespace
}  // namespace shelfcast::trainer
