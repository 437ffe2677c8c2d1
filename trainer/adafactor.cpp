#include "trainer/adafactor.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace shelfcast::trainer {
namespace {

constexpr float kFloor = 1e-30F;      // epsilon_1: added to squared gradients
constexpr double kLeastSize = 1e-3;   // epsilon_2: of a parameter whose size scales its rate
constexpr std::int64_t kBlock = 512;  // elements summed in float before they join a sum in double

double sum_of_squares(const float* x, std::int64_t count, float factor) {
  double sum = 0;
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t last = std::min(count, first + kBlock);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (std::int64_t i = first; i < last; ++i) part += (x[i] * factor) * (x[i] * factor);
    sum += static_cast<double>(part);
  }
  return sum;
}

double rms(const float* x, std::int64_t count) {
  return std::sqrt(sum_of_squares(x, count, 1.0F) / static_cast<double>(count));
}

// Gradients hold the update before clipping: they are clipped, taken off the values and cleared.
void apply(const AdafactorFactors& f, std::int64_t count, float* values, float* updates) {
  const double size = f.in_units_of_size ? std::max(kLeastSize, rms(values, count)) : 1.0;
  const double rate = f.rate * size, clipped = std::max(1.0, rms(updates, count) / f.clip);
  const auto step = static_cast<float>(rate / clipped),
             keep = static_cast<float>(1.0 - rate * f.weight_decay);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = values[i] * keep - step * updates[i];
    updates[i] = 0.0F;
  }
}

}  // namespace

void adafactor_update_matrix(const AdafactorFactors& f, std::int64_t rows, std::int64_t columns,
                             float* values, float* gradients, float* moments) {
  float *row_means = moments, *column_means = moments + rows;
  std::vector<float> squares(static_cast<std::size_t>(columns), 0.0F);
  double mean_of_rows = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* g = gradients + r * columns;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
      g[c] *= f.gradient;
      squares[static_cast<std::size_t>(c)] += g[c] * g[c] + kFloor;
    }
    const auto mean =
        static_cast<float>(sum_of_squares(g, columns, 1.0F) / static_cast<double>(columns)) + kFloor;
    row_means[r] = f.decay * row_means[r] + (1.0F - f.decay) * mean;
    mean_of_rows += static_cast<double>(row_means[r]);
  }
  mean_of_rows /= static_cast<double>(rows);
  for (std::int64_t c = 0; c < columns; ++c) {
    float& column = squares[static_cast<std::size_t>(c)];
    column_means[c] = f.decay * column_means[c] + (1.0F - f.decay) * (column / static_cast<float>(rows));
    column = 1.0F / std::sqrt(column_means[c]);  // from here on the factor of the column
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    float* g = gradients + r * columns;
    const auto row = static_cast<float>(1.0 / std::sqrt(static_cast<double>(row_means[r]) / mean_of_rows));
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) g[c] *= row * squares[static_cast<std::size_t>(c)];
  }
  apply(f, rows * columns, values, gradients);
}

void adafactor_update_vector(const AdafactorFactors& f, std::int64_t count, float* values, float* gradients,
                             float* moments) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradients[i] * f.gradient;
    moments[i] = f.decay * moments[i] + (1.0F - f.decay) * (g * g + kFloor);
    gradients[i] = g / std::sqrt(moments[i]);
  }
  apply(f, count, values, gradients);
}

}  // namespace shelfcast::trainer
