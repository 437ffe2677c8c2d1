// The arithmetic of the forward, compiled once per instruction set and chosen when the program starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

namespace shelfcast::scorer {

// Instruction sets the arithmetic is compiled for: the psABI's levels of x86-64. On other machines only
// `baseline`.
enum class Isa { baseline, avx2, avx512 };

// "baseline", "avx2", "avx512".
const char* to_string(Isa isa);
// Whether this program holds code for `isa` and this CPU can run it.
bool runs_here(Isa isa);
// The fastest one that runs here.
Isa best_isa();

// Starts vectors on cache lines, which the widest loads like.
template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  CacheLineAllocator() = default;
  template <typename U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
  void deallocate(T* pointer, std::size_t) { ::operator delete(pointer, kAlignment); }
  bool operator==(const CacheLineAllocator&) const { return true; }
};
using Floats = std::vector<float, CacheLineAllocator<float>>;

// At least `size` floats of `buffer`, which grows, never shrinks and keeps what it holds.
inline float* reserve(Floats& buffer, std::int64_t size) {
  if (std::ssize(buffer) < size) buffer.resize(static_cast<std::size_t>(size));
  return buffer.data();
}
inline Floats to_floats(std::span<const float> values) { return Floats(values.begin(), values.end()); }

// Floats between rows of a matrix of `width` columns that a dense layer will read: rows a whole number of
// pages apart would share few sets of the first cache, and a tile's rows push each other out of it.
constexpr std::int64_t row_stride(std::int64_t width) { return width % 1024 == 0 ? width + 16 : width; }

// What a dense layer does with its result.
enum class Write { store, relu, add };

// A dense layer's weights as the kernels read them: panels[p][input][column] with `ops.panel` columns each,
// the last panel filled up with zeros. Packing once at load is why these products outrun a general library,
// which repacks the weights at every call.
struct DenseLayer {
  std::int64_t inputs = 0, outputs = 0;
  Floats panels;
  Floats bias;  // filled up to whole panels; empty = none
};

// Rounds up to whole panels of the widest instruction set.
constexpr std::int64_t whole_panels(std::int64_t columns) { return (columns + 31) / 32 * 32; }
// Floats of scratch that `queries` need to attend to `tokens` with heads of `width`: scores, and K and V in
// panels.
constexpr std::int64_t attention_scratch(std::int64_t queries, std::int64_t tokens, std::int64_t width) {
  return queries * whole_panels(tokens) + whole_panels(tokens) * width + tokens * whole_panels(width);
}

// What a T5 stack adds to the scores of a series' tokens, all of which ask.
struct PositionBias {
  const float* table = nullptr;  // [heads, 2 * reach + 1], of key position - query position + reach;
  // null = no bias
  std::int64_t reach = 0;
  const std::int32_t* position = nullptr;  // [tokens], ascending: where the token stood in the whole sequence
  const float* mask = nullptr;             // [tokens], added to a key's scores; null = every key is attended
};

// Attention among rows, head h at columns h * width of q, k and v: out_h = softmax(q_h k_h^T + bias) v_h.
struct Attention {
  std::int64_t queries = 0, tokens = 0, heads = 0, width = 0;
  const float *q = nullptr, *k = nullptr, *v = nullptr;  // [queries, .], [tokens, .], [tokens, .]
  std::int64_t q_stride = 0, kv_stride = 0;              // floats between rows
  PositionBias bias;
  float* scratch = nullptr;  // attention_scratch(queries, tokens, width) floats, on a cache line
  float* out = nullptr;      // [queries, heads * width]

  // Of rows with q, k and v side by side, [tokens, 3 * heads * width], to each other.
  static Attention among(std::int64_t tokens, std::int64_t heads, std::int64_t width, const float* qkv) {
    const std::int64_t inner = heads * width;
    return {tokens,          tokens,    heads,     width, qkv,     qkv + inner,
            qkv + 2 * inner, 3 * inner, 3 * inner, {},    nullptr, nullptr};
  }
};

// Rotary positions (Su et al., 2021): in each head, element e and element e + width / 2 are turned by the
// angle of the row's position.
struct Rotation {
  std::int64_t rows = 0, heads = 0, width = 0, stride = 0;
  const std::int32_t* position = nullptr;      // [rows]
  const float *cos = nullptr, *sin = nullptr;  // [positions, width / 2]
  float* x = nullptr;                          // [rows, heads * width], `stride` floats between rows
};

// Attention of one query per head over the rows of one series, in the rows' own space: out_h = sum_r p_hr x_r
// with p_h = softmax_r(query_h . x_r + mask_r).
struct PooledAttention {
  std::int64_t tokens = 0, heads = 0, width = 0;
  const float* query = nullptr;  // [heads, width]
  const float* rows = nullptr;   // [tokens, width]
  const float* mask = nullptr;   // [tokens] or null
  float* scores = nullptr;       // scratch [tokens], on a cache line
  float* out = nullptr;          // [heads, width]
};

// One instruction set's code. Every result row depends on its own input rows only, bit for bit: how series
// are split into batches and threads never shows.
struct Ops {
  Isa isa = Isa::baseline;
  std::int64_t panel = 0;  // columns of one packed panel
  // y = x W^T + bias, then as `write` says (add: on top of what y holds). Strides in floats between rows.
  void (*dense)(const DenseLayer& layer, const float* x, std::int64_t x_stride, std::int64_t rows, float* y,
                std::int64_t y_stride, Write write) = nullptr;
  // y = gain * x / sqrt(mean(x^2) + epsilon), row by row. x and y may be the same.
  void (*rms_norm)(const float* x, const float* gain, float epsilon, std::int64_t rows, std::int64_t width,
                   float* y) = nullptr;
  void (*attention)(const Attention& arguments) = nullptr;
  void (*rotate)(const Rotation& arguments) = nullptr;
  void (*pooled_attention)(const PooledAttention& arguments) = nullptr;
};

// The code for `isa`; throws Error(internal) when it does not run here.
const Ops& ops_for(Isa isa);

// Packs row-major weights [outputs, inputs] and a bias [outputs] (empty = none) for `ops`.
DenseLayer pack(const Ops& ops, std::span<const float> weight, std::int64_t outputs, std::int64_t inputs,
                std::span<const float> bias = {});

}  // namespace shelfcast::scorer
