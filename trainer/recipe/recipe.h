// Recipes: a whole run as one strict YAML file (docs/recipes.md lists every key).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/config.h"
#include "eval/config.h"
#include "models/config.h"
#include "trainer/recipe/config.h"

namespace shelfcast::trainer {

struct Recipe {
  RunConfig run;
  data::DataConfig data;
  models::ModelConfig model;
  TuneConfig tune;
  TrainConfig train;
  ParallelConfig parallel;
  eval::BacktestConfig backtest;

  // Checks each block and what only holds between blocks. Throws Error(input) naming the field.
  void validate() const;
};

// Reads a recipe, applies overrides of the form "train.steps=100" in order, and validates. Every key has a
// default but data.corpus and run.dir (default: runs/<file name>). Throws Error(input) "file:line: ..." for
// an unknown key (with the nearest name), a wrong type, a duplicate key or broken YAML.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides);

// The same from text; `origin` stands for the file in messages.
Recipe parse_recipe(const std::string& yaml, const std::string& origin,
                    const std::vector<std::string>& overrides);

// Throws Error(input), naming `what`, when shelfcast-score cannot run this tower, or make orders of quantiles
// at these levels.
void require_exportable(models::Architecture tower, const std::vector<double>& levels,
                        const std::string& what);

// The resolved recipe: every key with its value, readable by parse_recipe.
std::string to_yaml(const Recipe& recipe);

// The same without what results do not depend on: the folder and the parallel block. Runs with the same text
// are the same run.
std::string identity_yaml(Recipe recipe);

// What the resolved recipe has under a key, "run.dir": a text without the quotes of YAML, a list or a block
// in YAML. Throws Error(input) with the names there are.
std::string value_of(const Recipe& recipe, const std::string& key);

}  // namespace shelfcast::trainer
