// The mask of dropout on a device, element by element that of the CPU (models/kernels/kernels.h,
// DropoutDraw). Plain code that compiles for the host, too, where tests look at it; it may include nothing.
#pragma once

#ifdef __CUDACC__
#define SHELFCAST_ON_DEVICE __device__
#else
#define SHELFCAST_ON_DEVICE
#endif

namespace shelfcast::parallel {

// Blocks of Philox that a row of so many elements takes: sixteen for each group of 128.
SHELFCAST_ON_DEVICE constexpr long long keep_mask_blocks(long long elements) {
  return (elements + 127) / 128 * 16;
}

// Eight elements of a row of `elements`: those of Philox4x32-10's block number `block` under `key`, which are
// two neighbours in each quarter of its group of 128. 1 where 16 bits are >= threshold.
SHELFCAST_ON_DEVICE inline void keep_mask_of_block(unsigned long long key, unsigned threshold,
                                                   long long block, long long elements, unsigned char* keep) {
  unsigned k0 = static_cast<unsigned>(key), k1 = static_cast<unsigned>(key >> 32);
  unsigned word[4] = {static_cast<unsigned>(block), static_cast<unsigned>(block >> 32), 0, 0};
  for (int round = 0; round < 10; ++round) {
    const unsigned long long p0 = 0xD2511F53ULL * word[0], p1 = 0xCD9E8D57ULL * word[2];
    word[0] = static_cast<unsigned>(p1 >> 32) ^ word[1] ^ k0;
    word[2] = static_cast<unsigned>(p0 >> 32) ^ word[3] ^ k1;
    word[1] = static_cast<unsigned>(p1);
    word[3] = static_cast<unsigned>(p0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  const long long first = block / 16 * 128 + block % 16 * 2;
  for (int quarter = 0; quarter < 4; ++quarter) {
    const long long element = first + 32 * quarter;
    if (element < elements) keep[element] = (word[quarter] & 0xFFFFU) >= threshold ? 1 : 0;
    if (element + 1 < elements) keep[element + 1] = (word[quarter] >> 16) >= threshold ? 1 : 0;
  }
}

}  // namespace shelfcast::parallel
