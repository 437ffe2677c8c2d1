// Labelled texts with rules to learn: a class that a word decides, and tags that words spell.
#pragma once

#include <string>
#include <vector>

#include "tests/trainer/text_fixture.h"

namespace shelfcast::trainer {

struct LabelledRow {
  std::string text, text_class, tags, split = "";
};

// Descriptions of things: the thing is the class; a colour is an entity of one word, a size of one or two.
inline std::vector<LabelledRow> labelled_rows(std::size_t count = 240) {
  const std::vector<std::string> things = {"heart", "tea", "apple"},
                                 makers = {"vintage", "retro", "organic", "classic"};
  const std::vector<std::string> colours = {"white", "green", "red", "blue", "black"};
  const std::vector<std::pair<std::string, std::string>> sizes = {{"small", "S-size"},
                                                                  {"large", "S-size"},
                                                                  {"party size", "B-size I-size"},
                                                                  {"family pack", "B-size I-size"}};
  std::vector<LabelledRow> rows;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [size, tags] = sizes[i / 12 % 4];
    rows.push_back({fmt::format("{} {} {} {}", makers[i / 3 % 4], colours[i % 5], things[i % 3], size),
                    things[i % 3], "O S-colour O " + tags});
  }
  return rows;
}

class LabelledTables : public Texts {
 protected:
  LabelledTables() : Texts({.series = 4, .steps = 60, .change = {}, .texts = {"tea"}}) {
    write(labelled_rows());
  }

  fs::path table() const { return folder_ / "labels.csv"; }
  void write(const std::vector<LabelledRow>& rows) const {
    std::string csv = "text,class,tags,split\n";
    for (const LabelledRow& row : rows)
      csv += fmt::format("{},{},{},{}\n", row.text, row.text_class, row.tags, row.split);
    write_file_atomically(table(), csv);
  }
  Recipe label_recipe(const std::string& run, const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all = {"train.task=text_labels",  "data.labels.table=" + table().string(),
                                    "data.labels.text=text",   "data.labels.class=class",
                                    "data.labels.tags=tags",   "model.text=" + encoder().string(),
                                    "tune.text=all",           "train.steps=24",
                                    "train.validate_every=12", "train.checkpoint_every=12",
                                    "train.early_stop=0"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return recipe(run, all);
  }
  // What is wrong with these rows.
  std::string refusal(const std::vector<LabelledRow>& rows,
                      const std::vector<std::string>& overrides = {}) const {
    write(rows);
    std::string message = message_of([&] { train_alone(label_recipe("run", overrides)); });
    EXPECT_FALSE(fs::exists(folder_ / "run"));
    return message;
  }
};

}  // namespace shelfcast::trainer
