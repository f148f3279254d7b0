"""Barriers of a block and of a warp: who waits for whom, and what they reduce."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BLOCK_WIDE = r"""
extern "C" __global__ void reduce(const int* x, int* count, int* all, int* any, int n) {
  int i = threadIdx.x;
  if (i >= n) return;
  count[i] = __syncthreads_count(x[i]);
  all[i] = __syncthreads_and(x[i]);
  any[i] = __syncthreads_or(x[i]);
}
extern "C" __global__ void count_in_a_loop(int* y) {
  int total = 0;
  for (int k = 0; k < 20; k++) total += k * __syncthreads_count((threadIdx.x + k) % 3 == 0);
  y[threadIdx.x] = total;
}
extern "C" __global__ void half(int* y) {  // two halves of a block, each at its own barrier
  int half = threadIdx.x / 64, number = 1 + half, result;
  __shared__ int box[128];
  for (int k = 0; k < 4 + half; k++) {
    box[threadIdx.x] = k * 100 + threadIdx.x;
    asm volatile("barrier.cta.sync %0, 64;" :: "r"(number) : "memory");
    y[threadIdx.x] += box[threadIdx.x ^ 63];
    asm volatile("{ .reg .pred p; setp.lt.s32 p, %2, %3;\n"
                 "  barrier.cta.red.popc.u32 %0, %1, 64, p; }"
                 : "=r"(result) : "r"(number), "r"((int)threadIdx.x), "r"(70) : "memory");
    y[threadIdx.x + 128] = result;
  }
}
extern "C" __global__ void lanes_apart(int* y) {  // even lanes at one barrier, odd ones at another
  __shared__ int box[64];
  int i = threadIdx.x;
  box[i] = i;
  asm volatile("barrier.sync %0, 32;" :: "r"(i % 2 + 4) : "memory");
  y[i] = box[(i + 32) % 64];
}
extern "C" __global__ void either_side(int* y) {
  __shared__ int box[64];
  int i = threadIdx.x;
  if (i % 2) { box[i] = 1; __syncthreads(); y[i] = box[i ^ 1]; }
  else { box[i] = 2; __syncthreads(); y[i] = box[i ^ 1]; }
}
extern "C" __global__ void last_warp_is_small(int* y) {
  __shared__ int box;
  if (threadIdx.x < 32) { box = 7; asm volatile("bar.arrive 1, 64;" ::: "memory"); }
  else { asm volatile("bar.sync 1, 64;" ::: "memory"); y[threadIdx.x - 32] = box; }
}
extern "C" __global__ void ring(int* y) {  // producer and consumer warps, two buffers
  __shared__ int buffer[2][32];
  int lane = threadIdx.x % 32, producer = threadIdx.x < 32;
  for (int k = 0; k < 10; k++) {
    int b = k % 2;
    if (producer) {
      if (k >= 2) asm volatile("barrier.cta.sync.aligned %0, 64;" :: "r"(3 + b) : "memory");
      buffer[b][lane] = 1000 * k + lane;
      asm volatile("barrier.cta.arrive.aligned %0, 64;" :: "r"(1 + b) : "memory");
    } else {
      asm volatile("barrier.cta.sync.aligned %0, 64;" :: "r"(1 + b) : "memory");
      y[k * 32 + lane] = buffer[b][31 - lane];
      if (k < 8) asm volatile("barrier.cta.arrive.aligned %0, 64;" :: "r"(3 + b) : "memory");
    }
  }
}
"""


@settings(max_examples=15)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=130), st.integers(0, 40))
def test_a_barrier_counts_the_threads_that_say_yes(card, x, gone):
    threads = len(x) + gone
    x = np.array(x, dtype=np.int32)
    n = len(x)
    count, every, some = (np.full(n, -1, dtype=np.int32) for _ in range(3))
    card.run(BLOCK_WIDE, "reduce", 1, threads, x, count, every, some, np.int32(n))
    assert (count == np.count_nonzero(x)).all()
    assert (every.astype(bool) == x.all()).all()
    assert (some.astype(bool) == x.any()).all()


def test_counts_in_a_loop(card):
    y = np.zeros(96, dtype=np.int32)
    card.run(BLOCK_WIDE, "count_in_a_loop", 2, 96, y)
    expected = sum(k * sum((i + k) % 3 == 0 for i in range(96)) for k in range(20))
    assert (y == expected).all()


def test_halves_of_a_block_wait_at_barriers_of_their_own(card):
    y = np.zeros(256, dtype=np.int32)
    card.run(BLOCK_WIDE, "half", 1, 128, y)
    for i in range(128):
        turns = 4 + i // 64
        assert y[i] == sum(k * 100 + (i ^ 63) for k in range(turns))
    assert y[128:].tolist() == [64] * 64 + [6] * 64


def test_lanes_of_a_warp_wait_at_different_barriers(card):
    y = np.zeros(64, dtype=np.int32)
    card.run(BLOCK_WIDE, "lanes_apart", 1, 64, y)
    assert y.tolist() == [(i + 32) % 64 for i in range(64)]


def test_threads_meet_at_barriers_on_either_side_of_a_branch(card):
    y = np.zeros(64, dtype=np.int32)
    card.run(BLOCK_WIDE, "either_side", 1, 64, y)
    assert y.tolist() == [1, 2] * 32


def test_a_small_last_warp_counts_as_a_warp(card):
    y = np.zeros(8, dtype=np.int32)
    card.run(BLOCK_WIDE, "last_warp_is_small", 1, 40, y)
    assert (y == 7).all()


def test_producer_and_consumer_warps_pass_two_buffers(card):
    y = np.zeros(320, dtype=np.int32)
    card.run(BLOCK_WIDE, "ring", 3, 64, y)
    assert y.tolist() == [1000 * k + 31 - lane for k in range(10) for lane in range(32)]


WARP_WIDE = r"""
extern "C" __global__ void from_either_side(int* y) {
  __shared__ volatile int box[32];
  int i = threadIdx.x;
  if (i < 16) {
    for (int k = 0; k < 50; k++) box[i] = k;
    __syncwarp();
    y[i] = box[i + 16];
  } else {
    __syncwarp();
    box[i] = box[i - 16] + 1;
    y[i] = box[i];
  }
}
extern "C" __global__ void pairs(int* y) {  // lane 0 of a pair waits for lane 1, pair by pair
  __shared__ volatile int box[32];
  int i = threadIdx.x;
  unsigned pair = 3u << (i & ~1);
  if (i & 1) {
    box[i] = 100 + i;
    __syncwarp(pair);
    __syncwarp(pair);
    y[i] = box[i ^ 1];
  } else {
    __syncwarp(pair);
    box[i] = box[i ^ 1] + 1000;
    __syncwarp(pair);
    y[i] = box[i];
  }
}
extern "C" __global__ void waits_for_the_slow(volatile int* flag, int* y) {
  int i = threadIdx.x, v = i;
  if (i == 5) { while (*flag == 0) ; v = 500; }   // lane 6 sets the flag
  else if (i == 6) { for (int k = 0; k < 30; k++) v += y[40 + k]; *flag = 1; }
  y[i] = __shfl_sync(0xffffffffu, v, 5);
}
extern "C" __global__ void half_a_vote(unsigned* y) {
  int i = threadIdx.x;
  if (i >= 30) return;
  unsigned mask = i < 10 ? 0x3ffu : 0xfffffc00u;   // the second names lanes that have exited
  y[i] = __ballot_sync(mask, i % 2);
  y[i + 32] = __reduce_add_sync(mask, i);
  y[i + 64] = __match_any_sync(mask, i % 3);
  y[i + 96] = __all_sync(mask, i < 10);
}
extern "C" __global__ void labelled(const int* x, int* y) {
  unsigned same = __match_any_sync(~0u, x[threadIdx.x]);
  y[threadIdx.x] = __reduce_add_sync(same, threadIdx.x);
  y[threadIdx.x + 32] = __reduce_max_sync(same, threadIdx.x);
}
extern "C" __global__ void exit_while_others_wait(volatile int* flag, int* y) {
  int i = threadIdx.x;
  if (i == 31) { while (*flag == 0) ; return; }
  if (i == 30) { *flag = 1; y[0] = 1; return; }
  y[i] = __shfl_sync(~0u, i, 29);
}
extern "C" __global__ void predicated(int* y) {
  int i = threadIdx.x, v = -1;
  asm volatile("{ .reg .pred p; setp.lt.u32 p, %1, 8;\n"
               "@p shfl.sync.idx.b32 %0, %1, 3, 31, 255; }" : "+r"(v) : "r"(i));
  y[i] = v;
}
"""


def test_lanes_meet_from_either_side_of_a_branch(card):
    y = np.zeros(32, dtype=np.int32)
    card.run(WARP_WIDE, "from_either_side", 1, 32, y)
    assert y[16:].tolist() == [50] * 16


def test_pairs_of_lanes_meet_without_the_rest(card):
    y = np.zeros(32, dtype=np.int32)
    card.run(WARP_WIDE, "pairs", 1, 32, y)
    assert y.tolist() == [1100 + (i | 1) for i in range(32)]


def test_a_shuffle_waits_for_a_lane_that_spins(card):
    flag, y = np.zeros(1, dtype=np.int32), np.zeros(80, dtype=np.int32)
    card.run(WARP_WIDE, "waits_for_the_slow", 1, 32, flag, y)
    assert (y[:32] == 500).all()


def test_votes_and_reductions_are_those_of_each_mask(card):
    y = np.zeros(128, dtype=np.uint32)
    card.run(WARP_WIDE, "half_a_vote", 1, 32, y)
    for i in range(30):
        mates = range(10) if i < 10 else range(10, 30)
        assert y[i] == sum(1 << j for j in mates if j % 2)
        assert y[i + 32] == sum(mates)
        assert y[i + 64] == sum(1 << j for j in mates if j % 3 == i % 3)
        assert y[i + 96] == (i < 10)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 5), min_size=32, max_size=32))
def test_lanes_grouped_by_a_label_reduce_on_their_own(card, x):
    y = np.zeros(64, dtype=np.int32)
    card.run(WARP_WIDE, "labelled", 1, 32, np.array(x, dtype=np.int32), y)
    for i in range(32):
        mates = [j for j in range(32) if x[j] == x[i]]
        assert y[i] == sum(mates)
        assert y[i + 32] == max(mates)


def test_a_shuffle_waits_no_longer_for_lanes_that_exit(card):
    flag, y = np.zeros(1, dtype=np.int32), np.zeros(32, dtype=np.int32)
    card.run(WARP_WIDE, "exit_while_others_wait", 1, 32, flag, y)
    assert y[1:30].tolist() == [29] * 29


def test_a_predicated_shuffle_is_of_the_lanes_it_holds_for(card):
    y = np.zeros(32, dtype=np.int32)
    card.run(WARP_WIDE, "predicated", 1, 32, y)
    assert y.tolist() == [3] * 8 + [-1] * 24


@pytest.mark.parametrize("threads", [20, 32, 45])
def test_a_warp_may_lack_lanes(card, threads):
    y = np.zeros(threads, dtype=np.int32)
    source = r"""
    extern "C" __global__ void sum(int* y) {
      int v = threadIdx.x;
      for (int step = 16; step > 0; step /= 2) {
        int from = threadIdx.x % 32 + step;
        int other = __shfl_down_sync(~0u, v, step);
        if (from < blockDim.x - threadIdx.x / 32 * 32 && from < 32) v += other;
      }
      y[threadIdx.x] = v;
    }
    """
    card.run(source, "sum", 1, threads, y)
    assert y[0] == sum(range(min(threads, 32)))
