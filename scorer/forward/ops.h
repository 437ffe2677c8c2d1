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
// Floats of scratch that self-attention over `tokens` with heads of `width` needs: scores, and K and V in
// panels.
constexpr std::int64_t attention_scratch(std::int64_t tokens, std::int64_t width) {
  return tokens * whole_panels(tokens) + whole_panels(tokens) * width + tokens * whole_panels(width);
}

// Self-attention of one series: `tokens` rows of q, k, v side by side, q of head h at columns h*width.
struct SelfAttention {
  std::int64_t tokens = 0, heads = 0, width = 0;
  const float* qkv = nullptr;              // [tokens, 3 * heads * width]
  const std::int32_t* position = nullptr;  // [tokens], ascending: where the token stood in the whole sequence
  const float* bias = nullptr;             // [heads, 2 * reach + 1], of key position - query position + reach
  std::int64_t reach = 0;
  const float* mask = nullptr;  // [tokens], added to a key's scores; null = every key is attended
  float* scratch = nullptr;     // attention_scratch(tokens, width) floats, on a cache line
  float* out = nullptr;         // [tokens, heads * width]
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
  void (*self_attention)(const SelfAttention& arguments) = nullptr;
  void (*pooled_attention)(const PooledAttention& arguments) = nullptr;
};

// The code for `isa`; throws Error(internal) when it does not run here.
const Ops& ops_for(Isa isa);

// Packs row-major weights [outputs, inputs] and a bias [outputs] (empty = none) for `ops`.
DenseLayer pack(const Ops& ops, std::span<const float> weight, std::int64_t outputs, std::int64_t inputs,
                std::span<const float> bias = {});

}  // namespace shelfcast::scorer
