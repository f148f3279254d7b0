"""Instructions by kind, floating-point work, tensor operations, branches, local memory, atomics."""

from __future__ import annotations

import numpy as np
import pytest


def operations(name: str) -> str:
    return f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum"


ARITHMETIC = r"""
#include <cuda_fp16.h>
extern "C" __global__ void work(const float* x, const double* d, float* y, double* e) {
  int i = threadIdx.x;
  float a = x[i], b = x[i + 64];
  float s = a + b;
  float p = a * b;
  float f = __fmaf_rn(a, b, s);
  y[i] = __fadd_rn(__fmul_rn(p, f), s);
  double u = d[i], v = d[i + 64];
  e[i] = __fma_rn(u, v, __dadd_rn(u, __dmul_rn(v, v)));
}
extern "C" __global__ void halves(const __half2* x, __half2* y) {
  __half2 a = x[threadIdx.x];
  y[threadIdx.x] = __hfma2(a, a, __hadd2(a, __hmul2(a, a)));
}
"""


def test_floating_point_work_is_counted_by_kind(card):
    x, y = np.ones(128, dtype=np.float32), np.zeros(64, dtype=np.float32)
    d, e = np.ones(128), np.zeros(64)
    found = card.run(ARITHMETIC, "work", 1, 50, x, d, y, e, counters=True).counters
    assert [found[operations(k)] for k in ("fadd", "fmul", "ffma")] == [100, 100, 50]
    assert [found[operations(k)] for k in ("dadd", "dmul", "dfma")] == [50, 50, 50]


def test_packed_halves_count_twice(card):
    x, y = np.ones(64, dtype=np.float16), np.zeros(64, dtype=np.float16)
    found = card.run(ARITHMETIC, "halves", 1, 32, x, y, counters=True).counters
    assert [found[operations(k)] for k in ("hadd", "hmul", "hfma")] == [64, 64, 64]


PREDICATED = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry some(.param .u64 out, .param .u32 limit)
{
  .reg .pred %p<2>; .reg .b32 %r<4>; .reg .f32 %f<3>; .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [limit];
  mov.u32 %r2, %tid.x;
  setp.lt.u32 %p1, %r2, %r1;
  mov.f32 %f1, 0f3F800000;
  @%p1 add.f32 %f1, %f1, %f1;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  @%p1 st.global.f32 [%rd3], %f1;
  ret;
}
"""


@pytest.mark.parametrize("limit", [0, 1, 31, 40, 64])
def test_lanes_that_are_predicated_off_do_no_work(card, limit):
    out = np.zeros(64, dtype=np.float32)
    found = card.run(PREDICATED, "some", 1, 64, out, np.uint32(limit), counters=True).counters
    assert found[operations("fadd")] == limit
    assert found["smsp__thread_inst_executed.sum"] == 64 * 10
    assert found["smsp__thread_inst_executed_pred_on.sum"] == 64 * 8 + 2 * limit
    assert found["smsp__inst_executed_op_global_st.sum"] == 2
    assert found["l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"] == -(-limit // 32)


BRANCHES = """
extern "C" __global__ void part(int* y, int where) {
  int i = threadIdx.x;
  if (i < where) { for (int k = 0; k < y[0] + 3; k++) atomicAdd(&y[1], k); }
  else { atomicAdd(&y[2], 1); }
}
"""


@pytest.mark.parametrize(("where", "parted"), [(0, 0), (32, 0), (64, 0), (16, 1), (50, 1)])
def test_a_branch_that_parts_lanes_counts_once(card, where, parted):
    y = np.zeros(4, dtype=np.int32)
    report = card.run(BRANCHES, "part", 1, 64, y, np.int32(where), counters=True)
    found = report.counters
    assert found["smsp__sass_branch_targets_threads_divergent.sum"] == parted
    assert found["smsp__inst_executed_op_branch.sum"] > 0
    efficiency = found["smsp__sass_average_branch_targets_threads_uniform.pct"]
    assert (efficiency == 100) == (parted == 0)
    assert "smsp__sass_branch_targets_threads_divergent.sum" in report.approximate


LOCAL = """
extern "C" __global__ void stack(const int* at, int* y) {
  volatile int mine[16];
  for (int k = 0; k < 16; k++) mine[k] = k;
  y[threadIdx.x] = mine[at[threadIdx.x]];
}
"""


@pytest.mark.parametrize(("at", "sectors"), [(lambda i: 5, 4), (lambda i: i % 16, 32)])
def test_local_memory_is_interleaved_by_words(card, at, sectors):
    where = np.array([at(i) for i in range(32)], dtype=np.int32)
    y = np.zeros(32, dtype=np.int32)
    found = card.run(LOCAL, "stack", 1, 32, where, y, counters=True).counters
    assert (y == where).all()
    assert found["l1tex__t_requests_pipe_lsu_mem_local_op_ld.sum"] == 1
    assert found["l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum"] == sectors
    assert found["l1tex__t_sectors_pipe_lsu_mem_local_op_st.sum"] == 16 * 4


ATOMICS = """
extern "C" __global__ void histogram(const int* bin, int* counts, int* before) {
  int i = threadIdx.x;
  before[i] = atomicAdd(&counts[bin[i]], 1);
}
extern "C" __global__ void tally(const int* bin, int* counts) {
  atomicAdd(&counts[bin[threadIdx.x]], 1);
}
"""


@pytest.mark.parametrize(
    ("bins", "sectors"),
    [(lambda i: i, 4), (lambda i: 0, 32), (lambda i: i // 2, 4), (lambda i: 8 * i, 32)],
)
def test_atomics_take_turns_at_an_address(card, bins, sectors):
    bin_ = np.array([bins(i) for i in range(32)], dtype=np.int32)
    counts, before = np.zeros(256, dtype=np.int32), np.zeros(32, dtype=np.int32)
    found = card.run(ATOMICS, "histogram", 1, 32, bin_, counts, before, counters=True).counters
    assert counts.sum() == 32
    assert found["l1tex__t_requests_pipe_lsu_mem_global_op_atom.sum"] == 1
    assert found["l1tex__t_sectors_pipe_lsu_mem_global_op_atom.sum"] == sectors


def test_an_atomic_whose_result_nobody_reads_is_a_reduction(card):
    bin_, counts = np.arange(32, dtype=np.int32), np.zeros(256, dtype=np.int32)
    found = card.run(ATOMICS, "tally", 1, 32, bin_, counts, counters=True).counters
    assert found["l1tex__t_sectors_pipe_lsu_mem_global_op_red.sum"] == 4
    assert found["l1tex__t_sectors_pipe_lsu_mem_global_op_atom.sum"] == 0


TENSOR = """
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void multiply(const half* a, const half* b, float* c) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> y;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> z;
  wmma::fill_fragment(z, 0.0f);
  wmma::load_matrix_sync(x, a, 16);
  wmma::load_matrix_sync(y, b, 16);
  wmma::mma_sync(z, x, y, z);
  wmma::store_matrix_sync(c, z, 16, wmma::mem_row_major);
}
"""


def test_a_tile_s_product_is_8192_tensor_operations_a_warp(card):
    a, b = np.ones(256, dtype=np.float16), np.ones(256, dtype=np.float16)
    c = np.zeros(256, dtype=np.float32)
    found = card.run(TENSOR, "multiply", 1, 64, a, b, c, counters=True).counters
    assert (c == 16).all()
    assert found["sm__ops_path_tensor_src_fp16.sum"] == 2 * 2 * 16**3
    assert found["smsp__inst_executed_pipe_tensor.sum"] == 2


def test_a_report_has_sections_and_marks_what_is_approximate(card):
    a, b = np.ones(256, dtype=np.float16), np.ones(256, dtype=np.float16)
    text = str(card.run(TENSOR, "multiply", 1, 32, a, b, np.zeros(256, np.float32), counters=True))
    for title in ("Occupancy", "Global memory", "Caches and DRAM (modelled)", "Instructions"):
        assert f"\n{title}\n" in text
    assert "warp instructions" in text
    assert "~ approximate: an H100's counter may differ" in text
