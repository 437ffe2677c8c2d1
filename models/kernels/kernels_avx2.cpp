// The kernels for AVX2; CMakeLists.txt gives this file its flags.
#define SHELFCAST_KERNELS kernels_avx2
#define SHELFCAST_KERNELS_NAME "avx2"
#include "models/kernels/variant.inc"
