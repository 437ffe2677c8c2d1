// shelfcast label RUN --text texts.txt --out labels.csv: the class and the tags of every line.
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/csv.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "trainer/commands/commands.h"
#include "trainer/output_file.h"
#include "trainer/run/checkpoint.h"
#include "trainer/run/run_folder.h"
#include "trainer/text/label_model.h"
#include "trainer/text/text_lines.h"

namespace shelfcast::trainer {
namespace {

LabelModel open_label_model(const std::string& model) {
  const RunFolder folder(model);
  const Recipe recipe = folder.stored_recipe();
  if (recipe.train.task != TrainConfig::Task::text_labels)
    throw input_error(fmt::format("{} has learned no labels of texts", model),
                      "train.task is not text_labels", "name a run of recipes/text-labels.yaml");
  const Checkpoints checkpoints(folder.checkpoints());
  return LabelModel::open(checkpoints.path_of(checkpoints.best_valid()), recipe);
}

std::vector<TextLabels> label_lines(const LabelCommand& command, const LabelModel& model,
                                    const std::vector<std::string>& texts) {
  std::unique_ptr<Progress> progress;
  try {
    return label(model, texts, command.batch, [&progress](std::int64_t done, std::int64_t of) {
      if (!progress) progress = std::make_unique<Progress>("label", of, "texts");
      progress->update(done);
    });
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", command.text, error.problem()), error.why(),
                error.advice());
  }
}

// Words without a tag are outside of everything.
std::string tags_cell(const TextLabels& labels, const std::vector<std::string>& names) {
  std::vector<std::string_view> tags;
  for (const std::int64_t tag : labels.tags)
    tags.push_back(tag == models::kNoLabel ? std::string_view("O") : names[static_cast<std::size_t>(tag)]);
  return fmt::format("{}", fmt::join(tags, " "));
}

std::string labels_csv(const LabelNames& names, const std::vector<std::string>& texts,
                       const std::vector<TextLabels>& labels) {
  const bool classes = !names.classes.empty(), tags = !names.tags.empty();
  std::string csv = fmt::format("text{}{}\n", classes ? ",class,probability" : "", tags ? ",tags" : "");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    csv += csv_cell(texts[i]);
    if (classes && labels[i].text_class == models::kNoLabel) csv += ",,";
    if (classes && labels[i].text_class != models::kNoLabel)
      csv +=
          fmt::format(",{},{:.6f}", csv_cell(names.classes[static_cast<std::size_t>(labels[i].text_class)]),
                      labels[i].probability);
    if (tags) csv += fmt::format(",{}", csv_cell(tags_cell(labels[i], names.tags)));
    csv += '\n';
  }
  return csv;
}

}  // namespace

void run(const LabelCommand& command, parallel::Launch&) {
  if (log::identity().rank != 0) return;
  check_output(command.out, command.text);
  const LabelModel model = open_label_model(command.model);
  const std::vector<std::string> texts = read_text_lines(command.text);
  const auto started = std::chrono::steady_clock::now();
  const std::vector<TextLabels> labels = label_lines(command, model, texts);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  write_file_atomically(command.out, labels_csv(model.names(), texts, labels));
  log::all("{}: {} texts labelled, {:.0f} texts/s", command.out, texts.size(),
           static_cast<double>(texts.size()) / std::max(took.count(), 1e-9));
}

}  // namespace shelfcast::trainer
