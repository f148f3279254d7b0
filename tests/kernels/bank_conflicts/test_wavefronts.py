"""Wavefronts and bank conflicts, as the topic's theory gives them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.bank_conflicts import (
    BY_NAME,
    broadcast,
    column,
    permuted,
    place,
    profile,
    read_shared,
    scattered,
    strided,
)
from kernels.bank_conflicts.patterns import LOADS, WIDTHS, table_elements


def of(what: str, direction: str) -> str:
    return {
        "instructions": f"smsp__inst_executed_op_shared_{direction}.sum",
        "wavefronts": f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{direction}.sum",
        "conflicts": f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{direction}.sum",
    }[what]


def a_load(device, places, width) -> float:
    """Wavefronts of one load."""
    table = device.empty(table_elements(width) * width // 4, np.uint32)
    table[...] = 0
    out = device.empty(64 * width // 4, np.uint32)
    found = profile(device, read_shared, table, device.asarray(places), out, width, 3).counters
    loads = found[of("instructions", "ld")]
    assert loads == 8 * LOADS * 3  # 8 warps, 3 rounds
    wavefronts = found[of("wavefronts", "ld")]
    free = width // 4 if len(set(places.tolist())) == 32 else None
    if free is not None:
        assert found[of("conflicts", "ld")] == wavefronts - free * loads
    return wavefronts / loads


def counters(device, name, sizes, data=None):
    entry = BY_NAME[name]
    placed = place(device, entry, sizes, rng=np.random.default_rng(0), inputs=data)
    return profile(device, entry.step, *placed.on_device, placed.output).counters


@pytest.mark.parametrize(
    ("stride", "wavefronts"),
    [(0, 1), (1, 1), (2, 2), (3, 1), (4, 4), (6, 2), (8, 8), (16, 16), (31, 1), (32, 32), (33, 1)],
)
def test_a_stride_of_words_conflicts_by_its_factor_of_two(device, stride, wavefronts):
    assert a_load(device, strided(stride), 4) == wavefronts


@pytest.mark.parametrize(
    ("width", "stride", "wavefronts"),
    [(8, 1, 2), (8, 2, 4), (8, 3, 2), (8, 16, 32), (16, 1, 4), (16, 2, 8), (16, 3, 4), (16, 8, 32)],
)
def test_wider_lanes_take_a_wavefront_for_each_128_bytes_when_free(
    device, width, stride, wavefronts
):
    assert a_load(device, strided(stride), width) == wavefronts


@pytest.mark.parametrize("width", WIDTHS)
def test_a_permutation_costs_no_more_than_the_order_itself(device, width):
    in_rows_of_a_group = [permuted(seed) for seed in range(3)]
    for places in in_rows_of_a_group if width == 4 else [strided(1, 5), strided(31)]:
        assert a_load(device, places, width) == width // 4


@pytest.mark.parametrize(("width", "wavefronts"), [(4, 1), (8, 1), (16, 2)])
def test_a_broadcast_is_free(device, width, wavefronts):
    assert a_load(device, broadcast(), width) == wavefronts


def test_a_column_of_a_tile_is_the_worst_case_until_it_is_padded_or_swizzled(device):
    assert a_load(device, column(32), 4) == 32
    assert a_load(device, column(33), 4) == 1
    for at in (0, 1, 13, 31):
        assert a_load(device, column(32, at, swizzled=True), 4) == 1


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_chance_costs_the_most_words_that_meet_in_a_bank(device, seed):
    places = scattered(seed)
    words = np.unique(places)
    assert a_load(device, places, 4) == np.bincount(words % 32).max()


# --- transposes: 256 x 192 has 1536 rows of tiles' 32 floats -------------------------------------

SHAPE = (256, 192)
ROWS_OF_32 = 256 * 192 / 32


@pytest.mark.parametrize(
    ("name", "wavefronts"),
    [("transpose_tiled", 32), ("transpose_padded", 1), ("transpose_swizzled", 1),
     ("transpose_best", 1)],
)  # fmt: skip
def test_a_transpose_reads_32_floats_of_its_tile_in(device, name, wavefronts):
    found = counters(device, name, SHAPE)
    assert found[of("wavefronts", "ld")] == wavefronts * ROWS_OF_32
    assert found[of("conflicts", "ld")] == (wavefronts - 1) * ROWS_OF_32
    assert found[of("wavefronts", "st")] == ROWS_OF_32
    assert found[of("conflicts", "st")] == 0


@pytest.mark.parametrize("shape", [(256, 190), (254, 192), (254, 190), (255, 191)])
def test_the_best_transpose_never_conflicts_wherever_rows_begin(device, shape):
    found = counters(device, "transpose_best", shape)
    for direction in ("ld", "st"):
        assert found[of("conflicts", direction)] == 0


def test_the_naive_transpose_touches_a_sector_a_float(device):
    found = counters(device, "transpose_naive", SHAPE)
    ratio = "l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_{}.ratio"
    assert (found[ratio.format("ld")], found[ratio.format("st")]) == (4, 32)


@pytest.mark.parametrize("name", ["transpose_tiled", "transpose_swizzled", "transpose_best"])
def test_a_transpose_by_tiles_moves_each_sector_once(device, name):
    found = counters(device, name, SHAPE)
    for direction in ("ld", "st"):
        sectors = found[f"l1tex__t_sectors_pipe_lsu_mem_global_op_{direction}.sum"]
        assert sectors == 256 * 192 / 8


def test_the_best_transpose_makes_a_quarter_of_the_requests(device):
    requests = "l1tex__t_requests_pipe_lsu_mem_global_op_ld.sum"
    best, plain = (counters(device, f"transpose_{n}", SHAPE)[requests] for n in ("best", "tiled"))
    assert 4 * best == plain


# --- sums and histograms ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wavefronts"), [("column_sums_tiled", 32), ("column_sums_padded", 1)]
)
def test_a_column_of_partial_sums_is_read_in(device, name, wavefronts):
    found = counters(device, name, (512, 96))
    blocks = 2 * 3
    assert found[of("wavefronts", "ld")] == wavefronts * 32 * blocks
    assert found[of("wavefronts", "st")] == 32 * blocks


N = 64 * 256  # one block's
LIKE = np.zeros(N, dtype=np.uint8)
UNLIKE = (np.arange(N) // 16).astype(np.uint8)  # a lane takes 16 at once; lanes differ by one


@pytest.mark.parametrize(
    ("name", "data", "wavefronts"),
    [
        ("histogram_shared", UNLIKE, 1),
        ("histogram_shared", LIKE, 1),  # ones are counted before they are added
        ("histogram_warps", LIKE, 1),
        ("histogram_lanes", UNLIKE, 1),
        ("histogram_lanes", LIKE, 1),
    ],
)
def test_an_addition_waits_for_lanes_at_other_counters_of_its_bank(device, name, data, wavefronts):
    found = counters(device, name, (N,), (data,))
    assert found[of("wavefronts", "atom")] == wavefronts * N / 32
    assert found[of("conflicts", "ld")] == 0
