"""Counters of global memory against a count made here from the addresses, and by source line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LD_REQUESTS = "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
LD_SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"
ST_REQUESTS = "l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"
ST_SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum"
LD_RATIO = "l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_ld.ratio"
LD_BYTES = "smsp__sass_data_bytes_mem_global_op_ld.sum"

GATHER = r"""
template <class T> __device__ void gather(const T* x, T* y, const int* at, int n) {
  int i = threadIdx.x;
  if (i < n && at[i] >= 0) y[i] = x[at[i]];
}
extern "C" __global__ void gather1(const char* x, char* y, const int* at, int n) {
  gather(x, y, at, n);
}
extern "C" __global__ void gather2(const short* x, short* y, const int* at, int n) {
  gather(x, y, at, n);
}
extern "C" __global__ void gather4(const float* x, float* y, const int* at, int n) {
  gather(x, y, at, n);
}
extern "C" __global__ void gather8(const float2* x, float2* y, const int* at, int n) {
  gather(x, y, at, n);
}
extern "C" __global__ void gather16(const float4* x, float4* y, const int* at, int n) {
  gather(x, y, at, n);
}
"""


@settings(max_examples=80)
@given(
    st.sampled_from([1, 2, 4, 8, 16]),
    st.lists(st.integers(-1, 999), min_size=32, max_size=32)
    | st.integers(0, 31).flatmap(
        lambda k: st.just([(k * i) % 1000 if i % 5 else -1 for i in range(32)])
    ),
    st.integers(1, 32),
)
def test_sectors_are_distinct_32_byte_chunks_over_active_lanes(card, size, at, n):
    x = np.zeros((1000, size), dtype=np.uint8)
    y = np.zeros((32, size), dtype=np.uint8)
    report = card.run(
        GATHER, f"gather{size}", 1, 32, x, y, np.array(at, dtype=np.int32), np.int32(n),
        counters=True,
    )  # fmt: skip
    active = [i for i in range(n) if at[i] >= 0]
    reads = {at[i] * size // 32 for i in active}
    writes = {i * size // 32 for i in active}
    index_sectors = {i * 4 // 32 for i in range(n)}
    assert report.counters[LD_REQUESTS] == 1 + bool(active)
    assert report.counters[LD_SECTORS] == len(index_sectors) + len(reads)
    assert report.counters[ST_REQUESTS] == bool(active)
    assert report.counters[ST_SECTORS] == len(writes)
    assert report.counters[LD_BYTES] == 4 * n + size * len(active)


LINES = r"""
extern "C" __global__ void two_lines(const float* x, float* y) {
  float a = x[threadIdx.x];
  float b = x[threadIdx.x * 8];
  y[threadIdx.x] = a + b;
}
"""


def test_each_source_line_has_its_own_counters(card):
    x, y = np.ones(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(LINES, "two_lines", 1, 32, x, y, counters=True)
    by_line = {line.line: line for line in report.lines}
    assert by_line[3].counters[LD_RATIO] == 4
    assert by_line[4].counters[LD_RATIO] == 32
    assert by_line[3].text.strip() == "float a = x[threadIdx.x];"
    assert by_line[5].counters[ST_SECTORS] == 4
    assert LD_REQUESTS not in by_line[5].counters
    total = sum(line.counters["smsp__inst_executed.sum"] for line in report.lines)
    assert total == report.counters["smsp__inst_executed.sum"]


def test_half_a_warp_executes_with_half_its_threads(card):
    x, y = np.ones(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(LINES, "two_lines", 1, 16, x, y, counters=True)
    assert report.counters["smsp__thread_inst_executed_per_inst_executed.ratio"] == 16


def test_without_counters_a_report_claims_nothing(card):
    x, y = np.ones(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(LINES, "two_lines", 1, 32, x, y)
    assert report.counters == {}
    assert report.time_us is None


def test_a_report_reads_well_in_a_terminal(card):
    x, y = np.ones(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    text = str(card.run(LINES, "two_lines", (2, 3), 16, x, y, counters=True))
    assert text.startswith("two_lines, grid 2 x 3, block 16, on emulated H100 SXM5\ntime  ")
    assert "kernel.cu:4  ld 16 sectors a request\n    float b = x[threadIdx.x * 8];" in text
    assert re.search(rf"{re.escape(LD_REQUESTS)} +12\n", text)


def test_time_is_modelled_and_says_so(card):
    x, y = np.ones(256, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(LINES, "two_lines", 1, 32, x, y, counters=True)
    assert report.time_kind == "modelled"
    assert report.time_us is not None
    assert report.time_us >= max(report.bounds.values())
    assert "emulated" in report.device


IN_FLIGHT = r"""
template <int LOADS> __device__ void walk(const float* x, float* y, int n) {
  int threads = gridDim.x * blockDim.x;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += LOADS * threads) {
    float item[LOADS];
    for (int k = 0; k < LOADS; k++) item[k] = x[i + k * threads];
    for (int k = 0; k < LOADS; k++) y[i + k * threads] = item[k];
  }
}
extern "C" __global__ void walk1(const float* x, float* y, int n) { walk<1>(x, y, n); }
extern "C" __global__ void walk4(const float* x, float* y, int n) { walk<4>(x, y, n); }
"""


def test_few_warps_wait_less_often_with_more_loads_in_flight(card):
    x, y = np.ones(1 << 18, dtype=np.float32), np.zeros(1 << 18, dtype=np.float32)
    reports = [
        card.run(IN_FLIGHT, name, 8, 128, x, y, np.int32(1 << 18), counters=True)
        for name in ("walk1", "walk4")
    ]
    assert (y == 1).all()
    one, four = (report.bounds["latency"] for report in reports)
    assert one == pytest.approx(4 * four, rel=0.1)
    assert reports[0].time_us > 2 * reports[1].time_us
    assert reports[0].counters[LD_SECTORS] == reports[1].counters[LD_SECTORS]


GLOBAL_OR_SHARED = r"""
extern "C" __global__ void staged(const float* x, float* y) {
  __shared__ float tile[64];
  float* p = tile;
  asm volatile("" : "+l"(p));  // keeps the compiler from knowing which space this is
  p[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = p[63 - threadIdx.x];
}
"""


def test_shared_memory_through_generic_addresses_is_not_global_traffic(card):
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, dtype=np.float32)
    report = card.run(GLOBAL_OR_SHARED, "staged", 1, 64, x, y, counters=True)
    assert (y == x[::-1]).all()
    assert report.counters[LD_REQUESTS] == 2
    assert report.counters[ST_REQUESTS] == 2


@pytest.mark.parametrize(("offset", "expected"), [(0, 4), (5, 5), (8, 4)])
def test_the_talk_s_offsets(card, offset, expected):
    source = (
        'extern "C" __global__ void shifted(const float* x, float* y, int o) '
        "{ y[threadIdx.x] = x[threadIdx.x + o]; }"
    )
    x, y = np.ones(64, dtype=np.float32), np.zeros(32, dtype=np.float32)
    report = card.run(source, "shifted", 1, 32, x, y, np.int32(offset), counters=True)
    assert report.counters[LD_RATIO] == expected
