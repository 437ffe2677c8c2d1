#include "trainer/warm_start.h"

#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/error.h"
#include "base/json_file.h"
#include "base/log.h"
#include "trainer/text/text_encoder.h"
#include "trainer/trained_run.h"

namespace shelfcast::trainer {
namespace {

using Vocabulary = std::vector<std::string>;

// The words behind the rows of each embedding table, by the table's name. Row c + 1 is word c; row 0 what is
// unknown.
std::map<std::string, Vocabulary> vocabularies(const data::FeatureSpec& features) {
  std::map<std::string, Vocabulary> all;
  const auto add = [&all](const char* name, const auto& columns) {
    for (std::size_t i = 0; i < columns.size(); ++i)
      all[fmt::format("fusion.{}.{}.weight", name, i)] = columns[i].vocabulary;
  };
  add("past_code", features.past_categorical);
  add("known_code", features.known_categorical);
  add("static", features.statics);
  return all;
}

// Rows of words that both know, and the row of the unknown. Returns how many words were new.
std::int64_t copy_rows(const at::Tensor& from, const Vocabulary& there, at::Tensor& to,
                       const Vocabulary& here) {
  std::map<std::string, std::int64_t> rows;
  for (std::size_t i = 0; i < there.size(); ++i) rows[there[i]] = static_cast<std::int64_t>(i) + 1;
  to[0].copy_(from[0]);
  std::int64_t fresh = 0;
  for (std::size_t i = 0; i < here.size(); ++i) {
    const auto found = rows.find(here[i]);
    if (found == rows.end())
      ++fresh;
    else
      to[static_cast<std::int64_t>(i) + 1].copy_(from[found->second]);
  }
  return fresh;
}

std::string shape_of(const at::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

[[noreturn]] void differs(const std::filesystem::path& folder, const std::string& why) {
  throw input_error(fmt::format("run.start: the model of {} is built differently", folder.string()), why,
                    "start from scratch, or take over its model block and columns");
}

// Columns stand in the tables' names as numbers only.
template <typename Columns>
void require_same_names(const std::filesystem::path& folder, const char* what, const Columns& there,
                        const Columns& here) {
  Vocabulary theirs, ours;
  for (const auto& column : there) theirs.push_back(column.name);
  for (const auto& column : here) ours.push_back(column.name);
  if (theirs != ours)
    differs(folder, fmt::format("{}: it reads [{}], this recipe [{}]", what, fmt::join(theirs, ", "),
                                fmt::join(ours, ", ")));
}

void require_same_columns(const std::filesystem::path& folder, const data::FeatureSpec& there,
                          const data::FeatureSpec& here) {
  require_same_names(folder, "statics", there.statics, here.statics);
  require_same_names(folder, "statics that are numbers", there.static_numbers, here.static_numbers);
  require_same_names(folder, "past covariates", there.past_numeric, here.past_numeric);
  require_same_names(folder, "past categories", there.past_categorical, here.past_categorical);
  require_same_names(folder, "known covariates", there.known_numeric, here.known_numeric);
  require_same_names(folder, "known categories", there.known_categorical, here.known_categorical);
}

// A model reads the vectors of the encoder that it was trained with, or on.
void require_same_texts(const Recipe& then, const data::FeatureSpec& theirs, const Recipe& now,
                        const data::FeatureSpec& ours) {
  if (theirs.text.width == 0 || ours.text.width == 0) return;  // columns of which the tables speak
  const std::filesystem::path folder = now.run.start;
  if (then.model.text_pooling != now.model.text_pooling || then.model.text_length != now.model.text_length)
    differs(folder, fmt::format("model.text_pooling and text_length: {} of {} tokens there, {} of {} here",
                                then.model.text_pooling, then.model.text_length, now.model.text_pooling,
                                now.model.text_length));
  const bool trained = then.tune.text != TuneConfig::Text::frozen;
  if (trained && now.tune.text != TuneConfig::Text::frozen) return;  // its encoder goes on with it
  models::ModelConfig with_its_own = then.model;
  if (trained) with_its_own.text = now.run.start;
  const std::string wanted = trained ? TextEncoder(with_its_own).digest() : theirs.text.encoder;
  if (ours.text.encoder != wanted)
    throw input_error(
        fmt::format("run.start: {} reads the vectors of another text encoder", folder.string()),
        trained ? fmt::format("it trained its own, and model.text is {}", now.model.text)
                : fmt::format("model.text was {} there and is {} here", then.model.text, now.model.text),
        fmt::format("set model.text: {}", trained ? now.run.start : then.model.text));
}

}  // namespace

void check_start(const Recipe& recipe, const data::FeatureSpec& features) {
  const RunFolder run(recipe.run.start);
  const Recipe then = run.stored_recipe();
  const auto theirs = data::feature_spec_from_json(read_json(run.features(), "damaged file"));
  require_same_columns(run.path(), theirs, features);
  require_same_texts(then, theirs, recipe, features);
  const auto listed = [](const auto& values) { return fmt::format("[{}]", fmt::join(values, ", ")); };
  for (const auto& [what, there, here] :
       {std::tuple("quantiles", &then.model.quantiles, &recipe.model.quantiles),
        std::tuple("classes", &then.model.classes, &recipe.model.classes)})
    if (*there != *here)
      differs(run.path(),
              fmt::format("model.heads.{}: {} there and {} here", what, listed(*there), listed(*here)));
  if (then.model.season != recipe.model.season)
    log::warn("{} was trained with model.season {}, and this recipe has {}", run.path().string(),
              then.model.season, recipe.model.season);
}

void start_from(const std::filesystem::path& folder, models::DemandModel& model,
                const data::FeatureSpec& features) {
  const TrainedRun other = open_run(folder);
  const auto theirs = vocabularies(other.features), ours = vocabularies(features);
  std::map<std::string, at::Tensor> stored;
  for (const models::Parameter& parameter : other.model->parameters())
    stored[parameter.name] = parameter.tensor;
  const at::NoGradGuard no_grad;
  std::int64_t fresh = 0;
  for (const models::Parameter& parameter : model.parameters()) {
    const auto found = stored.find(parameter.name);
    if (found == stored.end()) differs(folder, fmt::format("it has no {}", parameter.name));
    at::Tensor to = parameter.tensor;
    const at::Tensor& from = found->second;
    if (const auto table = ours.find(parameter.name); table != ours.end() && from.size(1) == to.size(1)) {
      fresh += copy_rows(from, theirs.at(parameter.name), to, table->second);
    } else {
      if (from.sizes() != to.sizes())
        differs(folder,
                fmt::format("{} is {} there and {} here", parameter.name, shape_of(from), shape_of(to)));
      to.copy_(from);
    }
    stored.erase(found);
  }
  if (!stored.empty()) differs(folder, fmt::format("it also has {}", stored.begin()->first));
  log::all("starting from {}, step {}{}", folder.string(), other.step,
           fresh > 0 ? fmt::format("; {} words of vocabularies are new to it", fresh) : "");
}

}  // namespace shelfcast::trainer
