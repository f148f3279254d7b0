"""Modelled caches against cases where it is plain what stays, and against an H100's record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.counter_cases import CounterCase
from benchmarks.origin import RESULTS
from kernels.coalescing import BY_NAME, place
from kernels.runtime import open_device
from tests.emulator.conftest import Card

L1_HITS = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_hit.sum"
L1_RATE = "l1tex__t_sector_pipe_lsu_mem_global_op_ld_hit_rate.pct"
FROM_L2 = "l1tex__m_xbar2l1tex_read_sectors.sum"
L2_READ, L2_WRITTEN = (
    "lts__t_sectors_srcunit_tex_op_read.sum",
    "lts__t_sectors_srcunit_tex_op_write.sum",
)
L2_HITS = "lts__t_sectors_srcunit_tex_lookup_hit.sum"
READ, WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"
KIB, MIB = 1 << 10, 1 << 20

PASSES = """
extern "C" __global__ void passes(const float4* x, float* y, int n, int times) {
  int threads = gridDim.x * blockDim.x, me = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0;
  for (int t = 0; t < times; t++)
    for (int i = me; i < n; i += threads) sum += x[i].x + x[i].w;
  y[me] = sum;
}
"""


def passes(card, nbytes, grid, times):
    x, y = np.ones(nbytes // 4, dtype=np.float32), np.zeros(grid * 1024, dtype=np.float32)
    arguments = x, y, np.int32(nbytes // 16), np.int32(times)
    return card.run(PASSES, "passes", grid, 1024, *arguments, counters=True).counters


def test_a_second_pass_over_100_kib_hits_l1(card):
    found = passes(card, 100 * KIB, 1, 2)
    assert found[L1_HITS] == found[FROM_L2] == 100 * KIB // 32
    assert found[READ] == 100 * KIB


def test_a_second_pass_over_30_mib_by_few_sms_hits_l2(card):
    found = passes(card, 30 * MIB, 16, 2)
    assert found[L1_HITS] == 0
    assert found[L2_READ] == 2 * 30 * MIB // 32
    assert found[READ] == 30 * MIB


def test_a_second_pass_over_30_mib_by_all_sms_hits_their_l1s_together(card):
    found = passes(card, 30 * MIB, 132, 2)
    assert found[L1_RATE] == 50


def test_a_second_pass_over_100_mib_goes_to_dram(card):
    found = passes(card, 100 * MIB, 132, 2)
    assert found[READ] == 200 * MIB


COPY = """
extern "C" __global__ void copy(const float4* x, float4* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i];
}
"""


def test_what_fits_l2_is_not_written_to_dram_and_what_does_not_fit_is(card):
    def copied(nbytes):
        x, y = np.ones(nbytes // 4, dtype=np.float32), np.zeros(nbytes // 4, dtype=np.float32)
        n = nbytes // 16
        return card.run(COPY, "copy", n // 256, 256, x, y, np.int32(n), counters=True).counters

    small, large = copied(4 * MIB), copied(100 * MIB)
    assert small[WRITTEN] == 0
    assert small[READ] == 4 * MIB
    assert small[L2_WRITTEN] == 4 * MIB // 32
    assert large[READ] == 100 * MIB
    assert 70 * MIB < large[WRITTEN] < 80 * MIB  # half of L2's 50 MiB holds the end of the output


SHARED_TABLE = """
extern "C" __global__ void everyone(const float* table, float* y, int n) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) sum += table[i];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
"""


@pytest.mark.parametrize("before", (0, 40, 300, 65_024, 65_088, 65_280, 65_344))
def test_warps_that_read_the_same_meet_in_the_caches(before):
    """Wherever their arrays lie: ``before`` KiB of others come first."""
    table, y = np.ones(100 * KIB, dtype=np.float32), np.zeros(8 * 1024, dtype=np.float32)
    card = Card()
    if before:
        card.memory.allocate(before * KIB, "others")
    found = card.run(
        SHARED_TABLE, "everyone", 8, 1024, table, y, np.int32(len(table)), counters=True
    ).counters
    assert found[READ] == 400 * KIB
    assert found[L2_READ] == pytest.approx(8 * 400 * KIB // 32, rel=0.05)  # once an SM


STRIDED = """
extern "C" __global__ void strided(const float* x, float* y, int stride) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = x[(size_t)i * stride];
}
extern "C" __global__ void count(unsigned* bins, int same) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&bins[same ? 0 : i], 1u);
}
extern "C" __global__ void fresh(volatile float* x, float* y) {
  float a = x[threadIdx.x];
  y[threadIdx.x] = a + x[threadIdx.x];
}
"""


@pytest.mark.parametrize(("stride", "share"), [(1, 1), (8, 8), (16, 16), (32, 16)])
def test_dram_is_read_64_bytes_at_a_time(card, stride, share):
    n = 32 * KIB
    x, y = np.ones(n * stride, dtype=np.float32), np.zeros(n, dtype=np.float32)
    found = card.run(STRIDED, "strided", n // 256, 256, x, y, np.int32(stride), counters=True)
    assert found.counters[READ] == 4 * n * share


def test_atomics_and_volatile_loads_pass_l1_by(card):
    bins = np.zeros(1024, dtype=np.uint32)
    apart = card.run(STRIDED, "count", 4, 256, bins, np.int32(0), counters=True).counters
    assert apart["lts__t_sectors_srcunit_tex_op_red.sum"] == 128
    assert apart[L1_HITS] == 0
    x, y = np.ones(32, dtype=np.float32), np.zeros(32, dtype=np.float32)
    fresh = card.run(STRIDED, "fresh", 1, 32, x, y, counters=True).counters
    assert fresh[L2_READ] == 8
    assert fresh[L1_HITS] == 0


def test_lines_say_what_their_accesses_found(card):
    x, y = np.ones(32, dtype=np.float32), np.zeros(32, dtype=np.float32)
    source = """
extern "C" __global__ void twice(const float* x, float* y) {
  float a = x[threadIdx.x];
  __syncthreads();
  float b = ((volatile float*)y)[threadIdx.x];
  y[threadIdx.x] = a + b;
}
"""
    report = card.run(source, "twice", 1, 32, x, y, counters=True)
    by_line = {line.line: line.counters for line in report.lines}
    assert by_line[3][L2_READ] == 4
    assert by_line[6][L2_WRITTEN] == 4
    assert by_line[3][L1_RATE] == 0
    assert {READ, WRITTEN, L1_HITS, L2_HITS} <= report.approximate


def test_l1_hits_are_an_h100s_on_every_recorded_copy():
    device = open_device("emulated")
    recorded = json.loads((RESULTS / "coalescing_counters_h100.json").read_text())["launches"]
    differ = []
    for launch in recorded[::4]:
        case = CounterCase.of(launch)
        placed = place(
            device, BY_NAME[case.entry], case.n, case.numbers, np.random.default_rng(0),
            shift_in=case.shift_in, shift_out=case.shift_out,
        )  # fmt: skip
        call = placed.launch(device)
        ours = device.profile(call.kernel, call.grid, call.block, call.args).counters
        if ours[L1_HITS] != launch["counters"][L1_HITS]:
            differ.append((case, ours[L1_HITS], launch["counters"][L1_HITS]))
    assert not differ
