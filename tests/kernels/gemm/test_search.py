"""Shapes that the search tries fit the hardware, and it tells right from wrong."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import gemm_search
from emulator import H100

TILES = [*gemm_search.sgemm_tiles(), *gemm_search.hgemm_tiles()]


def test_every_shape_has_a_name_of_its_own():
    assert len({tile.name for tile in TILES}) == len(TILES)


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_a_shape_fits_an_sm_as_often_as_it_says(tile):
    assert tile.threads <= 1024
    assert tile.shared_bytes <= H100.max_shared_per_block
    assert tile.blocks_per_sm * (tile.shared_bytes + 1024) <= 228 << 10


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_product_is_judged_by_its_rounding(device, dtype):
    a, b, c = gemm_search.arrays(device, 9, 7, 300, dtype)
    right = device.to_host(a).astype(np.float64) @ device.to_host(b).astype(np.float64)
    verdict = gemm_search.judge(device, a, b, gemm_search.ends(9))
    c[...] = right.astype(dtype)
    assert verdict(c) is None
    c[8, 3] *= 1.01
    found = verdict(c)
    assert found is not None and "times the error that rounding explains" in found
    gemm_search.poison(c)
    assert verdict(c) is not None


def test_a_shape_that_does_not_compile_is_a_result():
    odd = gemm_search.HgemmTile(32, 64, 31, 32, 32, 3)
    name, fault, _ = gemm_search.compile_tile(odd)
    assert name == odd.name and fault is not None and "static assertion" in fault
