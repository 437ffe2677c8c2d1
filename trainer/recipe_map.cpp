#include "trainer/recipe_map.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace shelfcast::trainer {
namespace {

using data::LongMap;

template <typename Enum>
using Choices = std::vector<std::pair<const char*, Enum>>;

const Choices<data::Kind> kKinds = {{"numeric", data::Kind::numeric},
                                    {"categorical", data::Kind::categorical}};
const Choices<data::Role> kRoles = {{"known", data::Role::known}, {"past", data::Role::past}};
const Choices<Frequency> kFrequencies = {
    {"D", Frequency::daily}, {"W", Frequency::weekly}, {"M", Frequency::monthly}};
const Choices<data::Gaps> kGaps = {{"missing", data::Gaps::missing}, {"zero", data::Gaps::zero}};
const Choices<data::Fill> kFills = {
    {"none", data::Fill::none}, {"zero", data::Fill::zero}, {"previous", data::Fill::previous}};
const Choices<data::Duplicates> kDuplicates = {{"error", data::Duplicates::error},
                                               {"sum", data::Duplicates::sum},
                                               {"mean", data::Duplicates::mean},
                                               {"last", data::Duplicates::last}};
const Choices<data::Negative> kNegatives = {{"error", data::Negative::error},
                                            {"keep", data::Negative::keep},
                                            {"drop", data::Negative::drop},
                                            {"clip", data::Negative::clip}};
const Choices<data::Aggregate> kAggregates = {{"sum", data::Aggregate::sum},
                                              {"mean", data::Aggregate::mean},
                                              {"last", data::Aggregate::last},
                                              {"first", data::Aggregate::first}};
const Choices<LongMap::RowFilter::Rule> kRules = {{"positive", LongMap::RowFilter::Rule::positive},
                                                  {"not_negative", LongMap::RowFilter::Rule::not_negative},
                                                  {"present", LongMap::RowFilter::Rule::present}};

// One block of keys; a key that nobody took is an error.
class Block {
 public:
  Block(const std::string& origin, std::string name, const YAML::Node& node)
      : origin_(origin), name_(std::move(name)), node_(node) {
    if (!node_.IsMap()) fail(node_, fmt::format("{} must be a block of keys", name_));
    std::vector<std::string> seen;
    for (const auto& entry : node_) {
      const std::string key = entry.first.Scalar();
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail(entry.first, fmt::format("key \"{}\" stands twice", key));
      seen.push_back(key);
    }
  }

  // Undefined when the key is not there.
  YAML::Node take(const std::string& key) {
    known_.push_back(key);
    return node_[key];
  }
  void text(const std::string& key, std::string& value) {
    const YAML::Node node = take(key);
    if (node.IsDefined()) value = scalar(key, node);
  }
  template <typename Enum>
  void choice(const std::string& key, const Choices<Enum>& choices, Enum& value) {
    const YAML::Node node = take(key);
    if (node.IsDefined()) value = one_of(key, node, choices);
  }
  template <typename Enum>
  Enum one_of(const std::string& key, const YAML::Node& node, const Choices<Enum>& choices) const {
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (node.IsScalar() && node.Scalar() == name) return choice;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    fail(node, fmt::format("{} must be one of {}", key, names));
  }
  std::string scalar(const std::string& key, const YAML::Node& node) const {
    if (!node.IsScalar()) fail(node, fmt::format("{} must be a name", key));
    return node.Scalar();
  }
  // Throws for keys that nobody took.
  void finish() const {
    for (const auto& entry : node_) {
      const std::string key = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const std::string near = nearest_name(key, known_);
      throw input_error(fmt::format("{}: unknown key \"{}\" in {}", at(entry.first), key, name_),
                        near.empty() ? fmt::format("it has {}", fmt::join(known_, ", ")) : "",
                        near.empty() ? "remove it" : fmt::format("did you mean \"{}\"?", near));
    }
  }
  [[noreturn]] void fail(const YAML::Node& node, const std::string& problem) const {
    throw input_error(fmt::format("{}: {}", at(node), problem));
  }
  const YAML::Node& node() const { return node_; }
  const std::string& origin() const { return origin_; }

 private:
  std::string at(const YAML::Node& node) const {
    return node.Mark().is_null() ? origin_ : fmt::format("{}:{}", origin_, node.Mark().line + 1);
  }
  const std::string& origin_;
  std::string name_;
  YAML::Node node_;
  std::vector<std::string> known_;
};

// `key: COLUMN`, or a block whose `column` it is; `more` reads the block's other keys.
template <typename More>
void read_column(const std::string& origin, const std::string& key, const YAML::Node& node,
                 std::string& column, More&& more) {
  if (node.IsScalar()) {
    column = node.Scalar();
    return;
  }
  Block block(origin, key, node);
  block.text("column", column);
  more(block);
  block.finish();
  if (column.empty()) block.fail(node, fmt::format("{} lacks \"column\"", key));
}

void read_keys(Block& top, LongMap& map) {
  const YAML::Node node = top.take("series");
  if (!node.IsDefined()) return;
  if (node.IsScalar()) {
    map.series = {node.Scalar()};
    return;
  }
  if (!node.IsSequence()) top.fail(node, "series must be a column or a list of columns");
  for (const YAML::Node& key : node) map.series.push_back(top.scalar("series", key));
}

LongMap::Covariate read_covariate(const std::string& origin, const std::string& name,
                                  const YAML::Node& node) {
  LongMap::Covariate covariate;
  covariate.name = name;
  bool aggregated = false;
  read_column(origin, name, node, covariate.column, [&](Block& block) {
    block.choice("role", kRoles, covariate.role);
    block.choice("kind", kKinds, covariate.kind);
    block.text("per", covariate.per);
    aggregated = block.node()["aggregate"].IsDefined();
    block.choice("aggregate", kAggregates, covariate.aggregate);
    block.choice("fill", kFills, covariate.fill);
  });
  if (covariate.kind == data::Kind::categorical) {
    if (!aggregated) covariate.aggregate = data::Aggregate::last;
    if (covariate.aggregate == data::Aggregate::sum || covariate.aggregate == data::Aggregate::mean) {
      throw input_error(fmt::format("{}: categories of \"{}\" cannot be summed", origin, name), "",
                        "use aggregate: last or first");
    }
  }
  return covariate;
}

void read_statics(Block& top, LongMap& map) {
  const YAML::Node node = top.take("static");
  if (!node.IsDefined()) {
    for (const std::string& key : map.series) map.statics.push_back({key, key, data::Kind::categorical});
    return;
  }
  Block block(top.origin(), "static", node);
  for (const auto& entry : node) {
    LongMap::Static fact;
    fact.name = entry.first.Scalar();
    read_column(top.origin(), fact.name, entry.second, fact.column,
                [&](Block& inner) { inner.choice("kind", kKinds, fact.kind); });
    map.statics.push_back(std::move(fact));
  }
}

void read_filters(Block& top, LongMap& map) {
  const YAML::Node node = top.take("keep_rows");
  if (!node.IsDefined()) return;
  Block block(top.origin(), "keep_rows", node);
  for (const auto& entry : node) {
    LongMap::RowFilter filter;
    filter.column = entry.first.Scalar();
    if (entry.second.IsMap()) {
      Block inner(top.origin(), filter.column, entry.second);
      filter.rule = LongMap::RowFilter::Rule::matches;
      inner.text("matches", filter.pattern);
      inner.finish();
    } else {
      filter.rule = block.one_of(filter.column, entry.second, kRules);
    }
    map.keep_rows.push_back(std::move(filter));
  }
}

LongMap read_top(Block& top) {
  LongMap map;
  top.text("name", map.name);
  read_keys(top, map);
  if (const YAML::Node date = top.take("date"); date.IsDefined()) {
    read_column(top.origin(), "date", date, map.date,
                [&](Block& block) { block.text("format", map.date_format); });
  }
  if (const YAML::Node target = top.take("target"); target.IsDefined()) {
    read_column(top.origin(), "target", target, map.target,
                [&](Block& block) { block.choice("negative", kNegatives, map.negative); });
  }
  top.choice("frequency", kFrequencies, map.frequency);
  top.choice("duplicates", kDuplicates, map.duplicates);
  top.choice("gaps", kGaps, map.gaps);
  if (const YAML::Node covariates = top.take("covariates"); covariates.IsDefined()) {
    const Block block(top.origin(), "covariates", covariates);
    for (const auto& entry : covariates) {
      map.covariates.push_back(read_covariate(top.origin(), entry.first.Scalar(), entry.second));
    }
  }
  read_statics(top, map);
  if (const YAML::Node levels = top.take("levels"); levels.IsDefined()) {
    Block block(top.origin(), "levels", levels);
    block.text("item", map.item_level);
    block.text("store", map.store_level);
    block.text("category", map.category_level);
    block.finish();
  }
  top.text("text", map.text);
  read_filters(top, map);
  top.finish();
  return map;
}

}  // namespace

LongMap parse_map(const std::string& yaml, const std::string& origin) {
  try {
    const YAML::Node root = YAML::Load(yaml);
    Block top(origin, "the map", root);
    LongMap map = read_top(top);
    map.validate();
    return map;
  } catch (const YAML::Exception& error) {
    throw input_error(fmt::format("{}:{}: broken YAML", origin, error.mark.line + 1), error.msg);
  } catch (const Error& error) {
    // What validate() finds has no line, but the file helps.
    if (error.problem().starts_with(origin)) throw;
    throw input_error(fmt::format("{}: {}", origin, error.problem()), error.why(), error.advice());
  }
}

LongMap read_map(const std::filesystem::path& file) {
  LongMap map = parse_map(read_file(file), file.string());
  if (map.name == LongMap{}.name) map.name = file.stem().string();
  return map;
}

}  // namespace shelfcast::trainer
