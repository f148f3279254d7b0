"""Lanes that work on one another's values, and atomics, against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

SHUFFLES = r"""
extern "C" __global__ void shuffles(const int* x, int* y, int b, int width) {
  int i = threadIdx.x, v = x[i];
  y[i] = __shfl_sync(~0u, v, b, width);
  y[i + 32] = __shfl_up_sync(~0u, v, b, width);
  y[i + 64] = __shfl_down_sync(~0u, v, b, width);
  y[i + 96] = __shfl_xor_sync(~0u, v, b, width);
}
extern "C" __global__ void scan(const int* x, int* y) {
  int v = x[threadIdx.x];
  for (int step = 1; step < 32; step *= 2) {
    int other = __shfl_up_sync(~0u, v, step);
    if (threadIdx.x >= step) v += other;
  }
  y[threadIdx.x] = v;
}
extern "C" __global__ void votes(const int* x, unsigned* y) {
  int i = threadIdx.x;
  if (i & 1) y[i + 32] = __activemask();
  __syncwarp();
  y[i] = __ballot_sync(~0u, x[i] > 0);
  y[64] = __any_sync(~0u, x[i] > 0);
  y[65] = __all_sync(~0u, x[i] > 0);
  y[i + 96] = __match_any_sync(~0u, x[i]);
  y[66] = __reduce_add_sync(~0u, x[i]);
  y[67] = __reduce_max_sync(~0u, x[i]);
  y[68] = __reduce_min_sync(~0u, x[i]);
}
"""
values = st.lists(st.integers(-3, 3), min_size=32, max_size=32)


@settings(max_examples=30)
@given(values, st.integers(0, 31), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_shuffles_in_segments(card, x, b, width):
    x = np.array(x, dtype=np.int32)
    y = np.zeros(128, dtype=np.int32)
    card.run(SHUFFLES, "shuffles", 1, 32, x, y, np.int32(b), np.int32(width))
    for i in range(32):
        low = i // width * width
        assert y[i] == x[low + b % width]
        assert y[i + 32] == (x[i - b] if i - b >= low else x[i])
        assert y[i + 64] == (x[i + b] if i + b < low + width else x[i])
        assert y[i + 96] == (x[i ^ b] if (i ^ b) < low + width else x[i])


@settings(max_examples=10)
@given(values)
def test_a_warp_scan(card, x):
    y = np.zeros(32, dtype=np.int32)
    card.run(SHUFFLES, "scan", 1, 32, np.array(x, dtype=np.int32), y)
    assert y.tolist() == np.cumsum(x).tolist()


@settings(max_examples=20)
@given(values)
def test_votes_matches_and_reductions(card, x):
    y = np.zeros(128, dtype=np.uint32)
    card.run(SHUFFLES, "votes", 1, 32, np.array(x, dtype=np.int32), y)
    positive = sum(1 << i for i, v in enumerate(x) if v > 0)
    assert (y[:32] == positive).all()
    assert y[64] == (positive != 0)
    assert y[65] == (positive == 0xFFFFFFFF)
    assert y[96:].tolist() == [sum(1 << j for j in range(32) if x[j] == v) for v in x]
    assert y[66:69].view(np.int32).tolist() == [sum(x), max(x), min(x)]
    assert y[33:64:2].tolist() == [0xAAAAAAAA] * 16


ATOMICS = r"""
extern "C" __global__ void histogram(const int* x, unsigned* bins, int n) {
  __shared__ unsigned mine[8];
  if (threadIdx.x < 8) mine[threadIdx.x] = 0;
  __syncthreads();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&mine[x[i] & 7], 1);
  __syncthreads();
  if (threadIdx.x < 8) atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}
extern "C" __global__ void kinds(int* y, float* f, unsigned long long* u) {
  int i = threadIdx.x;
  atomicMax(&y[0], i); atomicMin(&y[1], -i); atomicOr(&y[2], 1 << (i & 7)); atomicAnd(&y[3], ~i);
  atomicXor(&y[4], i); atomicInc((unsigned*)&y[5], 9); atomicDec((unsigned*)&y[6], 9);
  y[16 + i] = atomicExch(&y[7], i);
  atomicAdd(f, 0.5f); atomicAdd(u, 1ull << 33); atomicMax(u + 1, (unsigned long long)i << 40);
}
extern "C" __global__ void spin_lock(int* lock, int* total) {
  while (atomicCAS(lock, 0, 1) != 0) ;
  *(volatile int*)total = *(volatile int*)total + 1;
  __threadfence();
  atomicExch(lock, 0);
}
extern "C" __global__ void last_block(const int* x, int* part, int* done, int* total) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    part[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    last = atomicAdd(done, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    int sum = 0;
    for (int b = 0; b < gridDim.x; b++) sum += ((volatile int*)part)[b];
    *total = sum;
  }
}
extern "C" __global__ void chain(volatile int* turn, int* order) {
  if (threadIdx.x == 0) {
    while (*turn != gridDim.x - 1 - blockIdx.x) ;
    order[*turn] = blockIdx.x;
    __threadfence();
    *turn = *turn + 1;
  }
}
"""


@settings(max_examples=10)
@given(st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_a_privatised_histogram(card, n, seed):
    x = np.random.default_rng(seed).integers(0, 8, n, dtype=np.int32)
    bins = np.zeros(8, dtype=np.uint32)
    card.run(ATOMICS, "histogram", -(-n // 128), 128, x, bins, np.int32(n))
    assert bins.tolist() == np.bincount(x, minlength=8).tolist()


def test_every_kind_of_atomic(card):
    y = np.array([5, 0, 0, 255, 0, 0, 0, -1] + [0] * 72, dtype=np.int32)
    f, u = np.zeros(1, dtype=np.float32), np.zeros(2, dtype=np.uint64)
    card.run(ATOMICS, "kinds", 1, 64, y, f, u)
    every = np.bitwise_xor.reduce(np.arange(64))
    assert y[:5].tolist() == [63, -63, 255, 255 & ~63, every]
    assert y[5] == 64 % 10
    assert y[6] == 6
    assert sorted([*y[16:80].tolist(), int(y[7])]) == [-1, *range(64)]
    assert f[0] == 32
    assert u.tolist() == [64 << 33, 63 << 40]


def test_a_spin_lock_inside_a_warp_finishes(card):
    lock, total = np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32)
    card.run(ATOMICS, "spin_lock", 3, 64, lock, total)
    assert total[0] == 192


def test_the_last_block_sees_all_others(card):
    x = np.arange(500, dtype=np.int32)
    part, done, total = (np.zeros(n, dtype=np.int32) for n in (500, 1, 1))
    card.run(ATOMICS, "last_block", 500, 64, x, part, done, total)
    assert total[0] == x.sum()


def test_a_block_may_wait_for_a_later_one(card):
    turn, order = np.zeros(1, dtype=np.int32), np.full(40, -1, dtype=np.int32)
    card.run(ATOMICS, "chain", 40, 32, turn, order)
    assert order.tolist() == list(range(39, -1, -1))
