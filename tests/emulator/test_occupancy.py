"""Occupancy against what NVIDIA's calculator and programming guide say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import A100, H100
from emulator.occupancy import occupancy

KIB = 1 << 10


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "blocks", "limiter"),
    [
        (256, 32, 0, 8, "warps"),  # 2,048 threads
        (256, 33, 0, 6, "registers"),  # 40 registers: 12 warps a quarter of the SM
        (256, 64, 0, 4, "registers"),
        (512, 64, 0, 2, "registers"),  # the guide's example: 2 x 512 x 64 = 65,536 registers
        (512, 65, 0, 1, "registers"),  # and with one register more, one block
        (256, 128, 0, 2, "registers"),
        (256, 255, 0, 1, "registers"),
        (1024, 32, 0, 2, "warps"),
        (1024, 64, 0, 1, "registers"),
        (32, 16, 0, 32, "blocks"),  # half the warps stay empty
        (96, 16, 0, 21, "warps"),
        (128, 32, 48 * KIB, 4, "shared memory"),  # 4 x 49 KiB of 228
        (128, 32, 100 * KIB, 2, "shared memory"),
        (128, 32, 227 * KIB, 1, "shared memory"),
        (64, 32, 6 * KIB, 32, "warps"),  # 32 x 7 KiB = 224
        (64, 32, 7 * KIB, 28, "shared memory"),
    ],
)
def test_blocks_an_h100_s_sm_holds(threads, registers, shared, blocks, limiter):
    found = occupancy(H100, threads, 10_000, shared, registers)
    assert found.blocks_per_sm == blocks
    assert found.limiter == limiter
    assert found.warps_per_sm == blocks * -(-threads // 32)
    assert found.theoretical == found.warps_per_sm / 64


def test_an_a100_has_less_shared_memory():
    assert occupancy(A100, 128, 1000, 48 * KIB).blocks_per_sm == 3
    assert occupancy(H100, 128, 1000, 48 * KIB).blocks_per_sm == 4


@given(st.integers(1, 1024), st.integers(16, 255), st.integers(0, 227 * KIB), st.integers(1, 10**6))
def test_what_is_held_fits_and_one_block_more_does_not(threads, registers, shared, blocks):
    found = occupancy(H100, threads, blocks, shared, registers)
    warps = -(-threads // 32)
    a_warp = -(-registers * 32 // 256) * 256

    def fits(count: int) -> bool:
        quarters = -(-count * warps // 4)  # warps in the fullest quarter
        return (
            count <= 32
            and count * warps <= 64
            and count * (shared + KIB) <= 228 * KIB + 128 * count
            and quarters * a_warp <= 16384
        )

    assert fits(found.blocks_per_sm) or found.blocks_per_sm == 1
    assert not fits(found.blocks_per_sm + 1) or found.limiter == "shared memory"
    assert 0 < found.achieved <= found.theoretical <= 1
    assert found.carveout_bytes >= min(found.blocks_per_sm * shared, 228 * KIB)


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "advice"),
    [
        (256, 33, 0, "32 registers a thread"),  # 8 blocks of 32 registers; 7 would not divide
        (128, 32, 100 * KIB, "76,"),
        (32, 16, 0, "more threads"),
        (256, 32, 0, ""),
    ],
)
def test_advice_says_what_lets_one_block_more_in(threads, registers, shared, advice):
    found = occupancy(H100, threads, 10_000, shared, registers)
    assert advice in found.advice
    if advice == "":
        assert found.advice == ""


def test_the_last_wave_may_be_partly_empty():
    whole = occupancy(H100, 1024, 264)
    assert whole.waves == 1
    assert whole.achieved == whole.theoretical == 1
    tail = occupancy(H100, 1024, 265)
    assert tail.achieved == pytest.approx(265 / 528)


KERNEL = """
extern "C" __global__ void tile(float* y) {
  __shared__ float space[25600];
  space[threadIdx.x] = threadIdx.x;
  __syncthreads();
  y[blockIdx.x * blockDim.x + threadIdx.x] = space[threadIdx.x ^ 1];
}
"""


def test_a_report_says_its_launch_s_occupancy(card):
    y = np.zeros(256, dtype=np.float32)
    source = KERNEL.replace("25600", "11776")  # 46 KiB
    report = card.run(source, "tile", 2, 128, y, counters=True)
    assert report.occupancy.blocks_per_sm == 4
    assert report.occupancy.limiter == "shared memory"
    assert report.counters["launch__occupancy_limit_shared_mem"] == 4
    assert "limited by shared memory" in str(report)
