// The kernels for any CPU of this architecture; CMakeLists.txt gives this file its flags.
#define SHELFCAST_KERNELS kernels_base
#define SHELFCAST_KERNELS_NAME "base"
#include "models/kernels/variant.inc"
