"""Modelled times of FP32 arithmetic: chains wait, and other chains or warps fill the waits."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import H100

CHAINS = r"""
template <int CHAINS> __device__ void chains(const float* by, float* y, int rounds) {
  float x[CHAINS], a = by[0];
#pragma unroll
  for (int k = 0; k < CHAINS; ++k) x[k] = k;
#pragma unroll 1
  for (int round = 0; round < rounds; ++round)
#pragma unroll
    for (int step = 0; step < 32; ++step)
#pragma unroll
      for (int k = 0; k < CHAINS; ++k) x[k] = x[k] * a + a;
  float sum = 0;
  for (int k = 0; k < CHAINS; ++k) sum += x[k];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
extern "C" __global__ void chains1(const float* a, float* y, int n) { chains<1>(a, y, n); }
extern "C" __global__ void chains2(const float* a, float* y, int n) { chains<2>(a, y, n); }
extern "C" __global__ void chains4(const float* a, float* y, int n) { chains<4>(a, y, n); }
extern "C" __global__ void chains8(const float* a, float* y, int n) { chains<8>(a, y, n); }
"""
ROUNDS = 100


def clocks_a_step(card, chains: int, warps: int) -> float:
    """Modelled clocks of one block for one FFMA of every chain of every warp."""
    y = np.zeros(32 * warps, dtype=np.float32)
    report = card.run(
        CHAINS, f"chains{chains}", 1, 32 * warps, np.zeros(1, np.float32), y, np.int32(ROUNDS),
        counters=True,
    )  # fmt: skip
    most = max(us for name, us in report.bounds.items() if name not in ("dram", "latency"))
    return most * 1e-6 * H100.clock_hz / (32 * ROUNDS)


@pytest.mark.parametrize(
    ("chains", "warps", "clocks"),
    [
        (1, 1, 4),  # an FFMA waits for the one before
        (4, 1, 4),  # three more fill the wait
        (8, 1, 8),  # a scheduler issues one a clock
        (1, 4, 4),  # a warp for each scheduler
        (1, 16, 4),  # four for each: TLP in place of ILP
        (2, 8, 4),  # or two and two
        (4, 16, 16),  # all four schedulers busy
    ],
)
def test_an_sm_is_full_by_warps_or_by_chains(card, chains, warps, clocks):
    assert clocks_a_step(card, chains, warps) == pytest.approx(clocks, rel=0.1)
