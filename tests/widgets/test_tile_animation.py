from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.counting.metrics import bytes_asked, thread_operations
from kernels.gemm import BY_NAME, Sizes, place, profile
from kernels.runtime import open_device
from widgets import tile_animation
from widgets.picture import WIDTH
from widgets.tile_animation import OWN
from widgets.tile_picture import HEIGHT, LEAST, scene
from widgets.tiling import REGISTER, TILINGS, Counts, block_counts, product_counts


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


def test_moving_the_step_counts_on() -> None:
    widget = tile_animation(64, 96, 128)
    first, whole = widget.counts()
    assert widget.step.max == 3 and widget.block.max == 5
    widget.step.value = 3
    last, _ = widget.counts()
    assert last.flops == 4 * first.flops and 6 * last.flops == whole.flops
    assert f"{last.from_global:,}\u00a0B" in widget.numbers.value


def test_a_tile_of_ones_own() -> None:
    widget = tile_animation(256, 256, 64)
    widget.kernel.value = OWN
    widget.edge.value, widget.sums.value, widget.depth.value = 128, 8, 8
    assert widget.tiling.threads == 256 and widget.tiling.shared_bytes == REGISTER.shared_bytes
    assert widget.counts()[1] == product_counts(REGISTER, Sizes(256, 256, 64))


@given(
    st.sampled_from(list(TILINGS)), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300)
)
def test_what_is_drawn_lies_in_the_picture(name: str, m: int, n: int, k: int) -> None:
    sizes, tiling = Sizes(m, n, k), TILINGS[name]
    high, wide = tiling.grid(sizes)
    drawn = scene(tiling, sizes, high - 1, wide - 1, tiling.steps(sizes) - 1)
    for one in drawn.rects:
        assert one.x >= 0 and one.x + one.width <= WIDTH + LEAST
        assert one.y >= 0 and one.y + one.height <= HEIGHT + LEAST


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="one of sgemm_naive"):
        tile_animation(tile="sgemm_best")
    with pytest.raises(ValueError, match="at least 1"):
        tile_animation(0, 1, 1)


def test_without_a_kernel_it_is_a_picture() -> None:
    html = tile_animation()._repr_mimebundle_()["text/html"]
    assert html.count("<svg") == 1 and "sgemm_naive" in html
