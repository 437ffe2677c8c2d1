// The arithmetic itself. This file is compiled once per instruction set into a namespace of its own
// (SHELFCAST_ISA), with Eigen's namespace renamed as well (see CMakeLists.txt): the linker must never merge
// an inline function compiled for AVX-512 with the one the other objects use. For the same reason nothing
// here instantiates templates of the standard library that could end up as shared symbols; tests/scorer looks
// at the symbols.
#include "scorer/forward/ops.h"

#include <Eigen/Core>

namespace shelfcast::scorer::SHELFCAST_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kTileRows = 6;
#else
constexpr int kVectorBytes = 16, kTileRows = 6;
#endif
// A tile of kTileRows x 2 vectors fills the registers: 16 of them up to AVX2, 32 with AVX-512.
constexpr int kLanes = kVectorBytes / 4, kPanel = 2 * kLanes;
using Vector = float __attribute__((vector_size(kVectorBytes)));
using Unaligned = float __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

using Row = Eigen::Map<const Eigen::Array<float, 1, Eigen::Dynamic>>;
using MutableRow = Eigen::Map<Eigen::Array<float, 1, Eigen::Dynamic>>;

// y = x B (+ bias): B in panels.
struct Product {
  const float* x;
  std::int64_t x_stride;
  const float* panels;
  std::int64_t inputs, outputs;
  const float* bias;  // filled up to whole panels, or null
  float* y;
  std::int64_t y_stride;
  Write write;
};

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

inline void write_vector(float* to, Vector value, Write write) {
  if (write == Write::add) value += load(to);
  if (write == Write::relu) value = value > Vector{} ? value : Vector{};
  store(to, value);
}

// Writes the first `columns` of a panel's row.
inline void write_panel(float* to, Vector low, Vector high, std::int64_t columns, Write write) {
  if (columns >= kPanel) {
    write_vector(to, low, write);
    write_vector(to + kLanes, high, write);
    return;
  }
  alignas(kVectorBytes) float values[kPanel];
  store(values, low);
  store(values + kLanes, high);
  for (std::int64_t c = 0; c < columns; ++c) {
    float value = values[c];
    if (write == Write::add) value += to[c];
    if (write == Write::relu) value = value > 0.0F ? value : 0.0F;
    to[c] = value;
  }
}

// kRows rows of x by kPanels panels. Each sum runs over the inputs in order, whatever the tile's shape, so a
// row's result does not depend on the rows around it.
template <int kRows, int kPanels>
inline __attribute__((always_inline)) void tile(const Product& product, std::int64_t row,
                                                std::int64_t panel) {
  // Every loop over the sums is unrolled: only then do they live in registers.
  Vector sums[kRows][2 * kPanels];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < 2 * kPanels; ++c) sums[r][c] = Vector{};
  const float* x = product.x + row * product.x_stride;
  const std::int64_t panel_size = product.inputs * kPanel;
  const float* weights = product.panels + panel * panel_size;
  for (std::int64_t i = 0; i < product.inputs; ++i, ++x, weights += kPanel) {
    Vector columns[2 * kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      columns[2 * p] = load(weights + p * panel_size);
      columns[2 * p + 1] = load(weights + p * panel_size + kLanes);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const float value = x[r * product.x_stride];
#pragma GCC unroll 8
      for (int c = 0; c < 2 * kPanels; ++c) sums[r][c] += value * columns[c];
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    const std::int64_t first = (panel + p) * kPanel;
    const Vector low = product.bias != nullptr ? load(product.bias + first) : Vector{};
    const Vector high = product.bias != nullptr ? load(product.bias + first + kLanes) : Vector{};
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r)
      write_panel(product.y + (row + r) * product.y_stride + first, sums[r][2 * p] + low,
                  sums[r][2 * p + 1] + high, product.outputs - first, product.write);
  }
}

// The last, smaller tile of a column of tiles.
template <int kRows>
void rest_of_rows(const Product& product, std::int64_t row, std::int64_t rows, std::int64_t panel) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile<kRows, 1>(product, row, panel);
    rest_of_rows<kRows - 1>(product, row, rows, panel);
  }
}

// Few rows: several panels at once keep enough sums in flight to hide the latency of an addition.
template <int kRows, int kPanels>
void few_rows(const Product& product) {
  const std::int64_t panels = (product.outputs + kPanel - 1) / kPanel;
  std::int64_t panel = 0;
  for (; panel + kPanels <= panels; panel += kPanels) tile<kRows, kPanels>(product, 0, panel);
  for (; panel < panels; ++panel) tile<kRows, 1>(product, 0, panel);
}

void multiply(const Product& product, std::int64_t rows) {
  if (rows == 1) return few_rows<1, 4>(product);
  if (rows == 2) return few_rows<2, 2>(product);
  if (rows == 3) return few_rows<3, 2>(product);
  const std::int64_t panels = (product.outputs + kPanel - 1) / kPanel;
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    std::int64_t row = 0;
    for (; row + kTileRows <= rows; row += kTileRows) tile<kTileRows, 1>(product, row, panel);
    rest_of_rows<kTileRows - 1>(product, row, rows - row, panel);
  }
}

void dense(const DenseLayer& layer, const float* x, std::int64_t x_stride, std::int64_t rows, float* y,
           std::int64_t y_stride, Write write) {
  const float* bias = layer.bias.empty() ? nullptr : layer.bias.data();
  multiply({x, x_stride, layer.panels.data(), layer.inputs, layer.outputs, bias, y, y_stride, write}, rows);
}

// Sums in a fixed order from the first element on, wherever the arrays lie.
float dot(const float* a, const float* b, std::int64_t size) {
  Vector sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) sums[s] += load(a + i + s * kLanes) * load(b + i + s * kLanes);
  const Vector all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float sum = 0.0F;
  for (; i < size; ++i) sum += a[i] * b[i];
  for (int lane = 0; lane < kLanes; ++lane) sum += all[lane];
  return sum;
}

void rms_norm(const float* x, const float* gain, float epsilon, std::int64_t rows, std::int64_t width,
              float* y) {
  const Row gains(gain, width);
  for (std::int64_t r = 0; r < rows; ++r) {
    const float mean_square = dot(x + r * width, x + r * width, width) / static_cast<float>(width);
    const float factor = 1.0F / __builtin_sqrtf(mean_square + epsilon);
    MutableRow(y + r * width, width) = gains * (Row(x + r * width, width) * factor);
  }
}

// `scores` lie on a cache line, so that which elements Eigen takes one by one does not change between calls.
void softmax(float* scores, std::int64_t count) {
  MutableRow row(scores, count);
  row = (row - row.maxCoeff()).exp();
  row *= 1.0F / row.sum();
}

// Adds the relative position bias of one head to one query's scores: a stretch of its table where the keys
// are consecutive.
void add_position_bias(const Attention& a, std::int64_t head, std::int64_t query, float* scores) {
  const PositionBias& b = a.bias;
  const float* bias = b.table + head * (2 * b.reach + 1) + b.reach - b.position[query];
  if (b.position[a.tokens - 1] - b.position[0] == a.tokens - 1) {
    MutableRow(scores, a.tokens) += Row(bias + b.position[0], a.tokens);
  } else {
    for (std::int64_t r = 0; r < a.tokens; ++r) scores[r] += bias[b.position[r]];
  }
  if (b.mask != nullptr) MutableRow(scores, a.tokens) += Row(b.mask, a.tokens);
}

// K of one head as panels of tokens (keys[panel][i][token]); columns after the last token keep what was
// there.
void pack_keys(const Attention& a, const float* k, float* keys) {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    float* column = keys + t / kPanel * kPanel * a.width + t % kPanel;
    for (std::int64_t i = 0; i < a.width; ++i) column[i * kPanel] = k[t * a.kv_stride + i];
  }
}

// V of one head as panels of its width (values[panel][token][column]).
void pack_values(const Attention& a, const float* v, float* values) {
  for (std::int64_t first = 0; first < a.width; first += kPanel) {
    const std::int64_t columns = a.width - first < kPanel ? a.width - first : kPanel;
    float* panel = values + first * a.tokens;
    for (std::int64_t t = 0; t < a.tokens; ++t)
      for (std::int64_t c = 0; c < columns; ++c) panel[t * kPanel + c] = v[t * a.kv_stride + first + c];
  }
}

void attention(const Attention& a) {
  const std::int64_t inner = a.heads * a.width, padded = whole_panels(a.tokens);
  float* scores = a.scratch;
  float* keys = scores + a.queries * padded;
  float* values = keys + padded * a.width;
  // Columns that fill up the last panels are computed and dropped; they must only be numbers that cost
  // nothing.
  MutableRow(keys, padded * a.width + a.tokens * whole_panels(a.width)).setZero();
  for (std::int64_t h = 0; h < a.heads; ++h) {
    const std::int64_t column = h * a.width;
    pack_keys(a, a.k + column, keys);
    pack_values(a, a.v + column, values);
    multiply({a.q + column, a.q_stride, keys, a.width, a.tokens, nullptr, scores, padded, Write::store},
             a.queries);
    for (std::int64_t t = 0; t < a.queries; ++t) {
      if (a.bias.table != nullptr) add_position_bias(a, h, t, scores + t * padded);
      softmax(scores + t * padded, a.tokens);
    }
    multiply({scores, padded, values, a.tokens, a.width, nullptr, a.out + column, inner, Write::store},
             a.queries);
  }
}

void rotate(const Rotation& r) {
  const std::int64_t half = r.width / 2;
  for (std::int64_t row = 0; row < r.rows; ++row) {
    const float* __restrict cos = r.cos + r.position[row] * half;
    const float* __restrict sin = r.sin + r.position[row] * half;
    for (std::int64_t h = 0; h < r.heads; ++h) {
      float* __restrict low = r.x + row * r.stride + h * r.width;
      float* __restrict high = low + half;
      for (std::int64_t e = 0; e < half; ++e) {
        const float a = low[e], b = high[e];
        low[e] = a * cos[e] - b * sin[e];
        high[e] = b * cos[e] + a * sin[e];
      }
    }
  }
}

void pooled_attention(const PooledAttention& a) {
  for (std::int64_t h = 0; h < a.heads; ++h) {
    for (std::int64_t t = 0; t < a.tokens; ++t) {
      a.scores[t] = dot(a.query + h * a.width, a.rows + t * a.width, a.width);
      if (a.mask != nullptr) a.scores[t] += a.mask[t];
    }
    softmax(a.scores, a.tokens);
    MutableRow out(a.out + h * a.width, a.width);
    out.setZero();
    for (std::int64_t t = 0; t < a.tokens; ++t) out += a.scores[t] * Row(a.rows + t * a.width, a.width);
  }
}

}  // namespace

const Ops& table() {
#if defined(__AVX512F__)
  constexpr Isa kIsa = Isa::avx512;
#elif defined(__AVX2__)
  constexpr Isa kIsa = Isa::avx2;
#else
  constexpr Isa kIsa = Isa::baseline;
#endif
  static constexpr Ops kOps{kIsa, kPanel, dense, rms_norm, attention, rotate, pooled_attention};
  return kOps;
}

}  // namespace shelfcast::scorer::SHELFCAST_ISA
