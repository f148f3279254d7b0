"""A kernel of thousands of PTX instructions: a matrix product whose loop is unrolled."""

from __future__ import annotations

SOURCE = """
extern "C" __global__ void product(int n, const float* a, const float* b, float* c) {
    __shared__ float ta[STEPS][64], tb[STEPS][64];
    float sums[8][8] = {};
    int tx = threadIdx.x % 8, ty = threadIdx.x / 8;
    const float* from_a = a + blockIdx.y * 64;
    const float* from_b = b + blockIdx.x * 64;
    for (int k0 = 0; k0 < n; k0 += STEPS) {
        for (int i = threadIdx.x; i < STEPS * 64; i += 64) {
            ta[i / 64][i % 64] = from_a[(k0 + i / 64) * n + i % 64];
            tb[i / 64][i % 64] = from_b[(k0 + i / 64) * n + i % 64];
        }
        __syncthreads();
        #pragma unroll
        for (int k = 0; k < STEPS; k++) {
            float x[8], y[8];
            for (int i = 0; i < 8; i++) x[i] = ta[k][ty * 8 + i], y[i] = tb[k][tx + 8 * i];
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < 8; j++) sums[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            c[(blockIdx.y * 64 + ty * 8 + i) * n + blockIdx.x * 64 + tx + 8 * j] = sums[i][j];
}
"""
STEPS = 44


def long_kernel() -> str:
    """CUDA C++ of a kernel with somewhat more than 4,000 PTX instructions."""
    return f"#define STEPS {STEPS}\n{SOURCE}"
