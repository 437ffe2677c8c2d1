// Strict reading of YAML: whole documents, and a block of keys of which each must be known.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace shelfcast::trainer {

template <typename Enum>
using Choices = std::vector<std::pair<const char*, Enum>>;

// The document in `yaml`. Throws Error(input) "origin:line: this is not YAML".
YAML::Node load_yaml(const std::string& yaml, const std::string& origin);

// A finite number, and a whole one in decimal digits: 010 would be eight and 0x10 sixteen to YAML's own
// reading. False when the node is something else.
bool read_number(const YAML::Node& node, double& value);
bool read_number(const YAML::Node& node, std::int64_t& value);

// One block of keys; a key that nobody took is an error. Every problem is Error(input) "file:line: ...".
class Block {
 public:
  // Throws when `node` is not a block or a key stands twice. `name` is what messages call it.
  Block(std::string origin, std::string name, const YAML::Node& node);

  // Undefined when the key is not there.
  YAML::Node take(const std::string& key);
  // Each leaves `value` alone when the key is not there.
  void text(const std::string& key, std::string& value);
  void number(const std::string& key, double& value);
  void number(const std::string& key, std::int64_t& value);
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
    fail(node, key + " must be one of " + names);
  }
  std::string scalar(const std::string& key, const YAML::Node& node) const;
  // Throws `problem` at this block unless it `holds`.
  void require(bool holds, const std::string& problem, const std::string& advice = "") const {
    if (!holds) fail(node_, problem, "", advice);
  }
  // Throws for keys that nobody took.
  void finish() const;
  [[noreturn]] void fail(const YAML::Node& node, const std::string& problem, const std::string& why = "",
                         const std::string& advice = "") const;

  const YAML::Node& node() const { return node_; }
  const std::string& origin() const { return origin_; }
  // "file:line".
  std::string at(const YAML::Node& node) const;

 private:
  std::string origin_, name_;
  YAML::Node node_;
  std::vector<std::string> known_;
};

}  // namespace shelfcast::trainer
