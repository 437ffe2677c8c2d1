// What model.json of a bundle says: everything the shapes of the forward follow from (docs/model.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "scorer/forward/tower_config.h"

namespace shelfcast::scorer {

struct ModelConfig {
  TowerConfig tower;
  std::vector<double> quantiles;  // levels forecast, ascending
  bool mean_head = true;
  std::int64_t count_parameters = 0;  // of the head of counts: 1, with further zeros 2; 0 = none
  bool cumulated = false;             // quantiles of sums, which orders do not use yet: left out, too
  bool masked = false;                // hidden steps, of training alone: left out, too
  bool inventory = false;             // stock on hand: orders are given how much there is, so left out, too
  std::int64_t classes = 0;           // of the head of classes, which orders have no use for: it is left out
  bool positive_means = false;        // means bend before they reach zero
  bool counts_written = false;        // quantiles are those of the counts
  std::int64_t static_width = 0, code_width = 0, known_hidden = 0;
  std::int64_t season = 0;
  bool closures = false;  // the known head sees how many closed steps stand around a step
  double scale_floor = 0.0;
  bool level = false;
  bool groups = false;  // numeric covariates are series of their own in the group of demand
  std::int64_t context = 0, horizon = 0;
  std::int64_t past_numeric = 0, known_numeric = 0;
  // Of the known numeric columns, the one below -0.5 where nothing can be sold; -1 = none.
  std::int64_t open_column = -1;
  std::vector<std::int64_t> past_cardinalities, known_cardinalities, static_cardinalities;
  std::int64_t static_numbers = 0;  // facts that are numbers: two inputs each
  std::int64_t text_width = 0;      // of a product text's vector; 0 = the model reads none
  std::string text_pooling;         // mean, cls or pooler
  std::int64_t text_length = 0;     // most tokens of a text

  // Steps of context the tower reads, and their patches.
  std::int64_t steps_read() const;
  std::int64_t patches() const { return tower.patches(steps_read()); }
  // Columns beside demand in the patch embedding, and inputs of the known-covariate head.
  std::int64_t patch_columns() const;
  std::int64_t group_members() const;  // series that the tower reads for one forecast
  std::int64_t known_inputs() const;
  std::int64_t recent_seasons() const;  // whole seasons the known head's recent means are taken over
};

// Reads and checks model.json. Throws Error(data) naming the file and the field.
ModelConfig read_model_config(const std::filesystem::path& path);

}  // namespace shelfcast::scorer
