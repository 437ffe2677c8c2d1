// The inner loops of Adafactor (Shazeer and Stern, 2018), free of torch so that they can be compiled for
// speed.
#pragma once

#include <cstdint>

namespace shelfcast::trainer {

// One update of one parameter, the numbers as in the paper's Algorithms 4 and 5.
struct AdafactorFactors {
  float gradient = 1.0F;         // gradients are multiplied by this first
  float decay = 0.0F;            // beta2_t = 1 - t^-0.8 of the second moments
  double clip = 1.0;             // largest root mean square of an update in units of the rate
  double rate = 1e-3;            // alpha_t, or rho_t where it is in units of the parameter's size
  bool in_units_of_size = true;  // the rate is multiplied by the parameter's root mean square, at least 1e-3
  double weight_decay = 0.0;     // decoupled, at the same rate
};

// A matrix [rows, columns]; `moments` holds rows + columns numbers: means over rows, then over columns.
// Gradients are cleared.
void adafactor_update_matrix(const AdafactorFactors& factors, std::int64_t rows, std::int64_t columns,
                             float* values, float* gradients, float* moments);
// Anything else: as many moments as values.
void adafactor_update_vector(const AdafactorFactors& factors, std::int64_t count, float* values,
                             float* gradients, float* moments);

}  // namespace shelfcast::trainer
