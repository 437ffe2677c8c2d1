// Measures of a classification, read off its confusion matrix.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/metrics.h"

namespace shelfcast::eval {

// `part` of `of`, whose count it has; without a value where that is 0.
Score share(std::string metric, double part, double of);

// `confusion` [truth, forecast] counts steps, for classes of these names. Always the same scores in the same
// order:
// - accuracy: the share on the diagonal;
// - precision_macro, recall_macro, f1_macro: means over the classes that occur in truth or forecasts;
// - precision_weighted, recall_weighted, f1_weighted: means weighted by how often a class is the truth;
// - precision@C, recall@C, f1@C of each class: of what was forecast as C the share that was C (n counts these
//   forecasts), of what was C the share that was forecast so (n counts these truths), their harmonic mean (n
//   counts steps where either is C). Nothing to divide by: n = 0 and no value, 0 in the means above, as in
//   scikit-learn;
// - confusion@T>F of each pair: the count itself.
std::vector<Score> class_scores(std::span<const double> confusion, const std::vector<std::string>& classes);

}  // namespace shelfcast::eval
