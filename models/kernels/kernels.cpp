#include "models/kernels/kernels.h"

namespace shelfcast::models {

extern const Kernels kernels_base;
#ifdef SHELFCAST_X86_KERNELS
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif

namespace {

struct Choice {
  const Kernels* sets[3] = {&kernels_base};
  int count = 1;
};

Choice choose() {
  Choice choice;
#ifdef SHELFCAST_X86_KERNELS
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (avx2) choice.sets[choice.count++] = &kernels_avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512cd");
  if (avx512) choice.sets[choice.count++] = &kernels_avx512;
#endif
  return choice;
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const Kernels& kernels() { return *choice().sets[choice().count - 1]; }

const Kernels* const* all_kernels(int& count) {
  count = choice().count;
  return choice().sets;
}

}  // namespace shelfcast::models
