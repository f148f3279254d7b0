"""What the steps of the ladder move, as the topic's theory gives it."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gemm import (
    BY_NAME,
    SgemmTile,
    Sizes,
    place,
    profile,
)
from tests.kernels.gemm.shapes import options

SIZE = 256
MULTIPLY_ADDS = SIZE**3


def of(what: str, direction: str) -> str:
    return {
        "instructions": f"smsp__inst_executed_op_shared_{direction}.sum",
        "wavefronts": f"l1tex__data_pipe_lsu_wavefronts_mem_shared_op_{direction}.sum",
        "conflicts": f"l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_{direction}.sum",
        "sectors a request": "l1tex__average_t_sectors_per_request_pipe_lsu_mem_global_op_"
        f"{direction}.ratio",
        "sectors": f"l1tex__t_sectors_pipe_lsu_mem_global_op_{direction}.sum",
    }[what]


def counters(device, name, size=SIZE, **more):
    placed = place(device, BY_NAME[name], Sizes(size, size, size), np.random.default_rng(0), **more)
    return profile(device, placed.entry.step, *placed.arrays, **placed.options).counters


def test_the_naive_step_touches_a_sector_a_lane(device):
    found = counters(device, "sgemm_naive", 64)
    # of the two loads a step, A's takes a sector a lane and B's is one float for all
    assert found[of("sectors a request", "ld")] == pytest.approx((32 + 1) / 2)
    assert found[of("sectors a request", "st")] == 32


def test_the_coalesced_step_reads_rows(device):
    found = counters(device, "sgemm_coalesced", 64)
    assert found[of("sectors a request", "ld")] == pytest.approx((1 + 4) / 2)
    assert found[of("sectors a request", "st")] == 4


def test_a_shared_tile_reads_each_float_once_a_tile(device):
    found = counters(device, "sgemm_shared_tile")
    tiles = (SIZE // 32) ** 2
    assert found[of("sectors", "ld")] == tiles * 2 * 32 * SIZE / 8


SHARED = ["sgemm_shared_tile", "sgemm_register_tile", "sgemm_vectorised", "sgemm_warp_tile"]


@pytest.mark.parametrize("name", SHARED)
def test_steps_through_shared_memory_have_no_conflicts(device, name):
    found = counters(device, name)
    assert found[of("conflicts", "ld")] == found[of("conflicts", "st")] == 0


SHAPES = [
    SgemmTile(32, 64, 8, 32, 32, 8, 4, 3),
    SgemmTile(64, 64, 8, 32, 32, 8, 4, 3, "REGISTERS"),
    SgemmTile(64, 32, 16, 32, 32, 4, 8, 2),
]


@pytest.mark.parametrize("tile", SHAPES, ids=lambda tile: tile.name)
def test_the_double_buffered_step_has_none_either_and_reads_in_2_wavefronts(device, tile):
    for size in (128, 127):  # rows that begin at 16 bytes, and that do not
        found = counters(device, "sgemm_double_buffered", size, tile=tile)
        assert found[of("conflicts", "ld")] == found[of("conflicts", "st")] == 0
        assert found["derived__memory_l1_wavefronts_shared_excessive"] == 0
        assert found[of("wavefronts", "ld")] <= 2 * found[of("instructions", "ld")]


def test_lanes_in_a_square_read_less(device):
    rows, square = (counters(device, f"sgemm_{n}") for n in ("vectorised", "warp_tile"))
    assert rows[of("instructions", "ld")] == square[of("instructions", "ld")]
    reads = square[of("instructions", "ld")]
    assert (rows[of("wavefronts", "ld")], square[of("wavefronts", "ld")]) == (3 * reads, 2 * reads)


def test_registers_take_the_reads_off_shared_memory(device):
    def reads(name):
        return counters(device, name)["smsp__sass_data_bytes_mem_shared_op_ld.sum"]

    assert reads("sgemm_shared_tile") == 2 * 4 * MULTIPLY_ADDS
    assert reads("sgemm_register_tile") == 16 / 64 * 4 * MULTIPLY_ADDS


@pytest.mark.parametrize("name", ["hgemm_mma", "hgemm_multistage"])
def test_a_swizzled_tile_has_no_conflicts(device, name):
    for size in (128, 127):
        found = counters(device, name, size, **options(name))
        assert found[of("conflicts", "ld")] == found[of("conflicts", "st")] == 0
        assert found["derived__memory_l1_wavefronts_shared_excessive"] == 0


def test_the_epilogue_stores_whole_rows(device):
    simple, rows = (
        counters(device, name, 128, **options(name)) for name in ("hgemm_mma", "hgemm_multistage")
    )
    needed = 128 * 128 * 2 / 32
    assert rows[of("sectors", "st")] == needed
    # 2 bytes a lane of every second column: each request fills a quarter of its sectors
    assert simple[of("sectors", "st")] == 4 * needed
