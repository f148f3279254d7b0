"""Lab 03: starters fail helpfully, other right answers pass as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grader.labs import costs, passes

LAB = "03"


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("blend", "out[i] = a * x[i] + b * y[i]", ["waiting for memory", "60 bytes a lane"]),
        ("iterate_map", "fmaf(c[j], power, p)", ["each waits for the one before", "Estrin"]),
        ("mix_channels", "fmaf(weight[r][j], in[j][threadIdx.x], sum)", ["one operand of a warp"]),
    ],
)
def test_starters_are_right_and_told_what_they_cost(
    name: str, line: str, says: list[str], tmp_path: Path
) -> None:
    costs(LAB, name, line, says, tmp_path)


HEAD = 'from kernels.runtime import cuda_program\n\nprogram = cuda_program("""\n'
SCALARS = (
    HEAD
    + '''
// Floats, eight of each array: as many bytes in flight as two float4s of each.
extern "C" __global__ void blend(const float* x, const float* y, float* out, float a, float b,
                                 int n)
{
    int threads = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += 8 * threads) {
        float xs[8], ys[8];
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            int at = min(i + k * threads, n - 1);
            xs[k] = x[at], ys[k] = y[at];
        }
#pragma unroll
        for (int k = 0; k < 8; ++k)
            if (i + k * threads < n) out[i + k * threads] = a * xs[k] + b * ys[k];
    }
}
""")


def solve(device, x, y, a, b):
    out = device.empty(x.shape, "float32")
    n = x.shape[0]
    device.launch(program["blend"], device.arch.sm_count, 128, (x, y, out, a, b, n))
    return out
'''
)
BY_WARPS = (
    HEAD
    + '''
// Few points: Estrin, written down. Many: Horner, two points a thread and more warps.
__device__ float quarter(const float* c, float x, float x2)
{
    return (c[3] * x + c[2]) * x2 + (c[1] * x + c[0]);
}

__device__ float estrin(const float* c, float x)
{
    float x2 = x * x, x4 = x2 * x2;
    return (quarter(c + 12, x, x2) * x4 + quarter(c + 8, x, x2)) * (x4 * x4)
         + (quarter(c + 4, x, x2) * x4 + quarter(c, x, x2));
}

template <int EACH>
__device__ void iterate(const float* x, const float* coefficients, float* y, int n, int rounds)
{
    float at[EACH], c[16];
    int i = (blockIdx.x * blockDim.x + threadIdx.x) * EACH;
#pragma unroll
    for (int j = 0; j < 16; ++j) c[j] = coefficients[j];
#pragma unroll
    for (int k = 0; k < EACH; ++k) at[k] = i + k < n ? x[i + k] : 0;
#pragma unroll 8
    for (int round = 0; round < rounds; ++round)
#pragma unroll
        for (int k = 0; k < EACH; ++k) {
            float p = c[15];
#pragma unroll
            for (int j = 14; j >= 0; --j) p = p * at[k] + c[j];
            at[k] = EACH == 1 ? estrin(c, at[k]) : p;
        }
#pragma unroll
    for (int k = 0; k < EACH; ++k) if (i + k < n) y[i + k] = at[k];
}
extern "C" __global__ void __launch_bounds__(128, 1)
few(const float* x, const float* c, float* y, int n, int r) { iterate<1>(x, c, y, n, r); }
extern "C" __global__ void __launch_bounds__(128, 1)
many(const float* x, const float* c, float* y, int n, int r) { iterate<2>(x, c, y, n, r); }
""")


def solve(device, x, coefficients, rounds):
    y = device.empty(x.shape, "float32")
    n = x.shape[0]
    name, each = ("few", 1) if n < 30_000 else ("many", 2)
    blocks = max(1, -(-n // (128 * each)))
    device.launch(program[name], blocks, 128, (x, coefficients, y, n, rounds))
    return y
'''
)
CHANNELS_IN_REGISTERS = (
    HEAD
    + '''
// The pixels' channels stay in registers, and the sums are made one after another.
extern "C" __global__ void __launch_bounds__(64, 1)
mix(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int n)
{
    __shared__ float weight[256];
    for (int k = threadIdx.x; k < 256; k += 64) weight[k] = w[k];
    __syncthreads();
    int first = blockIdx.x * 256 + threadIdx.x;
    float in[16][4];
#pragma unroll
    for (int j = 0; j < 16; ++j)
#pragma unroll
        for (int k = 0; k < 4; ++k)
            in[j][k] = first + 64 * k < n ? x[(size_t)j * n + first + 64 * k] : 0;
#pragma unroll 1
    for (int r = 0; r < 16; ++r) {
        float sum[4] = {};
#pragma unroll
        for (int j = 0; j < 16; ++j)
#pragma unroll
            for (int k = 0; k < 4; ++k) sum[k] += weight[16 * r + j] * in[j][k];
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (first + 64 * k < n) y[(size_t)r * n + first + 64 * k] = sum[k];
    }
}
""")


def solve(device, x, w):
    y = device.empty(x.shape, "float32")
    n = x.shape[1]
    if n:
        device.launch(program["mix"], -(-n // 256), 64, (x, w, y, n))
    return y
'''
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blend", SCALARS),
        ("iterate_map", BY_WARPS),
        ("mix_channels", CHANNELS_IN_REGISTERS),
    ],
    ids=["eight floats of each", "two points a thread, and warps", "channels in registers"],
)
def test_other_right_answers_pass(name: str, text: str, tmp_path: Path) -> None:
    passes(LAB, name, text, tmp_path)
