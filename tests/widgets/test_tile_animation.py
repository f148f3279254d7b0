from __future__ import annotations

import numpy as np
import pytest

from emulator.counting.metrics import bytes_asked, thread_operations
from kernels.gemm import BY_NAME, Sizes, place, profile
from kernels.runtime import open_device
from widgets.tiling import TILINGS, Counts, block_counts, product_counts


@pytest.mark.parametrize("sizes", [(128, 128, 64), (130, 70, 37), (1, 1, 1), (33, 200, 8)])
@pytest.mark.parametrize("name", TILINGS)
def test_what_is_counted_is_what_the_software_gpus_counters_say(
    name: str, sizes: tuple[int, int, int]
) -> None:
    device = open_device("emulated")
    placed = place(device, BY_NAME[name], Sizes(*sizes), np.random.default_rng(1))
    counters = profile(device, BY_NAME[name].step, *placed.arrays).counters
    found = product_counts(TILINGS[name], Sizes(*sizes))
    assert found.from_global == counters[bytes_asked("ld")]
    assert found.from_shared == counters[bytes_asked("ld", "shared")]
    assert found.multiply_adds == counters[thread_operations("ffma")]


@pytest.mark.parametrize("name", TILINGS)
def test_blocks_add_up_to_the_product(name: str) -> None:
    tiling, sizes = TILINGS[name], Sizes(130, 300, 37)
    high, wide = tiling.grid(sizes)
    blocks = (
        block_counts(tiling, sizes, down, across, tiling.steps(sizes))
        for down in range(high)
        for across in range(wide)
    )
    assert sum(blocks, Counts()) == product_counts(tiling, sizes)
