// The kernels for AVX-512; CMakeLists.txt gives this file its flags.
#define SHELFCAST_KERNELS kernels_avx512
#define SHELFCAST_KERNELS_NAME "avx512"
#include "models/kernels/variant.inc"
