// Simple exponential smoothing, and the methods for intermittent demand that are built from it.
#pragma once

#include <span>

namespace shelfcast::eval {

// Each returns the forecast of one step; it is the same for every step of the horizon. Demand is what is
// above 0. All take a history with at least one step; one without demand forecasts 0.

// Simple exponential smoothing that starts at the first value: what it forecasts for the step after the last.
double smoothed(std::span<const double> values, double alpha);
// The alpha in (low, high) with the least squared error one step ahead, to about 1e-5.
double best_alpha(std::span<const double> values, double low, double high);
// Simple exponential smoothing with the best alpha in (0.01, 0.99).
double ses(std::span<const double> history);

// Smoothed demand sizes over smoothed intervals between demands, both with alpha 0.1; the first interval runs
// from the start of the history (Croston, 1972).
double croston(std::span<const double> history);
// Croston's forecast times 0.95, which takes out most of its bias (Syntetos and Boylan, 2005).
double sba(std::span<const double> history);
// Smoothed demand sizes times the smoothed probability of demand, both with alpha 0.1, updated in every step,
// so that the forecast falls while nothing sells (Teunter, Syntetos and Babai, 2011).
double tsb(std::span<const double> history);
// Smoothing of sums over as many steps as lie between demands on average, spread evenly over those steps;
// alpha in (0.1, 0.3) is fitted (Nikolopoulos et al., 2011).
double adida(std::span<const double> history);
// The mean of such forecasts from sums over 1, 2, ... up to that many steps (Petropoulos and Kourentzes,
// 2015).
double imapa(std::span<const double> history);

}  // namespace shelfcast::eval
