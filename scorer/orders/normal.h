// The standard normal distribution.
#pragma once

namespace shelfcast::scorer {

// P(Z <= z).
double normal_cdf(double z);
// Inverse, for 0 < p < 1; relative error below 1e-13 (Acklam's rational approximation, 2003, and one step of
// Halley).
double normal_quantile(double p);

}  // namespace shelfcast::scorer
