"""Threads that wait for one another by their own means: locks, flags, counters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WAITING = r"""
extern "C" __global__ void lane_lock(int* lock, int* total) {
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *(volatile int*)total = *(volatile int*)total + 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}
extern "C" __global__ void ticket_lock(unsigned* tickets, volatile unsigned* serving, int* log) {
  unsigned mine = atomicAdd(tickets, 1);
  while (*serving != mine) __nanosleep(20);
  log[mine] = blockIdx.x * blockDim.x + threadIdx.x;
  __threadfence();
  *serving = mine + 1;
}
extern "C" __global__ void pipeline(volatile int* ready, int* box, int* y, int turns) {
  __shared__ volatile int full[2];
  __shared__ int buffer[2][32];
  int lane = threadIdx.x % 32;
  if (threadIdx.x < 2) full[threadIdx.x] = 0;
  __syncthreads();
  for (int k = 0; k < turns; k++) {
    int b = k % 2;
    if (threadIdx.x < 32) {
      if (lane == 0) while (full[b]) ;
      __syncwarp();
      buffer[b][lane] = k * lane;
      __threadfence_block();
      __syncwarp();
      if (lane == 0) full[b] = 1;
    } else {
      if (lane == 0) while (!full[b]) ;
      __syncwarp();
      y[k * 32 + lane] = buffer[b][lane];
      __syncwarp();
      if (lane == 0) full[b] = 0;
    }
  }
}
extern "C" __global__ void last_block(const int* x, int* part, unsigned* done, int* total, int n) {
  __shared__ int sum;
  __shared__ bool last;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&sum, x[i]);
  __syncthreads();
  if (threadIdx.x == 0) {
    part[blockIdx.x] = sum;
    __threadfence();
    last = atomicInc(done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last) {
    int mine = 0;
    for (int b = threadIdx.x; b < gridDim.x; b += blockDim.x) mine += ((volatile int*)part)[b];
    atomicAdd(total, mine);
  }
}
// Decoupled look-back (Merrill and Garland, 2016): state 1 is a block's own sum, 2 all up to it.
extern "C" __global__ void scan(const int* x, int* y, volatile long long* state, int* ticket,
                                int n) {
  __shared__ int block, before, sums[128];
  int t = threadIdx.x;
  if (t == 0) block = atomicAdd(ticket, 1);
  __syncthreads();
  int i = block * 128 + t;
  sums[t] = i < n ? x[i] : 0;
  for (int step = 1; step < 128; step *= 2) {
    __syncthreads();
    int v = t >= step ? sums[t - step] : 0;
    __syncthreads();
    sums[t] += v;
  }
  __syncthreads();
  if (t == 0) {
    int own = sums[127], sum = 0;
    state[block] = ((long long)own << 32) | (block ? 1 : 2);
    for (int b = block - 1; b >= 0; ) {
      long long s = state[b];
      if ((s & 3) == 0) continue;
      sum += (int)(s >> 32);
      if ((s & 3) == 2) break;
      b--;
    }
    if (block) state[block] = ((long long)(sum + own) << 32) | 2;
    before = sum;
  }
  __syncthreads();
  if (i < n) y[i] = before + sums[t];
}
extern "C" __global__ void order(int* log, int* next) {
  if (threadIdx.x % 32 == 0) {
    int at = atomicAdd(next, 1);
    log[at] = blockIdx.x * 100 + threadIdx.x / 32;
  }
}
extern "C" __global__ void missing_barrier(int* y) {
  __shared__ int box[128];
  box[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = box[127 - threadIdx.x];
}
extern "C" __global__ void times(long long* y, unsigned* z) {
  long long start = clock64();
  unsigned long long ns, later;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
  unsigned before = clock();
  int v = 1;
  #pragma unroll 1
  for (int k = 0; k < 1000; k++) { v = v * 3 + 1; asm volatile("" : "+r"(v)); }
  y[0] = clock64() - start;
  z[0] = clock() - before;
  __nanosleep(5000);
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(later));
  y[1] = later - ns;
  y[2] = v;
}
extern "C" __global__ void until(long long* turns) {
  long long start = clock64(), n = 0;
  while (clock64() - start < 20000) n++;
  *turns = n;
}
"""

seeds = st.one_of(st.none(), st.integers(0, 2**32 - 1))


def zeros(n, kind=np.int32):
    return np.zeros(n, dtype=kind)


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_every_lane_gets_the_lock_once(card, seed):
    total = zeros(1)
    card.run(WAITING, "lane_lock", 3, 64, zeros(1), total, seed=seed)
    assert total[0] == 192


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_tickets_are_served_in_turn(card, seed):
    log = np.full(192, -1, dtype=np.int32)
    card.run(WAITING, "ticket_lock", 3, 64, zeros(1), zeros(1), log, seed=seed)
    assert sorted(log.tolist()) == list(range(192))


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_warps_pass_buffers_by_flags(card, seed):
    y = zeros(20 * 32)
    card.run(WAITING, "pipeline", 1, 64, zeros(1), zeros(1), y, np.int32(20), seed=seed)
    assert y.tolist() == [k * lane for k in range(20) for lane in range(32)]


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(1, 5000))
def test_the_last_block_adds_up(card, seed, n):
    x = np.arange(n, dtype=np.int32)
    total, blocks = zeros(1), -(-n // 128)
    card.run(
        WAITING, "last_block", blocks, 128, x, zeros(blocks), zeros(1), total, np.int32(n),
        seed=seed,
    )  # fmt: skip
    assert total[0] == x.sum()


@settings(max_examples=8, deadline=None)
@given(seeds, st.integers(1, 20000))
def test_a_scan_looks_back(card, seed, n):
    x = np.random.default_rng(n).integers(-100, 100, n, dtype=np.int32)
    y, blocks = zeros(n), -(-n // 128)
    card.run(
        WAITING, "scan", blocks, 128, x, y, zeros(blocks, np.int64), zeros(1), np.int32(n),
        seed=seed,
    )  # fmt: skip
    assert y.tolist() == np.cumsum(x).tolist()


def ordered(card, seed):
    log = np.full(8 * 4, -1, dtype=np.int32)
    card.run(WAITING, "order", 8, 128, log, zeros(1), seed=seed)
    assert sorted(log.tolist()) == [b * 100 + w for b in range(8) for w in range(4)]
    return log.tolist()


def test_a_seed_shuffles_blocks_and_warps_always_the_same_way(card):
    assert ordered(card, None) == [b * 100 + w for b in range(8) for w in range(4)]
    runs = [ordered(card, seed) for seed in (1, 2, 3)]
    assert runs == [ordered(card, seed) for seed in (1, 2, 3)]
    assert len({tuple(run) for run in runs}) == 3


def test_seeds_show_that_a_barrier_is_missing(card):
    def outcome(seed):
        y = zeros(128)
        card.run(WAITING, "missing_barrier", 1, 128, y, seed=seed)
        return tuple(y.tolist())

    assert len({outcome(seed) for seed in range(8)}) > 1


def test_clocks_advance(card):
    y, z = zeros(3, np.int64), zeros(1)
    card.run(WAITING, "times", 1, 1, y, z)
    assert 4_000 < y[0] < 100_000  # cycles of a thousand turns
    assert 4_000 < z[0] <= y[0]
    assert 5_000 + y[0] // 4 < y[1] < 100_000  # ns, with the nap


def test_a_loop_may_wait_for_time_to_pass(card):
    turns = zeros(1, np.int64)
    card.run(WAITING, "until", 1, 1, turns)
    assert 10 < turns[0] < 2_000


@pytest.mark.parametrize("seed", [None, 3])
def test_a_block_may_wait_for_one_that_starts_later(card, seed):
    source = r"""
    extern "C" __global__ void backwards(volatile int* turn, int* log) {
      if (threadIdx.x == 0) {
        while (*turn != gridDim.x - 1 - blockIdx.x) __nanosleep(100);
        log[*turn] = blockIdx.x;
        *turn = *turn + 1;
      }
    }
    """
    log = zeros(200)
    card.run(source, "backwards", 200, 32, zeros(1), log, seed=seed)
    assert log.tolist() == list(range(199, -1, -1))
