#include "trainer/recipe/recipe_block.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace shelfcast::trainer {

YAML::Node load_yaml(const std::string& yaml, const std::string& origin) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.size() > 1)
      throw input_error(fmt::format("{} holds {} YAML documents", origin, documents.size()),
                        "a line --- ends one, and only the first would be read", "remove it");
    return documents.empty() ? YAML::Node() : documents.front();
  } catch (const YAML::ParserException& broken) {
    throw input_error(fmt::format("{}:{}: this is not YAML", origin, broken.mark.line + 1), broken.msg,
                      "check the indentation and the brackets around this line");
  }
}

bool read_number(const YAML::Node& node, double& value) {
  return YAML::convert<double>::decode(node, value) && std::isfinite(value);
}

bool read_number(const YAML::Node& node, std::int64_t& value) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  const std::size_t digits = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  if (text.size() > digits + 1 && text[digits] == '0') return false;
  return YAML::convert<std::int64_t>::decode(node, value);
}

Block::Block(std::string origin, std::string name, const YAML::Node& node)
    : origin_(std::move(origin)), name_(std::move(name)), node_(node) {
  if (!node_.IsMap()) fail(node_, fmt::format("{} must be a block of keys", name_));
  std::vector<std::string> seen;
  for (const auto& entry : node_) {
    const std::string key = entry.first.Scalar();
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      fail(entry.first, fmt::format("key \"{}\" stands twice", key));
    seen.push_back(key);
  }
}

YAML::Node Block::take(const std::string& key) {
  known_.push_back(key);
  return node_[key];
}

void Block::text(const std::string& key, std::string& value) {
  const YAML::Node node = take(key);
  if (node.IsDefined()) value = scalar(key, node);
}

void Block::number(const std::string& key, double& value) {
  const YAML::Node node = take(key);
  if (node.IsDefined() && !read_number(node, value)) fail(node, fmt::format("{} must be a number", key));
}

void Block::number(const std::string& key, std::int64_t& value) {
  const YAML::Node node = take(key);
  if (node.IsDefined() && !read_number(node, value))
    fail(node, fmt::format("{} must be a whole number", key));
}

std::string Block::scalar(const std::string& key, const YAML::Node& node) const {
  if (!node.IsScalar()) fail(node, fmt::format("{} must be a name", key));
  return node.Scalar();
}

void Block::finish() const {
  for (const auto& entry : node_) {
    const std::string key = entry.first.Scalar();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string near = nearest_name(key, known_);
    fail(entry.first, fmt::format("unknown key \"{}\" in {}", key, name_),
         near.empty() ? fmt::format("it has {}", fmt::join(known_, ", ")) : "",
         near.empty() ? "remove it" : fmt::format("did you mean \"{}\"?", near));
  }
}

void Block::fail(const YAML::Node& node, const std::string& problem, const std::string& why,
                 const std::string& advice) const {
  throw input_error(fmt::format("{}: {}", at(node), problem), why, advice);
}

std::string Block::at(const YAML::Node& node) const {
  return node.Mark().is_null() ? origin_ : fmt::format("{}:{}", origin_, node.Mark().line + 1);
}

}  // namespace shelfcast::trainer
