// A dense layer on the tensor cores: out = max(x w + bias, 0) + residual, x and w of halves.
// The task is described in tensor_layer.py.

#include <cuda_fp16.h>

constexpr int TILE = 64;      // rows and columns of out a block
constexpr int SLICE = 32;     // of k, in shared memory at a time
constexpr int THREADS = 128;  // a block: 4 warps, as 2 x 2 over the tile, 32 x 32 of it each
constexpr int X_CHUNKS = SLICE / 8, W_CHUNKS = TILE / 8;  // 16-byte chunks (8 halves) of a row

// --- complete: the instructions -----------------------------------------------------------------

// Four 8 x 8 matrices of halves from shared memory. Lane l gives the address of the 16 bytes that
// are row l % 8 of matrix l / 8; it receives elements 2 (l % 4) and the next of row l / 4 of each.
__device__ void load_matrices(unsigned (&out)[4], const uint4* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// The same, but each matrix transposed on its way: for w, which lies with n along its rows.
__device__ void load_transposed(unsigned (&out)[4], const uint4* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}

// sum (16 x 8) += x (16 x 16) w (16 x 8). x: its four 8 x 8 quarters, in the order upper left,
// lower left, upper right, lower right. w: its upper and its lower 8 x 8. Lane l has of the sum
// elements 2 (l % 4) and the next: of row l / 4 in sum[0] and sum[1], of row l / 4 + 8 in sum[2]
// and sum[3].
__device__ void multiply_add(float (&sum)[4], const unsigned (&x)[4], unsigned w_upper,
                             unsigned w_lower)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(w_upper), "r"(w_lower));
}

// --- where chunks of 8 halves lie in the tiles --------------------------------------------------

__device__ int x_place(int row, int chunk)
{
    // BEGIN SOLUTION: 8 rows of one column of chunks should lie in different banks (1 line)
    return row * X_CHUNKS + (chunk ^ row / 2 % 4);
    // STARTER
    // return row * X_CHUNKS + chunk;
    // END SOLUTION
}

__device__ int w_place(int row, int chunk)
{
    // BEGIN SOLUTION: and here (1 line)
    return row * W_CHUNKS + (chunk ^ row % 8);
    // STARTER
    // return row * W_CHUNKS + chunk;
    // END SOLUTION
}

// --- the layer ----------------------------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(THREADS)
tensor_layer(const half* __restrict__ x, const half* __restrict__ w,
             const float* __restrict__ bias, const float* __restrict__ residual,
             float* __restrict__ out, int m, int n, int k)
{
    __shared__ __align__(128) uint4 x_tile[TILE * X_CHUNKS];
    __shared__ __align__(128) uint4 w_tile[SLICE * W_CHUNKS];
    int row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;

    // BEGIN SOLUTION: 2 x 4 sums of 16 x 8 a warp (about 4 lines)
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int warp_row = warp / 2 * 32, warp_col = warp % 2 * 32;
    float sum[2][4][4] = {};
    // STARTER
    // int my_row = threadIdx.x / 2, my_col = threadIdx.x % 2 * 32;  // 32 elements of one row
    // float sum[32] = {};
    // END SOLUTION

    for (int first = 0; first < k; first += SLICE) {
        for (int e = threadIdx.x; e < TILE * X_CHUNKS; e += THREADS) {
            int row = e / X_CHUNKS, chunk = e % X_CHUNKS;
            x_tile[x_place(row, chunk)] = *reinterpret_cast<const uint4*>(
                x + (size_t)(row0 + row) * k + first + 8 * chunk);
        }
        for (int e = threadIdx.x; e < SLICE * W_CHUNKS; e += THREADS) {
            int row = e / W_CHUNKS, chunk = e % W_CHUNKS;
            w_tile[w_place(row, chunk)] = *reinterpret_cast<const uint4*>(
                w + (size_t)(first + row) * n + col0 + 8 * chunk);
        }
        __syncthreads();
        // BEGIN SOLUTION: fragments by ldmatrix, sums by mma (about 18 lines)
#pragma unroll
        for (int c = 0; c < SLICE; c += 16) {
            unsigned from_x[2][4], from_w[2][4];
            // lanes 0 to 15 name the rows of the left 8 columns, 16 to 31 those of the right 8
            for (int r = 0; r < 2; ++r)
                load_matrices(from_x[r], &x_tile[x_place(warp_row + 16 * r + lane % 16,
                                                         c / 8 + lane / 16)]);
            for (int s = 0; s < 2; ++s)
                load_transposed(from_w[s], &w_tile[w_place(c + lane % 16,
                                                           warp_col / 8 + 2 * s + lane / 16)]);
            for (int r = 0; r < 2; ++r)
                for (int s = 0; s < 4; ++s)
                    multiply_add(sum[r][s], from_x[r], from_w[s / 2][s % 2 * 2],
                                 from_w[s / 2][s % 2 * 2 + 1]);
        }
        // STARTER
        // // Correct, but without the tensor cores: 32 multiply-adds a thread for each c.
        // for (int c = 0; c < SLICE; ++c) {
        //     const uint4* chunk = &x_tile[x_place(my_row, c / 8)];
        //     float from_x = __half2float(reinterpret_cast<const half*>(chunk)[c % 8]);
        //     for (int s = 0; s < 32; ++s) {
        //         const uint4* other = &w_tile[w_place(c, (my_col + s) / 8)];
        //         sum[s] += from_x * __half2float(reinterpret_cast<const half*>(other)[s % 8]);
        //     }
        // }
        // END SOLUTION
        __syncthreads();  // before the tiles are overwritten
    }

    // BEGIN SOLUTION: finish the sums where they are, two neighbours at a time (about 13 lines)
    for (int r = 0; r < 2; ++r)
        for (int s = 0; s < 4; ++s)
            for (int half = 0; half < 2; ++half) {
                int row = row0 + warp_row + 16 * r + lane / 4 + 8 * half;
                int col = col0 + warp_col + 8 * s + lane % 4 * 2;
                size_t at = (size_t)row * n + col;
                float2 add = *reinterpret_cast<const float2*>(bias + col);
                float2 old = *reinterpret_cast<const float2*>(residual + at);
                *reinterpret_cast<float2*>(out + at) = {
                    fmaxf(sum[r][s][2 * half] + add.x, 0.0f) + old.x,
                    fmaxf(sum[r][s][2 * half + 1] + add.y, 0.0f) + old.y};
            }
    // STARTER
    // // The rest is done by finish(), which reads all of this again.
    // for (int s = 0; s < 32; ++s) out[(size_t)(row0 + my_row) * n + col0 + my_col + s] = sum[s];
    // END SOLUTION
}

extern "C" __global__ void finish(const float* __restrict__ bias,
                                  const float* __restrict__ residual, float* __restrict__ out,
                                  int m, int n)
{
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    size_t at = (size_t)blockIdx.y * n + col;
    if (col < n) out[at] = fmaxf(out[at] + bias[col], 0.0f) + residual[at];
}
