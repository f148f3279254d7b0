"""Lab 02: starters fail helpfully, other right answers pass as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grader.labs import costs, passes

LAB = "02"


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("transpose_doubles", "tile[place(lane, x)]", ["16 times", "pairs of banks"]),
        ("channel_scales", "partial[lane * 32 + warp] = largest", ["32 times", "33 words"]),
        (
            "digit_sums",
            "atomicAdd(&shared_by_all[digit], weights[first + k])",
            ["the very same word", "bank l"],
        ),
    ],
)
def test_starters_are_right_and_told_what_they_cost(
    name: str, line: str, says: list[str], tmp_path: Path
) -> None:
    costs(LAB, name, line, says, tmp_path)


HEAD = 'from kernels.runtime import cuda_program\n\nprogram = cuda_program("""\n'
ROTATED = (
    HEAD
    + '''
// A rotation in place of an xor; a warp moves a tile's rows two at a time.
extern "C" __global__ void turn(const double* in, double* out, int rows, int cols)
{
    __shared__ double tile[32][32];
    int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
    if (x < cols && y < rows)
        tile[threadIdx.y][(threadIdx.x + threadIdx.y) % 32] = in[(size_t)y * cols + x];
    __syncthreads();
    x = blockIdx.x * 32 + threadIdx.y, y = blockIdx.y * 32 + threadIdx.x;
    if (x < cols && y < rows)
        out[(size_t)x * rows + y] = tile[threadIdx.x][(threadIdx.y + threadIdx.x) % 32];
}
""")


def solve(device, x):
    rows, cols = x.shape
    out = device.empty((cols, rows), "float64")
    if rows and cols:
        grid = (-(-cols // 32), -(-rows // 32))
        device.launch(program["turn"], grid, (32, 32), (x, out, rows, cols))
    return out
'''
)
ROW_BY_ROW = (
    HEAD
    + '''
// Half the warps add theirs to the other half's, row by row: no columns, no conflicts.
extern "C" __global__ void scales(const float* in, float* out, int rows, int cols)
{
    __shared__ float partial[32][32];
    int lane = threadIdx.x, warp = threadIdx.y, col = blockIdx.x * 32 + lane;
    float largest = 0;
    for (int row = warp; row < rows && col < cols; row += 32)
        largest = fmaxf(largest, fabsf(in[(size_t)row * cols + col]));
    partial[warp][lane] = largest;
    for (int half = 16; half > 0; half /= 2) {
        __syncthreads();
        if (warp < half)
            partial[warp][lane] = fmaxf(partial[warp][lane], partial[warp + half][lane]);
    }
    if (warp == 0 && col < cols) out[col] = partial[0][lane] / 127;
}
""")


def solve(device, x):
    rows, cols = x.shape
    out = device.empty(cols, "float32")
    if cols:
        device.launch(program["scales"], -(-cols // 32), (32, 32), (x, out, rows, cols))
    return out
'''
)
PADDED = """
from numba import cuda, float32


@cuda.jit
def scales(x, out):
    partial = cuda.shared.array((32, 33), float32)
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    col = cuda.blockIdx.x * 32 + lane
    largest = float32(0)
    if col < x.shape[1]:
        for row in range(warp, x.shape[0], 32):
            largest = max(largest, abs(x[row, col]))
    partial[warp, lane] = largest
    cuda.syncthreads()
    largest = partial[lane, warp]
    for distance in (16, 8, 4, 2, 1):
        largest = max(largest, cuda.shfl_xor_sync(0xFFFFFFFF, largest, distance))
    if lane == 0 and cuda.blockIdx.x * 32 + warp < out.shape[0]:
        out[cuda.blockIdx.x * 32 + warp] = largest / float32(127)


def solve(device, x):
    out = device.empty(x.shape[1], "float32")
    if x.shape[1]:
        device.launch(scales, -(-x.shape[1] // 32), (32, 32), (x, out))
    return out
"""
A_SUM_A_THREAD = (
    HEAD
    + '''
// A sum for each thread and digit: no atomics at all.
extern "C" __global__ void digits(const unsigned* keys, const unsigned* weights, unsigned* sums,
                                  int shift, int n)
{
    __shared__ unsigned mine[16][256];
    int i = threadIdx.x, first = blockIdx.x * 4096, last = min(first + 4096, n);
    for (int d = 0; d < 16; ++d) mine[d][i] = 0;
    for (int k = first + i; k < last; k += 256) mine[keys[k] >> shift & 15][i] += weights[k];
    __syncthreads();
    for (int d = i / 32; d < 16; d += 8) {
        unsigned sum = 0;
        for (int k = i % 32; k < 256; k += 32) sum += mine[d][k];
        sum = __reduce_add_sync(0xffffffff, sum);
        if (i % 32 == 0) sums[blockIdx.x * 16 + d] = sum;
    }
}
""")


def solve(device, keys, weights, shift):
    n = keys.shape[0]
    tiles = -(-n // 4096)
    sums = device.empty((tiles, 16), "uint32")
    if tiles:
        device.launch(program["digits"], tiles, 256, (keys, weights, sums, shift, n))
    return sums
'''
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("transpose_doubles", ROTATED),
        ("channel_scales", ROW_BY_ROW),
        ("channel_scales", PADDED),
        ("digit_sums", A_SUM_A_THREAD),
    ],
    ids=["rotated rows", "row by row", "padded, in Numba", "a sum a thread"],
)
def test_other_right_answers_pass(name: str, text: str, tmp_path: Path) -> None:
    passes(LAB, name, text, tmp_path)
