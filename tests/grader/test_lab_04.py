"""Lab 04: starters fail helpfully, other right answers pass as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grader.labs import costs, graded, passes

LAB = "04"


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("squared_distances", "float apart = x[", ["sectors a request", "a whole point apart"]),
        ("dense_layer", "sum += x_tile[down][c]", ["4.0 times", "reads 8 floats for 16"]),
        ("tensor_layer", "from_x * __half2float", ["instructions of a warp", "multiply_add()"]),
    ],
)
def test_starters_are_right_and_told_what_they_cost(
    name: str, line: str, says: list[str], tmp_path: Path
) -> None:
    costs(LAB, name, line, says, tmp_path)


FLOAT4_THREADS = '''
from kernels.runtime import cuda_program

program = cuda_program("""
// Four neighbouring columns and four rows 16 apart a thread; a 64 x 64 tile.
extern "C" __global__ void layer(const float* x, const float* w, const float* bias, float* out,
                                 int m, int n, int k)
{
    __shared__ float xs[16][65];
    __shared__ __align__(16) float ws[16][64];
    int t = threadIdx.x, across = t % 16, down = t / 16;
    int row0 = blockIdx.y * 64, col0 = blockIdx.x * 64;
    float sum[4][4] = {};
    for (int first = 0; first < k; first += 16) {
        for (int e = t; e < 1024; e += 256) {
            int r = e / 16, c = e % 16;
            xs[c][r] = row0 + r < m && first + c < k ? x[(size_t)(row0 + r) * k + first + c] : 0;
        }
        for (int e = t; e < 1024; e += 256) {
            int c = e / 64, s = e % 64;
            ws[c][s] = first + c < k && col0 + s < n ? w[(size_t)(first + c) * n + col0 + s] : 0;
        }
        __syncthreads();
        for (int c = 0; c < 16; ++c) {
            float4 b = *(float4*)&ws[c][4 * across];
            for (int r = 0; r < 4; ++r) {
                float a = xs[c][down + 16 * r];
                sum[r][0] += a * b.x; sum[r][1] += a * b.y;
                sum[r][2] += a * b.z; sum[r][3] += a * b.w;
            }
        }
        __syncthreads();
    }
    for (int r = 0; r < 4; ++r) {
        int row = row0 + down + 16 * r, col = col0 + 4 * across;
        if (row >= m) continue;
        float* to = out + (size_t)row * n + col;
        if (n % 4 == 0 && col < n) {
            float4 b = *(const float4*)(bias + col);
            *(float4*)to = {fmaxf(sum[r][0] + b.x, 0), fmaxf(sum[r][1] + b.y, 0),
                            fmaxf(sum[r][2] + b.z, 0), fmaxf(sum[r][3] + b.w, 0)};
        } else {
            for (int s = 0; s < 4; ++s)
                if (col + s < n) to[s] = fmaxf(sum[r][s] + bias[col + s], 0);
        }
    }
}
""")


def solve(device, x, w, bias):
    (m, k), n = x.shape, w.shape[1]
    out = device.empty((m, n), "float32")
    if m * n:
        grid = -(-n // 64), -(-m // 64)
        device.launch(program["layer"], grid, 256, (x, w, bias, out, m, n, k))
    return out
'''
WMMA = '''
from kernels.runtime import cuda_program

program = cuda_program("""
#include <mma.h>
using namespace nvcuda;
// A warp a 16 x 16 of out by the C++ interface, straight from global memory.
extern "C" __global__ void layer(const half* x, const half* w, const float* bias,
                                 const float* residual, float* out, int m, int n, int k)
{
    __shared__ float sums[8][16 * 20];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row0 = blockIdx.y * 64 + warp / 2 * 16, col0 = blockIdx.x * 64 + warp % 2 * 32;
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> a;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> b;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> c[2];
    for (int s = 0; s < 2; ++s) wmma::fill_fragment(c[s], 0.0f);
    for (int i = 0; i < k; i += 16) {
        wmma::load_matrix_sync(a, x + (size_t)row0 * k + i, k);
        for (int s = 0; s < 2; ++s) {
            wmma::load_matrix_sync(b, w + (size_t)i * n + col0 + 16 * s, n);
            wmma::mma_sync(c[s], a, b, c[s]);
        }
    }
    for (int s = 0; s < 2; ++s) {
        wmma::store_matrix_sync(sums[warp], c[s], 20, wmma::mem_row_major);
        __syncwarp();
        for (int e = lane; e < 256; e += 32) {
            int col = col0 + 16 * s + e % 16;
            size_t at = (size_t)(row0 + e / 16) * n + col;
            out[at] = fmaxf(sums[warp][e / 16 * 20 + e % 16] + bias[col], 0) + residual[at];
        }
        __syncwarp();
    }
}
""")


def solve(device, x, w, bias, residual):
    (m, k), n = x.shape, w.shape[1]
    out = device.empty((m, n), "float32")
    device.launch(
        program["layer"], (n // 64, m // 64), 256, (x, w, bias, residual, out, m, n, k)
    )
    return out
'''


def test_another_register_tile_passes(tmp_path: Path) -> None:
    passes(LAB, "dense_layer", FLOAT4_THREADS, tmp_path)


def test_tensor_cores_without_a_tile_are_told_what_they_fetch(tmp_path: Path) -> None:
    (tmp_path / "tensor_layer.py").write_text(WMMA)
    verdict = graded(LAB, "tensor_layer", tmp_path)
    assert all(case.passed for case in verdict.cases if not case.measures), verdict.message
    assert verdict.code == "too-costly"
    assert "sectors of 32 bytes moved" in verdict.message
