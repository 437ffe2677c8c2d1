// Element-wise work of the models as plain loops over floats, compiled once for each instruction set and
// chosen at start. A row's result depends on the row alone, never on where it stands or on how many threads
// run.
#pragma once

#include <cstdint>

namespace shelfcast::models {

// Dropout of `n` consecutive elements of one window at one site: element i is kept when its 16 random bits
// are
// >= threshold. Bits come in groups of 128 elements: within group g element i belongs to half (i % 2) (low
// first) of word (i % 128) / 32 of the Philox block with counter g * 16 + (i % 32) / 2 and this key.
struct DropoutDraw {
  std::uint64_t key = 0;
  std::uint32_t threshold = 0;  // of 65536
  float scale = 1.0F;           // 65536 / (65536 - threshold)
};

struct Kernels {
  const char* name;

  // keep[i] = 1 or 0.
  void (*keep_mask)(DropoutDraw draw, std::int64_t n, std::uint8_t* keep);
  // out = x * keep * scale (+ residual unless null); keep is written too.
  void (*dropout)(DropoutDraw draw, std::int64_t n, const float* x, const float* residual, float* out,
                  std::uint8_t* keep);
  // dx = dy * keep * scale.
  void (*dropout_backward)(float scale, std::int64_t n, const float* dy, const std::uint8_t* keep, float* dx);
  // x = max(x, 0) * keep * scale, in place.
  void (*relu_dropout)(DropoutDraw draw, std::int64_t n, float* x);
  void (*relu)(std::int64_t n, float* x);
  // dx = y > 0 ? dy * scale : 0, y being what relu_dropout made.
  void (*relu_dropout_backward)(float scale, std::int64_t n, const float* dy, const float* y, float* dx);
  // The same of bfloat16, computed in float32 and rounded to the nearest.
  void (*relu_dropout_bf16)(DropoutDraw draw, std::int64_t n, std::uint16_t* x);
  void (*relu_bf16)(std::int64_t n, std::uint16_t* x);
  void (*relu_dropout_backward_bf16)(float scale, std::int64_t n, const std::uint16_t* dy,
                                     const std::uint16_t* y, std::uint16_t* dx);

  // y = gain * x * rstd with rstd = 1 / sqrt(mean(x^2) + epsilon), row by row.
  void (*rms_norm)(std::int64_t rows, std::int64_t width, float epsilon, const float* x, const float* gain,
                   float* y, float* rstd);
  // dx, and the rows' part of the gain's gradient added to dgain[width].
  void (*rms_norm_backward)(std::int64_t rows, std::int64_t width, const float* x, const float* gain,
                            const float* rstd, const float* dy, float* dx, float* dgain);

  // Row by row over [rows, width]: p = softmax(scores + bias + mask); dropped = p * keep * scale. `bias` is
  // [rows, width] or null, `mask` [width]. Without a threshold `dropped` is not touched. `scores` becomes p.
  void (*softmax_dropout)(DropoutDraw draw, std::int64_t rows, std::int64_t width, float* scores,
                          const float* bias, const float* mask, float* dropped);
  // In place: gradient of `dropped` becomes the gradient of scores.
  void (*softmax_dropout_backward)(float scale, std::int64_t rows, std::int64_t width, const float* p,
                                   const float* dropped, float* gradient);
};

// The fastest set this CPU can run.
const Kernels& kernels();
// All sets this CPU can run, slowest first: for tests that compare them.
const Kernels* const* all_kernels(int& count);

}  // namespace shelfcast::models
