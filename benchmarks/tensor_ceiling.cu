// The tensor cores alone: products of two warpgroups an SM from shared memory that is filled once.
// As many multiply-adds as a matrix product has, of random numbers, and nothing else: under the
// card's power limit no product can be faster.

#include "hopper.cuh"

constexpr int STAGES = 4, BM = 128, BN = 256, BK = 64, SQUARE = 8 * 128;
constexpr int A_BYTES = BM * 128, STAGE_BYTES = A_BYTES + BN * 128;

extern "C" __global__ void __launch_bounds__(256, 1)
tensor_alone(const uint4* in, float* out, int slices) {
  extern __shared__ __align__(1024) unsigned char memory[];
  for (int i = threadIdx.x; i < STAGES * STAGE_BYTES / 16; i += 256)
    reinterpret_cast<uint4*>(memory)[i] = in[i];
  fence_for_tma();
  __syncthreads();
  unsigned stages = shared_address(memory), consumer = threadIdx.x / 128;
  unsigned long long a = tile_descriptor(stages + consumer * 64 * 128, 0, SQUARE);
  unsigned long long b = tile_descriptor(stages + A_BYTES, BK * 128, SQUARE);
  float sum[BN / 2];
  for (int slice = 0; slice < slices; ++slice) {
    unsigned long long stage = slice % STAGES * (STAGE_BYTES >> 4);
    begin_products();
#pragma unroll
    for (int i = 0; i < BK / 16; ++i)
      multiply(sum, a + stage + i * (32 >> 4), b + stage + i * (2 * SQUARE >> 4), slice + i,
               __half());
    close_products();
    wait_for_products<1>();
  }
  wait_for_products<0>();
  hold(sum);
  float all = 0;
#pragma unroll
  for (int i = 0; i < BN / 2; ++i) all += sum[i];
  out[blockIdx.x * 256 + threadIdx.x] = all;
}
