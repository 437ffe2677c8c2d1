#include "parallel/gpu/keep_mask.h"

// keep [draws, elements], a key for each draw. Each thread takes blocks of Philox a grid apart.
extern "C" __global__ void keep_mask(const unsigned long long* keys, long long draws, long long elements,
                                     unsigned threshold, unsigned char* keep) {
  const long long blocks = shelfcast::parallel::keep_mask_blocks(elements);
  const long long grid = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; at < draws * blocks;
       at += grid) {
    const long long draw = at / blocks;
    shelfcast::parallel::keep_mask_of_block(keys[draw], threshold, at % blocks, elements,
                                            keep + draw * elements);
  }
}
