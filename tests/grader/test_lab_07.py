"""Lab 07: starters fail helpfully, other right answers pass as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.catalogue import course
from kernels.runtime import open_device
from tests.grader.labs import costs, graded, passes

LAB = "07"
SOLUTIONS = course().solutions / course().lab(LAB).name


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("warp_topk", "entry_of(key[i], i)", ["32.0 times", "32 entries, one a lane"]),
        ("digit_pass", "atomicAdd(&sums[digit], weight)", ["very same word", "__match_any_sync"]),
        ("nearest", "matrix[(size_t)row * n + column]", ["sectors of 32 bytes written"]),
    ],
)
def test_starters_are_right_and_told_what_they_cost(
    name: str, line: str, says: list[str], tmp_path: Path
) -> None:
    costs(LAB, name, line, says, tmp_path)


HEAD = 'from kernels.runtime import cuda_program\n\nprogram = cuda_program("""\n'
THREAD_QUEUES = (
    HEAD
    + '''
// Each lane has a queue of one entry. The queues are sorted when one of them would overflow.
typedef unsigned long long Entry;
__device__ Entry entry(float key, unsigned i)
{
    int bits = key == 0 ? 0 : __float_as_int(key);
    unsigned rank = key != key ? ~0u : unsigned(bits < 0 ? ~bits : bits ^ 0x80000000);
    return Entry(rank) << 32 | ~i;
}
__device__ Entry step(Entry mine, int apart, bool up)
{
    Entry other = __shfl_xor_sync(~0u, mine, apart);
    bool upper = threadIdx.x & apart;
    return upper == up ? max(mine, other) : min(mine, other);
}
__device__ Entry flushed(Entry kept, Entry queued)
{
    for (int size = 2; size <= 32; size *= 2)
        for (int apart = size / 2; apart; apart /= 2)
            queued = step(queued, apart, size == 32 || !(threadIdx.x & size));
    kept = max(kept, queued);
    for (int apart = 16; apart; apart /= 2) kept = step(kept, apart, false);
    return kept;
}
extern "C" __global__ void select(const float* keys, int* best, int n)
{
    keys += (size_t)blockIdx.x * n;
    Entry kept = ~unsigned(n), queued = 0;
    for (int first = 0; first < n; first += 32) {
        int i = first + threadIdx.x;
        Entry mine = i < n ? entry(keys[i], i) : 0;
        bool matters = mine > __shfl_sync(~0u, kept, 31);
        if (__any_sync(~0u, matters && queued)) kept = flushed(kept, queued), queued = 0;
        if (matters) queued = mine;
    }
    best[blockIdx.x * 32 + threadIdx.x] = ~unsigned(flushed(kept, queued));
}
""")


def solve(device, keys):
    rows, n = keys.shape
    best = device.empty((rows, 32), "int32")
    if rows:
        device.launch(program["select"], rows, 32, (keys, best, n))
    return best
'''
)
SUMS_OF_LANES = (
    HEAD
    + '''
// A sum for each digit and lane, in the lane's bank.
extern "C" __global__ void clear(unsigned* sums) { sums[threadIdx.x] = 0; }

extern "C" __global__ void add(const unsigned* keys, const unsigned* weights,
                               const unsigned* state, unsigned* sums, int shift, int n)
{
    __shared__ unsigned of_lane[256 * 32];
    int lane = threadIdx.x % 32;
    for (int i = threadIdx.x; i < 256 * 32; i += 1024) of_lane[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * 1024 + threadIdx.x; i < n; i += gridDim.x * 1024) {
        unsigned key = keys[i] >> shift;
        if (key >> 8 == state[0]) atomicAdd(&of_lane[key % 256 * 32 + lane], weights[i]);
    }
    __syncthreads();
    for (int digit = threadIdx.x / 32; digit < 256; digit += 32) {
        unsigned sum = __reduce_add_sync(~0u, of_lane[digit * 32 + lane]);
        if (lane == 0 && sum) atomicAdd(&sums[digit], sum);
    }
}

extern "C" __global__ void find(const unsigned* sums, const unsigned* state, unsigned* found)
{
    unsigned goal = state[1];
    for (int digit = 255; digit >= 0; goal -= sums[digit--])
        if (goal <= sums[digit]) {
            found[0] = state[0] * 256 + digit, found[1] = goal;
            return;
        }
}
""")


def solve(device, keys, weights, state, shift):
    n = keys.shape[0]
    sums, found = device.empty((256,), "uint32"), device.empty((2,), "uint32")
    device.launch(program["clear"], 1, 256, (sums,))
    blocks = min(-(-n // 16384), device.arch.sm_count)
    device.launch(program["add"], blocks, 1024, (keys, weights, state, sums, shift, n))
    device.launch(program["find"], 1, 1, (sums, state, found))
    return sums, found
'''
)


@pytest.mark.parametrize(
    ("name", "text"),
    [("warp_topk", THREAD_QUEUES), ("digit_pass", SUMS_OF_LANES)],
    ids=["a queue a thread", "sums of lanes"],
)
def test_other_right_answers_pass(name: str, text: str, tmp_path: Path) -> None:
    passes(LAB, name, text, tmp_path)


def test_another_number_of_queries_a_warp_passes(tmp_path: Path) -> None:
    kernel, program = ((SOLUTIONS / f"nearest.{suffix}").read_text() for suffix in ("cu", "py"))
    kernel = kernel.split("// STARTER")[0]
    program = program.split("    # STARTER")[0] + "    return distances, indices\n"
    kernel = kernel.replace("WARPS = 4;", "WARPS = 8;").replace("EACH = 4;", "EACH = 2;")
    (tmp_path / "nearest.cu").write_text(kernel)
    (tmp_path / "nearest.py").write_text(program.replace("(32, 4)", "(32, 8)"))
    verdict = graded(LAB, "nearest", tmp_path)
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("weighted", [False, True])
def test_four_passes_find_the_key_itself(weighted: bool) -> None:
    """By weights of 1 it is the k-th largest, by others the one at which the goal is reached."""
    device = open_device("emulated")
    space: dict[str, Any] = {"__file__": str(SOLUTIONS / "digit_pass.py")}
    exec((SOLUTIONS / "digit_pass.py").read_text(), space)
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 1 << 32, 5000, dtype=np.uint32)
    weights = rng.integers(0, 9, 5000).astype(np.uint32) if weighted else np.ones(5000, np.uint32)
    state = np.array([0, 1234], np.uint32)
    arrays = device.asarray(keys), device.asarray(weights)
    for shift in (24, 16, 8, 0):
        _, found = space["solve"](device, *arrays, device.asarray(state), shift)
        state = np.asarray(device.to_host(found))
    best_first = np.argsort(keys)[::-1]
    reached = int(np.searchsorted(weights[best_first].cumsum(), 1234))
    assert state[0] == keys[best_first[reached]]
    assert weighted or reached == 1233
