"""Loads and stores in every space, width and vector form, and what happens off the end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import DeviceFault, DeviceMemory

COPIES = "\n".join(
    f"""extern "C" __global__ void copy_{name}(const {kind}* x, {kind}* y, const int* at, int n) {{
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[at[i]];
}}"""
    for name, kind in {
        "u8": "unsigned char", "s8": "signed char", "u16": "unsigned short", "s16": "short",
        "f32": "float", "f64": "double", "char2": "char2", "char4": "char4", "short2": "short2",
        "short4": "short4", "float2": "float2", "float4": "float4", "double2": "double2",
    }.items()
)  # fmt: skip
WIDTHS = {"u8": 1, "s8": 1, "u16": 2, "s16": 2, "f32": 4, "f64": 8, "char2": 2, "char4": 4,
          "short2": 4, "short4": 8, "float2": 8, "float4": 16, "double2": 16}  # fmt: skip


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(WIDTHS)),
    st.integers(1, 200),
    st.sampled_from(["in order", "reversed", "random", "same"]),
    st.integers(0, 2**32 - 1),
)
def test_a_gather_reads_what_it_points_at(card, name, n, order, seed):
    random = np.random.default_rng(seed)
    at = {
        "in order": np.arange(n),
        "reversed": np.arange(n)[::-1],
        "random": random.integers(0, n, n),
        "same": np.full(n, n // 2),
    }[order].astype(np.int32)
    x = random.integers(0, 256, (n, WIDTHS[name]), dtype=np.uint8)
    y = np.zeros_like(x)
    card.run(COPIES, f"copy_{name}", -(-n // 64), 64, x, y, at, np.int32(n))
    assert (y == x[at]).all()


SPACES = r"""
__constant__ float table[4] = {1.5f, -2.f, 3.f, 4.25f};
__device__ int counter[2] = {7, 9};
__device__ int* pointer = counter + 1;
extern "C" __global__ void constants(float* y, const int* at) {
  y[threadIdx.x] = table[at[threadIdx.x]];
}
extern "C" __global__ void globals(int* y) {
  if (threadIdx.x == 0) { y[0] = counter[0]; counter[0] = y[0] + 1; y[1] = *pointer; }
}
__noinline__ __device__ void fill(int* p, int n, int v) {
  for (int k = 0; k < n; k++) p[k] = v + k;
}
extern "C" __global__ void local_array(int* y, const int* at) {
  int mine[9];
  fill(mine, 9, threadIdx.x * 10);
  y[threadIdx.x] = mine[at[threadIdx.x]];
}
extern "C" __global__ void generic(int* y, const int* which) {
  __shared__ int tile[32];
  tile[threadIdx.x] = 100 + threadIdx.x;
  y[threadIdx.x + 32] = 200 + threadIdx.x;
  int* p = which[threadIdx.x] ? tile : y + 32;
  y[threadIdx.x] = p[threadIdx.x] + (__isShared(p) ? 1000 : 0);
}
struct Options { int a; float b[3]; long long c; };
extern "C" __global__ void by_value(double* y, Options o, char tail) {
  y[0] = o.a; y[1] = o.b[0]; y[2] = o.b[1]; y[3] = o.b[2]; y[4] = o.c; y[5] = tail;
}
"""


def test_constant_memory(card):
    y, at = np.zeros(32, dtype=np.float32), (np.arange(32) % 4).astype(np.int32)
    card.run(SPACES, "constants", 1, 32, y, at)
    assert (y == np.array([1.5, -2, 3, 4.25], dtype=np.float32)[at]).all()


def test_device_variables_keep_their_value_between_launches(card):
    first, second = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.int32)
    card.run(SPACES, "globals", 1, 32, first)
    card.run(SPACES, "globals", 1, 32, second)
    assert second[0] == first[0] + 1
    assert first[1] == second[1] == 9


def test_each_thread_has_its_own_local_array(card):
    y, at = np.zeros(64, dtype=np.int32), (np.arange(64) % 9).astype(np.int32)
    card.run(SPACES, "local_array", 1, 64, y, at)
    assert y.tolist() == [10 * t + t % 9 for t in range(64)]


def test_generic_addresses_reach_both_spaces_from_one_instruction(card):
    y, which = np.zeros(64, dtype=np.int32), (np.arange(32) % 2).astype(np.int32)
    card.run(SPACES, "generic", 1, 32, y, which)
    assert y[:32].tolist() == [1100 + t if t % 2 else 200 + t for t in range(32)]


def test_structures_by_value(card):
    options = np.zeros(1, dtype=np.dtype("i4,3f4,i8", align=True))
    options[0] = (3, (1.5, 2.5, 3.5), -(2**40))
    y = np.zeros(6)
    card.run(SPACES, "by_value", 1, 1, y, options[0], np.int8(-3))
    assert y.tolist() == [3, 1.5, 2.5, 3.5, -(2.0**40), -3]


BOUNDS = r"""
extern "C" __global__ void past_end(float* y, int n, long long shift) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i + shift] = 1.0f;
}
extern "C" __global__ void read_null(float* y, const float* x) {
  if (threadIdx.x == 5) y[0] = x[2];
}
extern "C" __global__ void crooked(char* y, int shift) { *(float4*)(y + shift) = float4(); }
extern "C" __global__ void shared_end(float* y, int at) {
  __shared__ float tile[32];
  tile[threadIdx.x + at] = 1.0f;
  __syncthreads();
  y[0] = tile[31 - threadIdx.x];
}
extern "C" __global__ void local_end(int* y, int at) {
  int mine[4] = {1, 2, 3, 4};
  y[0] = mine[at];
}
__constant__ int fixed[4] = {1, 2, 3, 4};
extern "C" __global__ void write_constant(int* y) {
  int* p = const_cast<int*>(&fixed[y[0]]);
  asm volatile("" : "+l"(p));  // or the compiler sees what this is, and traps
  *p = 3;
}
"""


def fault(card, *arguments, **options):
    with pytest.raises(DeviceFault) as caught:
        card.run(BOUNDS, *arguments, **options)
    return caught.value.finding


def test_one_past_the_end_names_everything(card):
    y = np.zeros(100, dtype=np.float32)
    found = fault(card, "past_end", 1, 128, y, np.int32(100), np.int64(0))
    assert found.check == "memcheck"
    assert found.kind == "out-of-bounds write"
    assert found.kernel == "past_end"
    assert (found.line, found.source_text) == (4, "y[i + shift] = 1.0f;")
    assert (found.block, found.thread) == ((0, 0, 0), (100, 0, 0))
    assert "just past the end of 'argument0' of 400 bytes" in found.message


@settings(max_examples=30)
@given(st.integers(-(2**62), 2**62))
def test_no_address_harms_the_process(card, shift):
    y = np.zeros(64, dtype=np.float32)
    try:
        card.run(BOUNDS, "past_end", 2, 32, y, np.int32(64), np.int64(shift))
    except DeviceFault as error:
        assert error.finding.kind == "out-of-bounds write"
    else:
        assert 4 * shift % 2**64 == 0  # addresses wrap


@pytest.mark.parametrize("shift", [2**61, -(2**61), 2**40, 1 << 34, -(1 << 36)])
def test_far_out_of_bounds(card, shift):
    y = np.zeros(64, dtype=np.float32)
    found = fault(card, "past_end", 1, 32, y, np.int32(64), np.int64(shift))
    assert "nowhere near" in found.message or "past the end" in found.message


def test_before_the_start(card):
    y = np.zeros(64, dtype=np.float32)
    found = fault(card, "past_end", 1, 32, y, np.int32(64), np.int64(-2))
    assert "8 bytes before the start of 'argument0'" in found.message


def test_a_null_pointer_is_called_one(card):
    y = np.zeros(4, dtype=np.float32)
    found = fault(card, "read_null", 1, 32, y, np.uint64(0))
    assert "null pointer" in found.message
    assert found.thread == (5, 0, 0)


def test_a_misaligned_vector(card):
    found = fault(card, "crooked", 1, 1, np.zeros(64, dtype=np.uint8), np.int32(4))
    assert found.kind == "misaligned write"
    assert "multiple of 16" in found.message


@pytest.mark.parametrize("at", [1, -1, 1 << 20])
def test_shared_memory_has_an_end(card, at):
    found = fault(card, "shared_end", 1, 32, np.zeros(1, dtype=np.float32), np.int32(at))
    assert found.kind == "out-of-bounds write of shared memory"
    assert "128 bytes of shared memory" in found.message


def test_local_memory_has_an_end(card):
    found = fault(card, "local_end", 1, 32, np.zeros(1, dtype=np.int32), np.int32(4000))
    assert "local memory" in found.kind


def test_constant_memory_is_not_written(card):
    found = fault(card, "write_constant", 1, 1, np.zeros(1, dtype=np.int32))
    assert found.kind == "write to constant memory"


THREE_D = r"""
extern "C" __global__ void corner(int* y, int n) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
  int k = blockIdx.z * blockDim.z + threadIdx.z;
  int i = (k * gridDim.y * blockDim.y + j) * gridDim.x * blockDim.x + x;
  y[i] = x + 100 * j + 10000 * k;
}
"""


def test_blocks_and_threads_have_three_axes(card):
    grid, block = (3, 2, 2), (5, 4, 3)
    y = np.zeros((6, 8, 15), dtype=np.int32)
    card.run(THREE_D, "corner", grid, block, y, np.int32(0))
    k, j, x = np.indices(y.shape)
    assert (y == x + 100 * j + 10000 * k).all()


def test_a_fault_names_block_and_thread_on_all_axes(card):
    grid, block = (3, 2, 2), (5, 4, 3)
    y = np.zeros(6 * 8 * 15 - 1, dtype=np.int32)
    with pytest.raises(DeviceFault) as caught:
        card.run(THREE_D, "corner", grid, block, y, np.int32(0))
    assert caught.value.finding.block == (2, 1, 1)
    assert caught.value.finding.thread == (4, 3, 2)


def test_memory_of_a_freed_array_is_told_from_a_wild_address():
    memory = DeviceMemory()
    kept, gone = memory.allocate(64, "kept"), memory.allocate(64, "gone")
    memory.free(gone)
    assert memory.allocations == (kept,)
    with pytest.raises(ValueError, match="freed"):
        gone.view()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=30), st.data())
def test_allocations_never_overlap_and_are_poisoned(sizes, data):
    memory = DeviceMemory(1 << 28)
    live = []
    for size in sizes:
        allocation = memory.allocate(size)
        assert allocation.address % 512 == 0
        assert (allocation.view() == 0xFF).all()
        live.append(allocation)
        if data.draw(st.booleans()):
            gone = live.pop(data.draw(st.integers(0, len(live) - 1)))
            memory.free(gone)
    ordered = sorted(live, key=lambda a: a.address)
    assert [a.address for a in memory.allocations] == [a.address for a in ordered]
    for low, high in itertools.pairwise(ordered):
        assert low.end < high.address


def test_a_full_memory_says_how_full():
    memory = DeviceMemory(1 << 26)
    with pytest.raises(MemoryError, match=r"67,108,864"):
        memory.allocate(1 << 26)


PARAMETERS = """
struct Table { float of[16]; };

extern "C" __global__ void look_up(const __grid_constant__ Table table, const int* at, float* out) {
  out[threadIdx.x] = table.of[at[threadIdx.x]];
}
"""


def test_a_parameter_is_read_where_a_register_says(card):
    table = np.arange(16, dtype=np.float32) / 3
    at = np.array([3, 0, 15, 7] * 8, dtype=np.int32)
    out = np.zeros(32, dtype=np.float32)
    card.run(PARAMETERS, "look_up", 1, 32, table.tobytes(), at, out)
    assert (out == table[at]).all()


def test_a_read_outside_the_parameters_is_found(card):
    at = np.full(32, 100_000_000, dtype=np.int32)
    with pytest.raises(DeviceFault, match="out-of-bounds read"):
        card.run(PARAMETERS, "look_up", 1, 32, bytes(64), at, np.zeros(32, dtype=np.float32))
