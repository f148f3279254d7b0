"""Loads and stores of 8 x 8 matrices against NumPy, and whole products of matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.errors import DeviceFault, UnsupportedInstruction

ROWS = r"""
template <int COUNT, bool TRANS>
__device__ void load(unsigned at, unsigned* r) {
  if constexpr (COUNT == 1 && !TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(at));
  if constexpr (COUNT == 2 && !TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(at));
  if constexpr (COUNT == 4 && !TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared::cta.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
  if constexpr (COUNT == 1 && TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(r[0]) : "r"(at));
  if constexpr (COUNT == 2 && TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(at));
  if constexpr (COUNT == 4 && TRANS)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}
template <int COUNT, bool TRANS>
__device__ void store(unsigned at, const unsigned* r) {
  if constexpr (COUNT == 1 && !TRANS)
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%1], {%0};" :: "r"(r[0]), "r"(at));
  if constexpr (COUNT == 2 && !TRANS)
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%2], {%0,%1};"
                 :: "r"(r[0]), "r"(r[1]), "r"(at));
  if constexpr (COUNT == 4 && !TRANS)
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%4], {%0,%1,%2,%3};"
                 :: "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(at));
  if constexpr (COUNT == 4 && TRANS)
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%4], {%0,%1,%2,%3};"
                 :: "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(at));
}
template <int COUNT, bool TRANS>
__device__ void both(const unsigned* memory, const unsigned* starts, unsigned* loaded,
                     unsigned* stored) {
  __shared__ __align__(16) unsigned tile[1024];
  int lane = threadIdx.x;
  for (int i = lane; i < 1024; i += 32) tile[i] = memory[i];
  __syncthreads();
  unsigned base = (unsigned)__cvta_generic_to_shared(tile), r[4] = {0, 0, 0, 0};
  load<COUNT, TRANS>(base + starts[lane], r);
  for (int i = 0; i < 4; i++) loaded[i * 32 + lane] = r[i];
  __syncthreads();
  for (int i = lane; i < 1024; i += 32) tile[i] = 0;
  __syncthreads();
  store<COUNT, TRANS>(base + starts[lane], r);
  __syncthreads();
  for (int i = lane; i < 1024; i += 32) stored[i] = tile[i];
}
#define KERNEL(NAME, COUNT, TRANS)                                                         \
  extern "C" __global__ void NAME(const unsigned* memory, const unsigned* starts,          \
                                  unsigned* loaded, unsigned* stored) {                    \
    both<COUNT, TRANS>(memory, starts, loaded, stored);                                    \
  }
KERNEL(x1, 1, false)
KERNEL(x2, 2, false)
KERNEL(x4, 4, false)
KERNEL(x1_trans, 1, true)
KERNEL(x2_trans, 2, true)
KERNEL(x4_trans, 4, true)
extern "C" __global__ void generic(const unsigned* memory, unsigned* loaded) {
  __shared__ __align__(16) unsigned tile[1024];
  for (int i = threadIdx.x; i < 1024; i += 32) tile[i] = memory[i];
  __syncthreads();
  unsigned r[4];
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "l"(tile + 4 * (31 - threadIdx.x)));
  for (int i = 0; i < 4; i++) loaded[i * 32 + threadIdx.x] = r[i];
}
extern "C" __global__ void from_global(const unsigned* memory, unsigned* loaded) {
  unsigned r;
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.b16 {%0}, [%1];" : "=r"(r) : "l"(memory));
  loaded[threadIdx.x] = r;
}
extern "C" __global__ void turn(const unsigned* x, unsigned* y) {
  unsigned r;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(r) : "r"(x[threadIdx.x]));
  y[threadIdx.x] = r;
}
extern "C" __global__ void by_two(const unsigned* memory, unsigned* y, int skew) {
  __shared__ __align__(16) unsigned tile[64];
  for (int i = threadIdx.x; i < 64; i += 32) tile[i] = memory[i];
  __syncthreads();
  unsigned base = (unsigned)__cvta_generic_to_shared(tile), r[2];
  load<2, false>(base + 16 * threadIdx.x + (threadIdx.x == 5 ? skew : 0), r);
  y[threadIdx.x] = r[0] + r[1];
}
"""


def loaded_matrices(memory: np.ndarray, starts: np.ndarray, count: int, turned: bool) -> np.ndarray:
    """What each lane's registers hold: (4, 32) of u32."""
    halves = memory.view(np.uint16)
    out = np.zeros((4, 32, 2), dtype=np.uint16)
    for j in range(count):
        matrix = np.stack([halves[starts[8 * j + row] // 2 :][:8] for row in range(8)])
        matrix = matrix.T if turned else matrix
        for lane in range(32):
            out[j, lane] = matrix[lane // 4, 2 * (lane % 4) : 2 * (lane % 4) + 2]
    return out.view(np.uint32).reshape(4, 32)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([1, 2, 4]), st.booleans(), st.integers(0, 2**32 - 1))
def test_rows_come_from_the_addresses_of_their_lanes(card, count, turned, seed):
    random = np.random.default_rng(seed)
    memory = random.integers(0, 2**32, 1024, dtype=np.uint32)
    starts = (16 * random.permutation(256)[:32]).astype(np.uint32)  # anywhere, in any order
    starts[8 * count :] = 0xFFFFFF01  # of lanes whose addresses do not count
    loaded, stored = np.zeros((4, 32), dtype=np.uint32), np.zeros(1024, dtype=np.uint32)
    stores = (count, turned) not in ((1, True), (2, True))
    name = f"x{count}" + ("_trans" if turned else "")
    card.run(ROWS, name, 1, 32, memory, starts, loaded, stored)
    assert np.array_equal(loaded, loaded_matrices(memory, starts, count, turned))
    expected = np.zeros(1024, dtype=np.uint32)
    for start in starts[: 8 * count] // 4 if stores else ():
        expected[start : start + 4] = memory[start : start + 4]
    assert np.array_equal(stored, expected)


def test_rows_come_from_generic_addresses_too(card):
    memory = np.arange(1024, dtype=np.uint32)
    loaded = np.zeros((4, 32), dtype=np.uint32)
    card.run(ROWS, "generic", 1, 32, memory, loaded)
    starts = 16 * (31 - np.arange(32))
    assert np.array_equal(loaded, loaded_matrices(memory, starts, 4, False))


def test_rows_never_come_from_global_memory(card):
    memory, loaded = np.zeros(1024, dtype=np.uint32), np.zeros(32, dtype=np.uint32)
    with pytest.raises(DeviceFault, match=r"out-of-bounds read of shared memory.*has 0 bytes"):
        card.run(ROWS, "from_global", 1, 32, memory, loaded)


def test_movmatrix_turns_a_matrix(card):
    x = np.arange(64, dtype=np.uint16).reshape(8, 8)
    y = np.zeros(32, dtype=np.uint32)
    card.run(ROWS, "turn", 1, 32, x.view(np.uint32).reshape(-1).copy(), y)
    assert np.array_equal(y.view(np.uint16).reshape(8, 8), x.T)


def test_a_row_out_of_bounds_or_askew_names_its_lane(card):
    memory, y = np.arange(64, dtype=np.uint32), np.zeros(32, dtype=np.uint32)
    report = card.run(ROWS, "by_two", 1, 32, memory, y, np.int32(0), counters=True)
    assert report.counters["smsp__inst_executed_op_ldsm.sum"] == 1
    with pytest.raises(
        DeviceFault, match=r"misaligned read.*thread \(5, 0, 0\).*not a multiple of 16"
    ):
        card.run(ROWS, "by_two", 1, 32, memory, y, np.int32(8))
    with pytest.raises(DeviceFault, match=r"out-of-bounds read.*thread \(5, 0, 0\).*16 bytes"):
        card.run(ROWS, "by_two", 1, 32, memory, y, np.int32(1024))


def test_forms_of_later_cards_are_refused_by_name(card):
    ptx = """
.version 8.6
.target sm_100a
.address_size 64
.visible .entry k() {
  .reg .b32 %r<4>;
  mov.u32 %r0, 0;
  ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r1, %r2}, [%r0];
  ret;
}"""
    with pytest.raises(UnsupportedInstruction, match=r"ldmatrix.sync.aligned.m16n16"):
        card.run(ptx, "k", 1, 32)
