#include "trainer/retrain/retrain_file.h"

#include "base/error.h"
#include "base/files.h"
#include "trainer/recipe/recipe_block.h"

namespace shelfcast::trainer {
namespace {

const Choices<StartFrom> kStarts = {{"champion", StartFrom::champion}, {"scratch", StartFrom::scratch}};
const Choices<Significance> kSignificances = {
    {"better", Significance::better}, {"not_worse", Significance::not_worse}, {"none", Significance::none}};
const Choices<int> kMetrics = {{"mae", 0}, {"mse", 1}};

void read_new_days(Block& top, const std::filesystem::path& beside, NewDays& days) {
  const YAML::Node node = top.take("new");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "new", node);
  std::string map;
  block.text("from", days.from);
  block.text("format", days.format);
  block.text("map", map);
  block.text("frequency", days.frequency);
  block.number("series_limit", days.series_limit);
  block.finish();
  block.require(!days.from.empty(), "new.from is missing", "name the file or folder of new sales");
  block.require(!days.format.empty(), "new.format is missing", "use m5, rossmann, or long with a map");
  if (!map.empty()) days.map = beside / map;
}

void read_rule(Block& top, PromotionRule& rule) {
  const YAML::Node node = top.take("promote");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "promote", node);
  if (const YAML::Node metric = block.take("metric"); metric.IsDefined()) {
    block.one_of("metric", metric, kMetrics);
    rule.metric = metric.Scalar();
  }
  block.number("min_gain", rule.min_gain);
  block.choice("significance", kSignificances, rule.significance);
  if (const YAML::Node loss = block.take("most_loss"); loss.IsDefined()) {
    double share = 0;
    if (!read_number(loss, share)) block.fail(loss, "most_loss must be a number");
    rule.most_loss = share;
  }
  block.finish();
  block.require(rule.min_gain > -1 && rule.min_gain < 1, "promote.min_gain must lie between -1 and 1",
                "it is a share of the champion's error: 0.01 asks for one percent");
  block.require(!rule.most_loss || *rule.most_loss >= 0, "promote.most_loss must not be negative",
                "it is a share of the champion's error: 0.02 allows two percent");
}

std::vector<std::string> read_overrides(Block& top, const char* name) {
  std::vector<std::string> overrides;
  const YAML::Node node = top.take(name);
  if (!node.IsDefined()) return overrides;
  const Block block(top.origin(), name, node);
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    for (const char* own : {"run.dir", "run.start", "data.corpus"})
      if (key == own) block.fail(entry.first, fmt::format("{} is not for `{}`", key, name));
    YAML::Emitter value;
    value << YAML::Flow << entry.second;
    overrides.push_back(fmt::format("{}={}", key, value.c_str()));
  }
  return overrides;
}

RetrainFile read_top(Block& top, const std::filesystem::path& file) {
  RetrainFile retrain;
  retrain.file = file;
  std::string recipe;
  top.text("recipe", recipe);
  top.require(!recipe.empty(), "recipe is missing", "name the recipe to train, e.g. recipe: m5.yaml");
  retrain.recipe = file.parent_path() / recipe;
  retrain.dir = "retrain/" + file.stem().string();
  top.text("dir", retrain.dir);
  read_new_days(top, file.parent_path(), retrain.new_days);
  top.choice("start", kStarts, retrain.start);
  retrain.set = read_overrides(top, "set");
  retrain.warm_set = read_overrides(top, "warm_set");
  read_rule(top, retrain.promote);
  top.number("keep", retrain.keep);
  top.text("launcher", retrain.launcher);
  top.finish();
  top.require(retrain.start == StartFrom::champion || retrain.warm_set.empty(),
              "warm_set is for start: champion", "put its keys under `set`");
  top.require(retrain.keep >= 2, "keep must be at least 2", "one bundle is in use, one is to roll back to");
  return retrain;
}

}  // namespace

RetrainFile parse_retrain(const std::string& yaml, const std::filesystem::path& file) {
  Block top(file.string(), "the retrain", load_yaml(yaml, file.string()));
  return read_top(top, file);
}

RetrainFile read_retrain(const std::filesystem::path& file) { return parse_retrain(read_file(file), file); }

}  // namespace shelfcast::trainer
