"""Lab 01: starters fail helpfully, other right answers pass as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grader.labs import costs, passes

LAB = "01"


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("aos_scan", "sum += record[f] * record[f]", ["32 sectors a request", "124 bytes apart"]),
        ("scale_copy", "y[i] = alpha * x[i]", ["4.0 times", "a float4 a thread"]),
        ("gather_rows", "to[column] = from[column]", ["32 bytes or more apart", "lane 0 takes"]),
    ],
)
def test_starters_are_right_and_told_what_they_cost(
    name: str, line: str, says: list[str], tmp_path: Path
) -> None:
    costs(LAB, name, line, says, tmp_path)


RUNTIME = "from kernels.runtime import cuda_program\n"
ELEMENT_A_THREAD = (
    RUNTIME
    + '''
program = cuda_program("""
extern "C" __global__ void gather(const float* table, const int* index, float* out, int width,
                                  int n)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < n) out[at] = table[(size_t)index[at / width] * width + at % width];
}
""")


def solve(device, table, index):
    width, n = table.shape[1], index.shape[0] * table.shape[1]
    out = device.empty((index.shape[0], width), "float32")
    if n:
        device.launch(program["gather"], -(-n // 256), 256, (table, index, out, width, n))
    return out
'''
)
BLOCK_A_ROW = """
from numba import cuda


@cuda.jit
def gather(table, index, out):
    row = cuda.blockIdx.x
    for column in range(cuda.threadIdx.x, table.shape[1], cuda.blockDim.x):
        out[row, column] = table[index[row], column]


def solve(device, table, index):
    out = device.empty((index.shape[0], table.shape[1]), "float32")
    if index.shape[0]:
        device.launch(gather, index.shape[0], 64, (table, index, out))
    return out
"""
SHIFTED_VECTORS = (
    RUNTIME
    + '''
program = cuda_program("""
// Payload by float4 whatever the source's alignment: four single reads, one vector write.
extern "C" __global__ void copy(const float* x, float* out, float alpha, int lead, int n)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int threads = gridDim.x * blockDim.x;
    float* y = out + lead;
    for (int i = thread; i < lead; i += threads) out[i] = 0;
    int head = (4 - (int)((size_t)y / 4 % 4)) % 4;
    if (head > n) head = n;
    if ((size_t)x / 4 % 4 != (size_t)y / 4 % 4) {
        for (int i = thread; i < n; i += threads) y[i] = alpha * x[i];
        return;
    }
    for (int i = thread; i < head; i += threads) y[i] = alpha * x[i];
    int last = head + (n - head) / 4 * 4;
    for (int i = head + 4 * thread; i < last; i += 4 * threads) {
        float4 v = *reinterpret_cast<const float4*>(x + i);
        v.x *= alpha; v.y *= alpha; v.z *= alpha; v.w *= alpha;
        *reinterpret_cast<float4*>(y + i) = v;
    }
    for (int i = last + thread; i < n; i += threads) y[i] = alpha * x[i];
}
""")


def solve(device, x, alpha, lead):
    n = x.shape[0]
    out = device.empty(lead + n, "float32")
    if lead + n:
        device.launch(program["copy"], 64, 128, (x, out, alpha, lead, n))
    return out
'''
)
WARP_AT_A_TIME = (
    RUNTIME
    + '''
program = cuda_program("""
// Each warp stages its own 32 records: no barrier of the block; sums in warp order.
extern "C" __global__ void scan(const float* records, float* out, float gain, int n)
{
    constexpr int FIELDS = 31, RUN = 32 * FIELDS;
    __shared__ float staged[8][RUN];
    __shared__ float totals[8];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int first = blockIdx.x * 256 + warp * 32;
    size_t start = (size_t)first * FIELDS, end = (size_t)n * FIELDS;
    for (int k = lane; k < RUN; k += 32)
        if (start + k < end) staged[warp][k] = records[start + k];
    __syncwarp();
    float sum = 0;
    if (first + lane < n) {
        const float* r = staged[warp] + FIELDS * lane;
        for (int f = 0; f < FIELDS; ++f) sum += r[f] * r[f];
        sum *= gain;
    }
    for (int d = 1; d < 32; d *= 2) {
        float other = __shfl_up_sync(0xffffffff, sum, d);
        if (lane >= d) sum += other;
    }
    if (lane == 31) totals[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; ++w) sum += totals[w];
    if (first + lane < n) out[first + lane] = sum;
}
""")


def solve(device, records, gain):
    n = records.shape[0]
    out = device.empty(n, "float32")
    if n:
        device.launch(program["scan"], -(-n // 256), 256, (records, out, gain, n))
    return out
'''
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gather_rows", ELEMENT_A_THREAD),
        ("gather_rows", BLOCK_A_ROW),
        ("scale_copy", SHIFTED_VECTORS),
        ("aos_scan", WARP_AT_A_TIME),
    ],
    ids=["an element a thread", "a block a row, in Numba", "another float4 copy", "warp by warp"],
)
def test_other_right_answers_pass(name: str, text: str, tmp_path: Path) -> None:
    passes(LAB, name, text, tmp_path)
