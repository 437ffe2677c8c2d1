// Choosing the arithmetic for this CPU, and laying out weights for it.
#include <algorithm>

#include "base/error.h"
#include "scorer/forward/ops.h"

namespace shelfcast::scorer {

namespace isa_baseline {
const Ops& table();
}
#ifdef SHELFCAST_X86_LEVELS
namespace isa_avx2 {
const Ops& table();
}
namespace isa_avx512 {
const Ops& table();
}
#endif

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

bool runs_here(Isa isa) {
  if (isa == Isa::baseline) return true;
#ifdef SHELFCAST_X86_LEVELS
  // The objects are compiled for the whole level (x86-64-v3, -v4), so all of its features are asked for.
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (isa == Isa::avx2) return v3;
  return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Isa best_isa() {
  for (const Isa isa : {Isa::avx512, Isa::avx2})
    if (runs_here(isa)) return isa;
  return Isa::baseline;
}

const Ops& ops_for(Isa isa) {
  SHELFCAST_ASSERT(runs_here(isa));
#ifdef SHELFCAST_X86_LEVELS
  if (isa == Isa::avx512) return isa_avx512::table();
  if (isa == Isa::avx2) return isa_avx2::table();
#endif
  return isa_baseline::table();
}

DenseLayer pack(const Ops& ops, std::span<const float> weight, std::int64_t outputs, std::int64_t inputs,
                std::span<const float> bias) {
  SHELFCAST_ASSERT(std::ssize(weight) == outputs * inputs);
  SHELFCAST_ASSERT(bias.empty() || std::ssize(bias) == outputs);
  const std::int64_t panels = (outputs + ops.panel - 1) / ops.panel;
  DenseLayer layer{inputs, outputs, Floats(static_cast<std::size_t>(panels * inputs * ops.panel)), {}};
  for (std::int64_t o = 0; o < outputs; ++o) {
    float* column = layer.panels.data() + (o / ops.panel) * inputs * ops.panel + o % ops.panel;
    const float* row = weight.data() + o * inputs;
    for (std::int64_t i = 0; i < inputs; ++i) column[i * ops.panel] = row[i];
  }
  if (!bias.empty()) {
    layer.bias.resize(static_cast<std::size_t>(panels * ops.panel));
    std::ranges::copy(bias, layer.bias.begin());
  }
  return layer;
}

}  // namespace shelfcast::scorer
