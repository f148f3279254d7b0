"""Products of a warpgroup, against float64 and integer NumPy."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.matrix_layout import tight
from benchmarks.sparse_layout import kept, metadata
from emulator.arch import H100
from emulator.errors import DeviceFault
from tests.emulator.fragments import BITS
from tests.emulator.test_tensor import bound, numbers
from tests.emulator.warpgroup import Problem, multiply

FP8 = ("e4m3", "e5m2")
FLOATING = [
    ("f32", "f16", "f16"), ("f16", "f16", "f16"), ("f32", "bf16", "bf16"), ("f32", "tf32", "tf32"),
    *itertools.product(("f16", "f32"), FP8, FP8),
]  # fmt: skip
WHOLE = [*itertools.product(("s32",), ("s8", "u8"), ("s8", "u8")), ("s32", "b1", "b1")]


def start_after(end: int) -> int:
    """The next place where every swizzle's pattern may start."""
    return -(-end // 1024) * 1024


def values(random, shape, kind):
    """Elements of a type, or sums."""
    if kind == "s32":
        return random.integers(-(2**31), 2**31, shape, dtype=np.int64).astype(np.int32)
    if kind in ("s8", "u8", "b1"):
        low, high = {"s8": (-128, 128), "u8": (0, 256), "b1": (0, 2)}[kind]
        return random.integers(low, high, shape)
    return numbers(random, shape, kind)


def check(card, problem, seed, nbytes):
    """One product of random matrices is what it should be."""
    random = np.random.default_rng(seed)
    k, n = problem.depth, problem.columns
    a = values(random, (64, k), problem.a)
    b, c = values(random, (k, n), problem.b), values(random, (64, n), problem.d)
    got = multiply(card, problem, a, b, c, nbytes)
    if problem.d == "s32":
        expected = a.astype(np.int64) @ b.astype(np.int64) + problem.adds * c.astype(np.int64)
        if problem.saturates:
            expected = expected.clip(-(2**31), 2**31 - 1)
        assert np.array_equal(got, expected.astype(np.int32))
        return
    a, b, c = (v.astype(np.float64) for v in (a, b, problem.adds * c))
    a *= problem.scale_a * problem.scale_b
    expected = a @ b + c
    assert np.all(np.abs(got - expected) <= bound(a, b, c, expected, problem.d))


def shared(swizzle, n, *, a_along_k=True, b_along_k=True):
    """Layouts of A and B, one behind the other, and where B ends."""
    a, end = tight(swizzle, a_along_k, 1024, 64, 32)
    b, end = tight(swizzle, b_along_k, start_after(end), n, 32)
    return a, b, end


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
@pytest.mark.parametrize("a_along_k", [True, False])
@pytest.mark.parametrize("b_along_k", [True, False])
def test_halves_lie_in_shared_memory_in_every_canonical_layout(card, swizzle, a_along_k, b_along_k):
    a, b, end = shared(swizzle, 72, a_along_k=a_along_k, b_along_k=b_along_k)
    check(card, Problem("f32", "f16", "f16", 72, a, b), swizzle, end)


@pytest.mark.parametrize(("d", "a", "b"), [*FLOATING, *WHOLE])
@pytest.mark.parametrize("from_registers", [False, True])
def test_every_type_multiplies(card, d, a, b, from_registers):
    a_layout, b_layout, end = shared(128, 16)
    problem = Problem(d, a, b, 16, None if from_registers else a_layout, b_layout)
    check(card, problem, BITS[a], end)


@pytest.mark.parametrize("n", [8, 104, 256])
@pytest.mark.parametrize(("d", "a"), [("f16", "f16"), ("f32", "e4m3"), ("f32", "tf32")])
def test_every_width_is_there(card, n, d, a):
    a_layout, b_layout, end = shared(64, n)
    check(card, Problem(d, a, a, n, a_layout, b_layout), n, end)


@pytest.mark.parametrize("a", ["s8", "u8"])
def test_whole_sums_clamp_once_where_they_are_to(card, a):
    a_layout, b_layout, end = shared(32, 32)
    check(card, Problem("s32", a, "u8", 32, a_layout, b_layout, saturates=True), 5, end)


@pytest.mark.parametrize("scale_a", [1, -1])
@pytest.mark.parametrize("scale_b", [1, -1])
@pytest.mark.parametrize("adds", [True, False])
def test_operands_are_negated_and_sums_replaced(card, scale_a, scale_b, adds):
    a, b, end = shared(0, 24)
    problem = Problem("f32", "bf16", "bf16", 24, a, b, scale_a, scale_b, adds)
    check(card, problem, 3, end)


layouts = st.tuples(st.sampled_from([0, 32, 64, 128]), st.booleans(), st.integers(0, 7),
                    st.integers(0, 3))  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    kinds=st.sampled_from([*FLOATING, *WHOLE]), width=st.integers(1, 8),
    a=st.none() | layouts, b=layouts, flags=st.tuples(*[st.booleans()] * 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_product_of_any_layouts_is_right(card, kinds, width, a, b, flags, seed):
    d, a_kind, b_kind = kinds
    n = 16 * width
    ends = 1024
    made = []
    for outers, plan in ((64, a), (n, b)):
        if plan is None:
            made.append(None)
            continue
        swizzle, along_k, base, gap = plan
        along_k = along_k or BITS[a_kind] != 16
        # a pattern that starts at another row than 0 of the eight needs the base offset
        base %= {0: 1, 32: 2, 64: 4, 128: 8}[swizzle]
        gap *= max(8 * swizzle, 16)
        start = start_after(ends) + 128 * base
        layout, ends = tight(swizzle, along_k, start, outers, 32, base, gap)
        made.append(layout)
    scales = [-1 if flag and d != "s32" else 1 for flag in flags[:2]]
    check(card, Problem(d, a_kind, b_kind, n, *made, *scales, flags[2], apart=flags[3]), seed, ends)


SPARSE = [  # types of D, A and B, and how many selectors there are
    ("f32", "f16", "f16", 2), ("f16", "f16", "f16", 2), ("f32", "bf16", "bf16", 2),
    ("f32", "tf32", "tf32", 2), ("f32", "e4m3", "e5m2", 1), ("s32", "s8", "u8", 1),
]  # fmt: skip


@pytest.mark.parametrize(("d", "a", "b", "selectors"), SPARSE)
@pytest.mark.parametrize("from_registers", [False, True])
@pytest.mark.parametrize("along_k", [True, False])
def test_a_sparse_matrix_multiplies_what_it_holds(
    card, d, a, b, selectors, from_registers, along_k
):
    """Metadata as ``mma.sp`` has it, in each of the four warps."""
    random = np.random.default_rng(BITS[a])
    n, k = 24, 512 // BITS[a]
    along_k = along_k or BITS[a] != 16
    a_layout, end = tight(32, True, 1024, 64, 32)
    b_layout, end = tight(128, along_k, start_after(end), n, 64)
    patterns = [kept(random, a, k) for _ in range(4)]
    held = values(random, (64, k // 2), a)
    dense = np.zeros((64, k))
    dense[np.concatenate([mask for mask, _ in patterns])] = held.astype(np.float64).reshape(-1)
    y, z = values(random, (k, n), b), values(random, (64, n), d)
    expected = dense @ y.astype(np.float64) + z.astype(np.float64)
    for selector in range(selectors):
        register = np.concatenate([metadata(codes, a, selector) for _, codes in patterns])
        problem = Problem(d, a, b, n, None if from_registers else a_layout, b_layout,
                          selector=selector)  # fmt: skip
        got = multiply(card, problem, held, y, z, end, metadata=register).astype(np.float64)
        if d == "s32":
            whole = expected.astype(np.int64).astype(np.int32)
            assert np.array_equal(got.astype(np.int32), whole)
        else:
            y64, z64 = y.astype(np.float64), z.astype(np.float64)
            assert np.all(np.abs(got - expected) <= bound(dense, y64, z64, expected, d))


def test_a_matrix_beyond_shared_memory_is_refused(card):
    a, b, end = shared(128, 16)
    problem = Problem("f32", "f16", "f16", 16, a, b)
    beyond = replace(b, start=b.start + 1024).descriptor
    zeros = np.zeros
    with pytest.raises(DeviceFault) as fault:
        multiply(card, problem, zeros((64, 16)), zeros((16, 16)), zeros((64, 16)), end, beyond)
    assert fault.value.finding.kind == "matrix beyond shared memory"


def source(body: str) -> str:
    """A kernel of CUDA C++ on one row of whose sums little depends."""
    return (
        """
    __device__ void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
    __device__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
    template <int N> __device__ void wait() {
      asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
    }
    __device__ unsigned long long matrix(const void* p) {
      return 8ull << 32 | 8ull << 16 | __cvta_generic_to_shared(p) >> 4;
    }
    __device__ void multiply(float (&d)[4], const void* a, const void* b) {
      asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5,"
                   " 1, 1, 1, 0, 0;"
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                   : "l"(matrix(a)), "l"(matrix(b)));
    }
    """
        + body
    )


def test_a_product_needs_four_warps(card):
    kernel = source("""
    extern "C" __global__ void k() {
      __shared__ __align__(128) short a[64 * 16], b[8 * 16];
      float d[4] = {};
      fence(); multiply(d, a, b); commit(); wait<0>();
    }""")
    with pytest.raises(DeviceFault, match="multiples of 128 threads"):
        card.run(kernel, "k", 1, 96)


def test_all_lanes_describe_the_same_matrix(card):
    kernel = source("""
    extern "C" __global__ void k() {
      __shared__ __align__(128) short a[64 * 16], b[8 * 16];
      float d[4] = {};
      fence(); multiply(d, a, b + 8 * (threadIdx.x == 5)); commit(); wait<0>();
    }""")
    with pytest.raises(DeviceFault, match="differs within a warp"):
        card.run(kernel, "k", 1, 128)


def test_a_wait_is_for_the_groups_of_all_four_warps(card):
    """The last warp says when it commits; no other may be past its wait before."""
    kernel = source("""
    extern "C" __global__ void k(int* early) {
      __shared__ __align__(128) short a[64 * 16], b[8 * 16];
      __shared__ volatile int committed;
      if (threadIdx.x == 0) committed = 0;
      __syncthreads();
      float d[4] = {};
      fence(); multiply(d, a, b);
      if (threadIdx.x / 32 == 3) {
        for (int i = 0; i < 1000; ++i) committed = i;
        committed = -1;
      }
      commit(); wait<0>();
      if (committed != -1) atomicAdd(early, 1);
    }""")
    early = np.zeros(1, dtype=np.int32)
    card.run(kernel, "k", 1, 128, early)
    assert early[0] == 0


def test_a_warp_that_never_commits_is_a_deadlock(card):
    kernel = source("""
    extern "C" __global__ void k() {
      __shared__ __align__(128) short a[64 * 16], b[8 * 16];
      float d[4] = {};
      fence(); multiply(d, a, b);
      if (threadIdx.x / 32 != 2) commit();
      wait<0>();
    }""")
    with pytest.raises(DeviceFault) as fault:
        card.run(kernel, "k", 1, 128)
    words = str(fault.value)
    assert "deadlock" in words and "wait for the warpgroup's products" in words
    assert "kernel.cu" in words and "wgmma.commit_group" in words


def test_a_product_counts_its_operations_and_takes_the_tensor_cores_time(card):
    """64 x 8 x 16, 1000 times: 8192 multiply-adds each, of which an SM makes 2048 a clock."""
    kernel = source("""
    extern "C" __global__ void k(float* out, int n) {
      __shared__ __align__(128) short a[64 * 16], b[8 * 16];
      for (int i = threadIdx.x; i < 64 * 16; i += 128) a[i] = b[i % 128] = 0;
      __syncthreads();
      float d[4] = {};
      fence();
      for (int i = 0; i < n; ++i) multiply(d, a, b);
      commit(); wait<0>();
      out[threadIdx.x] = d[0];
    }""")
    out = np.ones(128, dtype=np.float32)
    report = card.run(kernel, "k", 1, 128, out, np.int32(1000), counters=True)
    assert not out.any()
    assert report.counters["sm__ops_path_tensor_src_fp16.sum"] == 1000 * 2 * 64 * 8 * 16
    assert report.counters["smsp__inst_executed_pipe_tensor.sum"] == 1000 * 4
    clocks = 1000 * 64 * 8 * 16 / 2048
    assert report.bounds["tensor"] == pytest.approx(1e6 * clocks / H100.clock_hz)
