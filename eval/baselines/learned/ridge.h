// Ridge regression (Hoerl and Kennard, 1970).
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "eval/baselines/learned/table.h"

namespace shelfcast::eval {

// Least squares with `penalty` times the squared length of the weights, times the number of rows. Numbers are
// standardised and cut at three deviations from their mean, unknown ones stand for the mean; a categorical
// column becomes one 0/1 column for each of its values (those after the 64 most frequent ones share none).
// Not penalised: the constant. Returns bytes that load_ridge() takes.
std::vector<std::byte> fit_ridge(const LearningTable& table, const std::vector<bool>& categorical,
                                 double penalty);

std::unique_ptr<Regressor> load_ridge(const std::vector<std::byte>& bytes);

}  // namespace shelfcast::eval
