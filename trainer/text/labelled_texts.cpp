#include "trainer/text/labelled_texts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "data/ingest/table_reader.h"
#include "data/text/unicode.h"
#include "eval/entity_metrics.h"
#include "models/text/masked_language.h"
#include "trainer/text/text_batches.h"

namespace shelfcast::trainer {
namespace {

// A row of the table; a label that is missing is empty.
struct Row {
  std::string place, text, text_class, tags, split;
};

std::vector<Row> read_rows(const data::LabelsConfig& config) {
  std::vector<std::pair<std::string Row::*, const std::string*>> cells = {{&Row::text, &config.text}};
  for (const auto& [cell, name] :
       {std::pair(&Row::text_class, &config.text_class), std::pair(&Row::tags, &config.tags),
        std::pair(&Row::split, &config.split)})
    if (!name->empty()) cells.emplace_back(cell, name);
  std::vector<data::ColumnRequest> columns;
  for (const auto& [cell, name] : cells) columns.push_back({*name, data::ColumnType::text});
  data::TableReader reader(data::table_files(config.table), std::move(columns));
  std::vector<Row> rows;
  for (data::TableBatch batch; reader.next(batch);)
    for (std::int64_t i = 0; i < batch.rows; ++i) {
      Row& row = rows.emplace_back();
      row.place = reader.place(batch.first_row + i);
      for (std::size_t c = 0; c < cells.size(); ++c) {
        const std::int32_t code = batch.columns[c].codes[static_cast<std::size_t>(i)];
        if (code != data::kMissingCode)
          row.*cells[c].first = reader.dictionary(c)[static_cast<std::size_t>(code)];
      }
    }
  return rows;
}

// The row's tags, one a word.
std::vector<std::string_view> tags_of(const Row& row) {
  if (row.tags.empty()) return {};
  const std::vector<std::string_view> tags = data::split_words(row.tags), words = data::split_words(row.text);
  if (tags.size() != words.size())
    throw input_error(
        fmt::format("{} has {} tags for a text of {} words", row.place, tags.size(), words.size()),
        "tags are one for each word, and words are what stands between spaces",
        "give the words that are outside of everything the tag O");
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (!eval::is_entity_tag(tags[i]))
      throw input_error(fmt::format("{}: unknown tag \"{}\" of word {}", row.place, tags[i], i + 1),
                        fmt::format("the word is \"{}\"", words[i]),
                        "use O, or B, I, E or S, by itself or before a kind: B-colour");
  return tags;
}

TextPart part_of(const Row& row) {
  if (row.split == "train") return TextPart::trained;
  if (row.split == "validation") return TextPart::held_out;
  if (row.split == "test") return TextPart::left_out;
  throw input_error(fmt::format("{} belongs to \"{}\"", row.place, row.split), "",
                    "the column in data.labels.split says train, validation or test");
}

std::vector<TextPart> parts_of(const std::vector<Row>& rows, const data::LabelsConfig& config,
                               std::uint64_t seed, std::int64_t most_held_out) {
  std::vector<TextPart> parts;
  if (!config.split.empty()) {
    for (const Row& row : rows) parts.push_back(part_of(row));
    return parts;
  }
  std::vector<std::string> texts;
  for (const Row& row : rows) texts.push_back(row.text);
  return draw_parts(texts, seed, most_held_out);
}

// In how many texts a label is met, and where first.
struct Met {
  std::int64_t trained = 0, held_out = 0;
  std::string place;
};
using AllMet = std::map<std::string, Met, std::less<>>;

void meet(AllMet& met, std::string_view label, const Row& row, TextPart part) {
  if (part == TextPart::left_out) return;
  Met& one = met.try_emplace(std::string(label)).first->second;
  if (one.place.empty()) one.place = row.place;
  ++(part == TextPart::trained ? one.trained : one.held_out);
}

// The names of a head's labels, once they can be learned and judged.
std::vector<std::string> names_of(const AllMet& met, const std::string& column, const char* what) {
  if (column.empty()) return {};
  std::vector<std::string> names;
  for (const auto& [name, one] : met) {
    if (one.trained + one.held_out == 1)
      throw input_error(fmt::format("{} \"{}\" has a single text ({})", what, name, one.place),
                        "it cannot be both learned and judged",
                        "give it more texts, join it to another, or leave it out");
    if (one.trained == 0)
      throw input_error(
          fmt::format("{} \"{}\" ({}) is absent from the texts that are trained on", what, name, one.place),
          fmt::format("all of its {} texts are held out", one.held_out),
          "move some of them in data.labels.split, or choose another run.seed");
    names.push_back(name);
  }
  if (names.size() < 2)
    throw input_error(fmt::format("column \"{}\" holds {} different labels", column, names.size()),
                      "a head tells apart at least two", "name another column");
  return names;
}

std::int64_t index_of(const std::vector<std::string>& names, std::string_view name) {
  return std::lower_bound(names.begin(), names.end(), name) - names.begin();
}

std::string digest_of(const LabelledTexts& texts) {
  std::string all =
      fmt::format("{}\n{}\n", fmt::join(texts.names.classes, "\t"), fmt::join(texts.names.tags, "\t"));
  for (const auto* part : {&texts.trained, &texts.held_out}) {
    for (const LabelledText& one : *part)
      all += fmt::format("{}\t{}\t{}\n", one.text, one.text_class, fmt::join(one.tags, " "));
    all += '\n';
  }
  return digest_text(all);
}

[[noreturn]] void refuse_weight(const char* key) {
  throw input_error(fmt::format("model.labels.{} weighs the labels of a head that is off", key),
                    "data.labels names no column for it", "name one, or leave the weights out");
}

// Weights by name, given, balanced or none; `met`: how often each label is met.
at::Tensor weights_of(const char* key, const std::vector<double>& given, bool balanced,
                      const std::vector<std::string>& names, const std::vector<double>& met) {
  if (names.empty() && (balanced || !given.empty())) refuse_weight(key);
  if (!balanced && given.empty()) return {};
  if (!balanced && given.size() != names.size())
    throw input_error(fmt::format("model.labels.{} holds {} numbers", key, given.size()),
                      fmt::format("the labels are {}: {}", names.size(), fmt::join(names, ", ")),
                      "give one for each, in this order, or balanced");
  std::vector<double> weights = given;
  if (balanced) {
    double all = 0;
    for (const double n : met) all += n;
    for (const double n : met) weights.push_back(all / (static_cast<double>(met.size()) * n));
  }
  return at::tensor(weights, at::kFloat);
}

}  // namespace

LabelledTexts read_labelled_texts(const data::LabelsConfig& config, std::uint64_t seed,
                                  std::int64_t most_held_out) {
  std::vector<Row> rows = read_rows(config);
  const std::size_t all = rows.size();
  std::erase_if(rows, [](const Row& row) {
    return data::split_words(row.text).empty() || (row.text_class.empty() && row.tags.empty());
  });
  const std::vector<TextPart> parts = parts_of(rows, config, seed, most_held_out);
  AllMet classes, tags;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].text_class.empty()) meet(classes, rows[i].text_class, rows[i], parts[i]);
    const std::vector<std::string_view> words = tags_of(rows[i]);
    for (const std::string_view tag : std::set(words.begin(), words.end()))
      meet(tags, tag, rows[i], parts[i]);
  }
  LabelledTexts texts;
  texts.unlabelled = static_cast<std::int64_t>(all - rows.size());
  texts.names = {names_of(classes, config.text_class, "class"), names_of(tags, config.tags, "tag")};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (parts[i] == TextPart::left_out) continue;
    LabelledText one{.text = rows[i].text};
    if (!rows[i].text_class.empty()) one.text_class = index_of(texts.names.classes, rows[i].text_class);
    for (const std::string_view tag : tags_of(rows[i])) one.tags.push_back(index_of(texts.names.tags, tag));
    (parts[i] == TextPart::trained ? texts.trained : texts.held_out).push_back(std::move(one));
  }
  if (texts.trained.empty() || texts.held_out.empty())
    throw input_error(fmt::format("{} holds {} labelled texts to train on and {} to hold out", config.table,
                                  texts.trained.size(), texts.held_out.size()),
                      "both are needed",
                      "label more texts, or name the column of a split in data.labels.split");
  texts.digest = digest_of(texts);
  return texts;
}

models::LabelWeights label_weights(const models::LabelLossConfig& loss, const LabelledTexts& texts) {
  const models::LabelLossConfig usual;
  if (texts.names.classes.empty() && loss.text_class != usual.text_class) refuse_weight("class");
  if (texts.names.tags.empty() && loss.tags != usual.tags) refuse_weight("tags");
  std::vector<double> classes(texts.names.classes.size()), tags(texts.names.tags.size());
  for (const LabelledText& one : texts.trained) {
    if (one.text_class != models::kNoLabel) ++classes[static_cast<std::size_t>(one.text_class)];
    for (const std::int64_t tag : one.tags) ++tags[static_cast<std::size_t>(tag)];
  }
  return {.class_c = weights_of("class_weights", loss.class_weights, loss.balance_classes,
                                texts.names.classes, classes),
          .tag_t = weights_of("tag_weights", loss.tag_weights, loss.balance_tags, texts.names.tags, tags),
          .text_class = loss.text_class,
          .tags = loss.tags,
          .smoothing = loss.label_smoothing};
}

}  // namespace shelfcast::trainer
