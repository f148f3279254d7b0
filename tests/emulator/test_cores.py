"""Blocks on several host cores: the same bytes, the same errors, as on one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from emulator import DeviceFault, LaunchError, LaunchTimeout
from emulator.cores import blocks_are_alone

KERNELS = r"""
#include <cuda_fp16.h>
extern "C" __global__ void mix(const float* x, float* y, unsigned* bins, int n, int turns) {
  __shared__ float tile[128];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float v = i < n ? x[i] : 0.f;
  for (int k = 0; k < turns; k++) {
    tile[threadIdx.x] = v;
    __syncthreads();
    v = 0.75f * v + 0.25f * tile[(threadIdx.x + k) % 128] + __shfl_xor_sync(~0u, v, 1) * 1e-3f;
    __syncthreads();
  }
  if (i < n) y[i] = v;
  atomicAdd(&bins[(unsigned)i % 7u], 1u);
}
extern "C" __global__ void fails(int* y, int turns, int bad, int worse) {
  int v = blockIdx.x;
  for (int k = 0; k < turns; k++) { v = v * 3 + 1; asm volatile("" : "+r"(v)); }
  y[blockIdx.x] = v;
  if (blockIdx.x == bad) y[-1000000] = 1;
  if (blockIdx.x >= worse) __trap();
}
extern "C" __global__ void sticks(int* y, int turns, int bad) {
  int v = blockIdx.x;
  for (int k = 0; k < turns; k++) { v = v * 3 + 1; asm volatile("" : "+r"(v)); }
  y[blockIdx.x] = v;
  if (blockIdx.x >= bad && threadIdx.x < 32) asm volatile("bar.sync 1, 64;");
}
extern "C" __global__ void endless(unsigned* y, int turns) {
  unsigned v = blockIdx.x;
  for (int k = 0; k < turns; k++) { v = v * 3 + 1; asm volatile("" : "+r"(v)); }
  if (blockIdx.x > 100) while (v != 77) { v = v * 1664525u + 1013904223u; y[0] = v; }
}
extern "C" __global__ void ticket(int* y) { y[atomicAdd(y, 1)] = blockIdx.x; }
extern "C" __global__ void sums(float* y) { atomicAdd(y, 1.f / blockIdx.x); }
extern "C" __global__ void flags(volatile int* y) { while (!y[blockIdx.x]) ; }
extern "C" __global__ void fenced(int* y) { y[blockIdx.x] = 1; __threadfence(); y[0] = 2; }
extern "C" __global__ void clocks(long long* y) { y[blockIdx.x] = clock64(); }
extern "C" __global__ void prints(int* y) { printf("%d\n", y[0]); }
extern "C" __global__ void mixes(int* y) { atomicAnd(y, blockIdx.x); atomicOr(y, blockIdx.x); }
extern "C" __global__ void largest(int* y, const int* x) {
  __shared__ int mine;
  mine = 0; __syncthreads();
  if (atomicMax(&mine, x[threadIdx.x]) >= 0) __threadfence_block();
  __syncthreads();
  atomicMax(y, mine);
}
"""


@pytest.mark.parametrize(
    ("name", "alone"),
    [("mix", True), ("fails", True), ("largest", True), ("ticket", False), ("sums", False),
     ("flags", False), ("fenced", False), ("clocks", False), ("prints", False), ("mixes", False)],
)  # fmt: skip
def test_a_kernel_says_whether_its_blocks_are_alone(card, name, alone):
    assert blocks_are_alone(card.module(KERNELS)[name]) == alone


@pytest.fixture
def threads_started(monkeypatch):
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (started.append(thread), start(thread))
    )
    return started


def test_four_cores_give_the_bytes_of_one(card, threads_started):
    n = 128 * 3000 - 5
    x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    results = []
    for cores in (1, 4):
        y, bins = np.zeros(n, dtype=np.float32), np.zeros(7, dtype=np.uint32)
        arguments = (x, y, bins, np.int32(n), np.int32(20))
        card.run(KERNELS, "mix", 3000, 128, *arguments, cores=cores)
        results.append((y.tobytes(), bins.tolist()))
    assert results[0] == results[1]
    assert sum(results[0][1]) == 128 * 3000
    assert len(threads_started) == 4


@pytest.mark.parametrize("cores", [1, 4])
def test_the_lowest_block_that_fails_is_named(card, cores, threads_started):
    y = np.zeros(4000, dtype=np.int32)
    arguments = (y, np.int32(10000), np.int32(2500), np.int32(2501))
    with pytest.raises(DeviceFault) as caught:
        card.run(KERNELS, "fails", 4000, 1, *arguments, cores=cores)
    assert caught.value.finding.kind == "out-of-bounds write"
    assert caught.value.finding.block == (2500, 0, 0)
    v = 2499
    for _ in range(10000):
        v = v * 3 + 1 & 0xFFFFFFFF
    assert y[2499] == np.uint32(v).astype(np.int32)
    assert len(threads_started) == (cores if cores > 1 else 0)


def test_the_lowest_block_that_is_stuck_is_named(card):
    with pytest.raises(DeviceFault, match="32 threads wait at barrier 1") as caught:
        card.run(
            KERNELS, "sticks", 4000, 64, np.zeros(4000, dtype=np.int32), np.int32(10000),
            np.int32(3000), cores=3,
        )  # fmt: skip
    assert caught.value.finding.block == (3000, 0, 0)


def test_a_launch_on_several_cores_can_be_stopped(card):
    arguments = (np.zeros(1, dtype=np.int32), np.int32(100000))
    with pytest.raises(LaunchTimeout, match=r"of 4000 blocks had finished.*spin at .*kernel\.cu"):
        card.run(KERNELS, "endless", 4000, 1, *arguments, cores=3, timeout_s=0.5)

    def interrupt(finished: int, total: int) -> None:
        if finished > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        card.run(KERNELS, "endless", 4000, 1, *arguments, cores=3, progress=interrupt)
    assert threading.active_count() < 4 or not time.sleep(1)


def test_a_small_grid_stays_on_one_core(card, threads_started):
    y = np.zeros(10, dtype=np.int32)
    arguments = (y, np.int32(10), np.int32(-1), np.int32(100))
    card.run(KERNELS, "fails", 10, 1, *arguments, cores=4)
    assert threads_started == []


def test_no_cores_are_refused(card):
    with pytest.raises(LaunchError, match="cores is 0"):
        card.run(KERNELS, "clocks", 1, 1, np.zeros(1, dtype=np.int64), cores=0)
