"""Launches that would never end stop with an error that names where every group waits."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import DeviceFault

STUCK = r"""
extern "C" __global__ void lock_never_released(int* lock, int* total) {
  while (atomicCAS(lock, 0, 1) != 0) ;
  *total += 1;
}
extern "C" __global__ void two_locks(int* locks, int* total) {
  int first = threadIdx.x / 32, second = 1 - first;
  if (threadIdx.x % 32) return;
  while (atomicCAS(&locks[first], 0, 1) != 0) ;
  while (atomicAdd(total, 0) < 0) ;
  __threadfence();
  atomicAdd(total, 1);
  while (*(volatile int*)total < 2) ;
  while (atomicCAS(&locks[second], 0, 1) != 0)
    __nanosleep(100);
  atomicExch(&locks[second], 0);
  atomicExch(&locks[first], 0);
}
extern "C" __global__ void some_never_come(int* y) {
  if (threadIdx.x < 96)
    asm volatile("bar.sync 2, 128;");
  y[threadIdx.x] = 1;
}
extern "C" __global__ void flag_never_set(volatile int* flag, int* y) {
  if (threadIdx.x >= 32) {
    while (*flag == 0) ;
  }
  __syncthreads();
  y[threadIdx.x] = 1;
}
extern "C" __global__ void timed(volatile int* flag, long long* y) {
  long long start = clock64();
  while (flag[threadIdx.x / 32] == 0) __nanosleep(10);
  y[threadIdx.x] = clock64() - start;
}
extern "C" __global__ void gives_up(volatile int* flag, long long* y) {
  long long start = clock64();
  while (*flag == 0 && clock64() - start < 30000000) ;
  y[threadIdx.x] = *flag;
}
extern "C" __global__ void lanes_never_come(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffffff, threadIdx.x, 3);
  __syncthreads();
}
extern "C" __global__ void for_ever(int* y) {
  for (;;) asm volatile("");
}
extern "C" __global__ void barriers_for_ever(int* y) {
  while (y[0] == 0) __syncthreads();
}
extern "C" __global__ void waits_for_a_later_block(volatile int* turn) {
  while (*turn != gridDim.x - 1 - blockIdx.x) ;
  __syncthreads();
  if (threadIdx.x == 0 && blockIdx.x != 5) *turn = *turn + 1;
}
"""


def stuck(card, name, grid, block, *arguments, **options):
    with pytest.raises(DeviceFault, match="deadlock in kernel") as caught:
        card.run(STUCK, name, grid, block, *arguments, **options)
    assert caught.value.finding.kind == "deadlock"
    return caught.value.finding


def zeros(n):
    return np.zeros(n, dtype=np.int32)


def line_of(text):
    return next(n for n, line in enumerate(STUCK.split("\n"), 1) if text in line)


@pytest.mark.parametrize("seed", [None, 1])
def test_a_lock_that_nobody_releases(card, seed):
    total = zeros(1)
    finding = stuck(card, "lock_never_released", 2, 64, zeros(1), total, seed=seed)
    assert f"127 threads spin at {finding.file}:{line_of('atomicCAS(lock')}" in finding.message
    assert "1 of 128 threads have exited" in finding.message
    assert finding.line == line_of("atomicCAS(lock")


def test_a_lock_that_nobody_releases_in_a_large_grid(card):
    finding = stuck(card, "lock_never_released", 150, 64, zeros(1), zeros(1))
    assert "9599 threads spin" in finding.message


def test_two_locks_taken_in_opposite_order(card):
    finding = stuck(card, "two_locks", 1, 64, zeros(2), zeros(1))
    assert f"2 threads spin at {finding.file}:{line_of('atomicCAS(&locks[second]')}" in (
        finding.message
    )


def test_a_barrier_that_some_never_reach(card):
    finding = stuck(card, "some_never_come", 1, 128, zeros(128))
    assert f"96 threads wait at barrier 2 ({finding.file}:{line_of('bar.sync 2')})" in (
        finding.message
    )
    assert "32 of 128 threads have exited" in finding.message


def test_a_flag_that_is_never_set(card):
    finding = stuck(card, "flag_never_set", 1, 96, zeros(1), zeros(96))
    assert f"64 threads spin at {finding.file}:{line_of('*flag == 0')}" in finding.message
    barrier = next(
        n for n, text in enumerate(STUCK.split("\n"), 1)
        if n > line_of("*flag == 0") and "__syncthreads" in text
    )  # fmt: skip
    assert f"32 threads wait at barrier 0 ({finding.file}:{barrier})" in finding.message


def test_a_flag_that_is_never_set_under_the_clock(card):
    finding = stuck(card, "timed", 1, 64, zeros(2), np.zeros(64, dtype=np.int64))
    assert f"64 threads spin at {finding.file}:{line_of('flag[threadIdx')}" in finding.message


def test_a_wait_that_gives_up_is_no_deadlock(card):
    y = np.full(32, -1, dtype=np.int64)
    card.run(STUCK, "gives_up", 1, 32, zeros(1), y)
    assert (y == 0).all()


def test_a_mask_whose_lanes_never_come(card):
    finding = stuck(card, "lanes_never_come", 1, 32, zeros(32))
    assert "16 threads wait for the lanes of mask 0xffffffff" in finding.message
    assert "16 threads wait at barrier 0" in finding.message


@pytest.mark.parametrize("name", ["for_ever", "barriers_for_ever"])
def test_a_loop_that_changes_nothing(card, name):
    finding = stuck(card, name, 3, 64, zeros(1))
    assert finding.kernel == name


def test_blocks_that_wait_for_a_block_that_forgot(card):
    finding = stuck(card, "waits_for_a_later_block", 40, 64, zeros(1))
    assert "5 blocks" in finding.message
    assert f"320 threads spin at {finding.file}:{line_of('gridDim.x - 1')}" in finding.message


def test_a_slow_launch_is_no_deadlock(card):
    source = r"""
    extern "C" __global__ void slow(volatile int* flag, int* y) {
      if (blockIdx.x == 0) { while (*flag == 0) ; y[0] = 1; return; }
      unsigned v = 1;
      for (int k = 0; k < 3000000; k++) { v = v * 1664525u + 1013904223u; asm volatile(""); }
      y[1] = v;
      *flag = 1;
    }
    """
    y = zeros(2)
    card.run(source, "slow", 2, 1, zeros(1), y)
    assert y[0] == 1
