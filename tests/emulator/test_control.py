"""Divergence, reconvergence, barriers, calls: lanes go their own ways and meet again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import DeviceFault, LaunchTimeout

BRANCHES = r"""
extern "C" __global__ void nested(const int* x, int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int v = x[i], r = 0;
  if (v & 1) { if (v & 2) r = 10; else r = 20; }
  else for (int k = 0; k < (v & 15); k++) { r += k; if (r > 40) break; if (k != 3) r ^= 1; }
  switch (v & 7) { case 0: r++; break; case 3: r += 100; break; case 5: r -= 7; default: r *= 3; }
  y[i] = r;
}
"""


def nested(v: int) -> int:
    r = 0
    if v & 1:
        r = 10 if v & 2 else 20
    else:
        for k in range(v & 15):
            r += k
            if r > 40:
                break
            if k == 3:
                continue
            r ^= 1
    if v & 7 == 0:
        r += 1
    elif v & 7 == 3:
        r += 100
    else:
        if v & 7 == 5:
            r -= 7
        r *= 3
    return r


@settings(max_examples=20)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1), st.sampled_from([32, 96, 100, 256]))
def test_every_lane_takes_its_own_path(card, n, seed, block):
    x = np.random.default_rng(seed).integers(0, 2**31 - 1, n, dtype=np.int32)
    y = np.full(n, -1, dtype=np.int32)
    card.run(BRANCHES, "nested", -(-n // block), block, x, y, np.int32(n))
    assert y.tolist() == [nested(int(v)) for v in x]


LOOPS = r"""
extern "C" __global__ void collatz(const unsigned* x, int* steps) {
  int i = threadIdx.x;
  unsigned v = x[i];
  int n = 0;
  while (v != 1) { v = (v & 1) ? 3 * v + 1 : v >> 1; n++; }
  steps[i] = n;
}
extern "C" __global__ void meet(const int* x, int* y) {
  int i = threadIdx.x, r = 0;
  if (x[i] > 0) { r = 1; for (int k = 0; k < x[i]; k++) r += y[i + 32]; }
  y[i] = r;  // all 32 lanes are together again here
}
"""


def test_lanes_leave_a_loop_one_by_one(card):
    x = np.arange(1, 33, dtype=np.uint32)
    steps = np.zeros(32, dtype=np.int32)
    card.run(LOOPS, "collatz", 1, 32, x, steps)

    def collatz(v: int) -> int:
        n = 0
        while v != 1:
            v, n = (3 * v + 1 if v & 1 else v >> 1), n + 1
        return n

    assert steps.tolist() == [collatz(int(v)) for v in x]


def test_lanes_that_parted_store_together(card):
    x = np.arange(32, dtype=np.int32) - 16
    y = np.ones(64, dtype=np.int32)
    report = card.run(LOOPS, "meet", 1, 32, x, y, counters=True)
    assert y[:32].tolist() == [v + 1 if v > 0 else 0 for v in x.tolist()]
    assert report.counters["l1tex__t_requests_pipe_lsu_mem_global_op_st.sum"] == 1


BARRIERS = r"""
extern "C" __global__ void reverse(float* x) {
  __shared__ float tile[1024];
  int i = threadIdx.x;
  tile[i] = x[blockIdx.x * blockDim.x + i];
  __syncthreads();
  x[blockIdx.x * blockDim.x + i] = tile[blockDim.x - 1 - i];
}
extern "C" __global__ void sum_tree(const int* x, int* total) {
  extern __shared__ int part[];
  part[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int step = blockDim.x / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
  }
  if (threadIdx.x == 0) total[blockIdx.x] = part[0];
}
extern "C" __global__ void half_wait(int* x) {
  if (threadIdx.x < 32) __syncthreads();
  else while (x[0] == 0) atomicAdd(x + 1, 1);
}
extern "C" __global__ void one_side_waits(int* x) {
  if (threadIdx.x < 16) { x[threadIdx.x] = 1; asm volatile("bar.sync 1, 64;"); }
}
extern "C" __global__ void early_exit(int* x) {
  if (threadIdx.x >= 70) return;
  __syncthreads();
  x[threadIdx.x] = 1;
}
extern "C" __global__ void named(int* x) {
  __shared__ int box;
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) box = 42;
    asm volatile("bar.arrive 3, 64;" ::: "memory");
  } else {
    asm volatile("bar.sync 3, 64;" ::: "memory");
    x[threadIdx.x - 32] = box;
  }
}
"""


@pytest.mark.parametrize("threads", [32, 64, 100, 1024])
def test_a_barrier_orders_shared_memory(card, threads):
    x = np.arange(3 * threads, dtype=np.float32)
    card.run(BARRIERS, "reverse", 3, threads, x)
    expected = np.arange(3 * threads, dtype=np.float32).reshape(3, threads)[:, ::-1].reshape(-1)
    assert (x == expected).all()


def test_barriers_in_a_loop(card):
    x = np.arange(4 * 256, dtype=np.int32)
    total = np.zeros(4, dtype=np.int32)
    card.run(BARRIERS, "sum_tree", 4, 256, x, total, shared_bytes=1024)
    assert total.tolist() == x.reshape(4, 256).sum(1).tolist()


def test_threads_that_exit_do_not_hold_up_a_barrier(card):
    x = np.zeros(100, dtype=np.int32)
    card.run(BARRIERS, "early_exit", 1, 100, x)
    assert x.tolist() == [1] * 70 + [0] * 30


def test_one_warp_arrives_and_another_waits(card):
    x = np.zeros(32, dtype=np.int32)
    card.run(BARRIERS, "named", 1, 64, x)
    assert (x == 42).all()


def test_a_deadlock_says_who_waits_where(card):
    match = r"16 threads wait at barrier 1 .*kernel\.cu:23"
    with pytest.raises(DeviceFault, match=match) as caught:
        card.run(BARRIERS, "one_side_waits", 1, 64, np.zeros(64, dtype=np.int32))
    assert caught.value.finding.kind == "deadlock"


def test_a_kernel_that_never_ends_is_stopped_where_it_loops(card):
    with pytest.raises(LaunchTimeout, match=r"32 threads spin at .*kernel\.cu:20"):
        card.run(BARRIERS, "half_wait", 1, 64, np.zeros(2, dtype=np.int32), timeout_s=0.2)


CALLS = r"""
struct Pair { float sum; int count; double mean; };
__noinline__ __device__ Pair add(Pair a, float x) {
  if (x < 0) return a;
  return Pair{a.sum + x, a.count + 1, double(a.sum + x) / (a.count + 1)};
}
__noinline__ __device__ float twice(float x) { return 2 * x; }
__noinline__ __device__ float poly(float x) { return x > 3 ? twice(x) + twice(x + 1) : twice(-x); }
extern "C" __global__ void calls(const float* x, float* y, double* mean, int n) {
  int i = threadIdx.x;
  Pair p = {0.f, 0, 0.};
  for (int k = 0; k <= i; k++) p = add(p, x[k]);
  y[i] = p.sum + p.count + poly(x[i]);
  mean[i] = p.mean;
}
"""


def test_functions_that_are_not_inlined(card):
    x = np.arange(32, dtype=np.float32) - 5
    y, mean = np.zeros(32, dtype=np.float32), np.zeros(32)
    card.run(CALLS, "calls", 1, 32, x, y, mean, np.int32(32))
    for i in range(32):
        taken = [v for v in x[: i + 1].tolist() if v >= 0]
        v = float(x[i])
        poly = 2 * v + 2 * (v + 1) if v > 3 else -2 * v
        assert y[i] == sum(taken) + len(taken) + poly
        assert mean[i] == (sum(taken) / len(taken) if taken else 0)
