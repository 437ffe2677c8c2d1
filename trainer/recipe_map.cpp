#include "trainer/recipe_map.h"

#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "trainer/recipe/recipe_block.h"

namespace shelfcast::trainer {
namespace {

using data::LongMap;

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
    Block top(origin, "the map", load_yaml(yaml, origin));
    LongMap map = read_top(top);
    map.validate();
    return map;
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
