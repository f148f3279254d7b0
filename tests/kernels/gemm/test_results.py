"""Every kernel of the topic computes what float64 does, to within its rounding, at any size."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.gemm import (
    BY_NAME,
    ENTRIES,
    EPILOGUES,
    Epilogue,
    SgemmTile,
    Sizes,
    hgemm,
    hgemm_mma,
    hgemm_multistage,
    place,
    sgemm,
    sgemm_coalesced,
    sgemm_double_buffered,
    sgemm_naive,
    sgemm_vectorised,
)
from kernels.gemm.launches import grid_of, tiles_of
from kernels.runtime import ArgumentError, ArraySpec, record
from tests.kernels.gemm.shapes import SMALL, THROUGH_REGISTERS, options

SGEMM = [entry for entry in ENTRIES if not entry.tensor]
HGEMM = [entry for entry in ENTRIES if entry.tensor]
# Where rows do not begin at multiples of 16 bytes, these are hgemm_multistage, whose tests say so.
HOPPER = [entry for entry in HGEMM if entry.file == "hgemm_wgmma.cu"]
BEFORE_HOPPER = [entry for entry in HGEMM if entry not in HOPPER]
# round a warp, a slice, the small tiles, the tile of the register steps; and anything else
EDGE = st.integers(0, 40) | st.sampled_from([63, 64, 65, 127, 128, 129]) | st.integers(0, 150)
SEED = st.integers(0, 2**32 - 1)


def wrong(device, entry, sizes, seed=0, **more):
    placed = place(device, entry, Sizes(*sizes), np.random.default_rng(seed), **more)
    placed.run(device)
    return placed.wrong(device)


@pytest.mark.parametrize("entry", SGEMM, ids=lambda entry: entry.name)
@settings(max_examples=30)
@given(
    sizes=st.tuples(EDGE, EDGE, EDGE), seed=SEED,
    alpha=st.sampled_from([1.0, 0.0, -0.3]), beta=st.sampled_from([0.0, 1.0, 2.5]),
)  # fmt: skip
@example(sizes=(1, 1, 1), seed=0, alpha=1.0, beta=0.0)
@example(sizes=(1, 130, 9), seed=0, alpha=1.0, beta=0.0)
@example(sizes=(130, 1, 8), seed=0, alpha=1.0, beta=1.0)
@example(sizes=(5, 4, 0), seed=0, alpha=1.0, beta=2.5)
@example(sizes=(64, 128, 24), seed=0, alpha=-0.3, beta=0.0)
@example(sizes=(65, 124, 100), seed=0, alpha=1.0, beta=2.5)
def test_sgemm_is_the_product_to_within_its_rounding(device, entry, sizes, seed, alpha, beta):
    more = options(entry.name)
    assert wrong(device, entry, sizes, seed, alpha=alpha, beta=beta, **more) is None


@settings(max_examples=20)
@given(sizes=st.tuples(EDGE, EDGE, EDGE), seed=SEED)
@example(sizes=(64, 64, 64), seed=0)
@example(sizes=(33, 36, 52), seed=0)
def test_a_can_be_transposed_on_its_way_through_registers(device, sizes, seed):
    entry = BY_NAME["sgemm_double_buffered"]
    assert wrong(device, entry, sizes, seed, beta=0.5, tile=THROUGH_REGISTERS) is None


@pytest.mark.parametrize("entry", BEFORE_HOPPER, ids=lambda entry: entry.name)
@settings(max_examples=30)
@given(sizes=st.tuples(EDGE, EDGE, EDGE) | st.tuples(EDGE, *[st.integers(0, 16).map(
    lambda n: 8 * n)] * 2), seed=SEED)  # fmt: skip
@example(sizes=(1, 1, 1), seed=0)
@example(sizes=(33, 8, 16), seed=0)
@example(sizes=(7, 9, 0), seed=0)
@example(sizes=(64, 128, 96), seed=0)
@example(sizes=(31, 136, 200), seed=0)
def test_hgemm_is_the_product_to_within_its_rounding(device, entry, sizes, seed):
    assert wrong(device, entry, sizes, seed, **options(entry.name)) is None


@pytest.mark.parametrize("entry", HOPPER, ids=lambda entry: entry.name)
@settings(max_examples=30)
@given(
    m=EDGE, n=st.integers(0, 35).map(lambda n: 8 * n), k=st.integers(1, 30).map(lambda n: 8 * n),
    seed=SEED,
)  # fmt: skip
@example(m=1, n=8, k=8, seed=0)
@example(m=64, n=128, k=128, seed=0)
@example(m=65, n=264, k=200, seed=0)
def test_hopper_multiplies_any_rows_that_tma_takes(device, entry, m, n, k, seed):
    assert wrong(device, entry, (m, n, k), seed, **options(entry.name)) is None


@pytest.mark.parametrize(
    "epilogue",
    [one for one in EPILOGUES if one.bits in (1, 2, 4)],
    ids=lambda epilogue: epilogue.name,
)
def test_an_epilogue_is_applied_in_order(device, epilogue):
    entry = BY_NAME["hgemm_multistage"]
    assert wrong(device, entry, (35, 72, 40), epilogue=epilogue, **options(entry.name)) is None


EVERYTHING = Epilogue(True, True, True)


@pytest.mark.parametrize(
    ("name", "dtype", "out"),
    [
        ("hgemm_mma", np.float16, np.float32),
        ("hgemm_mma", ml_dtypes.bfloat16, ml_dtypes.bfloat16),
        ("hgemm_multistage", np.float16, np.float32),
        ("hgemm_multistage", ml_dtypes.bfloat16, ml_dtypes.bfloat16),
        ("hgemm_wgmma", ml_dtypes.bfloat16, np.float32),
    ],
)
def test_inputs_and_outputs_have_the_dtypes_there_are(device, name, dtype, out):
    more = {**options(name), "epilogue": EVERYTHING, "dtype": dtype, "out": out}
    assert wrong(device, BY_NAME[name], (40, 72, 48), **more) is None


@pytest.mark.parametrize("entry", [*BEFORE_HOPPER, HOPPER[0]], ids=lambda entry: entry.name)
def test_an_epilogue_is_right_for_rows_that_begin_anywhere(device, entry):
    more = {**options(entry.name), "epilogue": EVERYTHING}
    assert wrong(device, entry, (35, 67, 21), **more) is None


@pytest.mark.parametrize("name", ["sgemm_double_buffered", "hgemm_mma", "hgemm_multistage"])
def test_arrays_may_begin_anywhere(device, name):
    entry = BY_NAME[name]
    dtype = np.float16 if entry.tensor else np.float32
    a, b, c = (device.empty(65, dtype)[1:].reshape(8, 8) for _ in range(3))
    a[...], b[...] = np.ones((8, 8)), 2 * np.eye(8)
    entry.step(device, a, b, c, **options(name))
    assert (device.to_host(c) == 2).all()


@pytest.mark.parametrize("tile", [*sgemm.SHAPES, *hgemm.SHAPES], ids=lambda tile: tile.name)
def test_the_shapes_chosen_on_a_gpu_are_right_too(device, tile):
    name = "sgemm_double_buffered" if isinstance(tile, SgemmTile) else "hgemm_multistage"
    assert wrong(device, BY_NAME[name], (150, 264, 136), tile=tile) is None


def test_several_groups_of_tiles_cover_the_whole_matrix(device):
    for name in ("sgemm_double_buffered", "hgemm_multistage"):
        assert wrong(device, BY_NAME[name], (32 * 5 - 3, 64 * 3 + 8, 8), **options(name)) is None


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_nan_and_infinity_reach_their_row_or_column_and_no_other(device, entry):
    dtype = np.float16 if entry.tensor else np.float32
    k, n = (24, 48) if entry in HOPPER else (19, 41)
    a, b = np.ones((37, k), dtype), np.ones((k, n), dtype)
    a[5, k - 1], b[0, 40] = np.nan, np.inf
    out = device.empty((37, n), dtype)
    entry.step(device, device.asarray(a), device.asarray(b), out, **options(entry.name))
    expected = np.full((37, n), float(k))
    expected[:, 40] = np.inf
    expected[5] = np.nan
    np.testing.assert_array_equal(device.to_host(out), expected)


@pytest.mark.parametrize("entry", SGEMM, ids=lambda entry: entry.name)
def test_whole_numbers_are_multiplied_exactly(device, entry):
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((50, 61), (61, 70)))
    c = device.empty((50, 70), np.float32)
    entry.step(device, device.asarray(a), device.asarray(b), c, **options(entry.name))
    np.testing.assert_array_equal(device.to_host(c), a @ b)


def test_nothing_is_written_beyond_c(device):
    for entry in ENTRIES:
        dtype = np.float16 if entry.tensor else np.float32
        a, b = (device.asarray(np.ones(s, dtype)) for s in ((33, 24), (24, 40)))
        whole = device.empty((2 * 33, 40), dtype)
        entry.step(device, a, b, whole[:33], **options(entry.name))
        host = device.to_host(whole)
        assert (host[:33] == 24).all() and np.isnan(host[33:]).all(), entry.name


ODD, WIDE = (35, 37, 21), (33, 72, 40)  # rows that begin anywhere, and at 16 bytes


@pytest.mark.parametrize(
    ("entry", "sizes"),
    [(entry, ODD) for entry in ENTRIES if entry not in HOPPER]
    + [(entry, WIDE) for entry in ENTRIES if entry.file != "sgemm.cu"],
    ids=lambda given: getattr(given, "name", str(given)),
)
def test_the_sanitizers_find_nothing(device, entry, sizes):
    more = options(entry.name) | ({"epilogue": EVERYTHING} if entry.tensor else {"beta": 0.0})
    placed = place(device, entry, Sizes(*sizes), np.random.default_rng(0), **more)
    # an output that nothing has written yet: reading it would be found
    fresh = device.empty(placed.expected.shape, placed.before.dtype)
    placed = replace(placed, arrays=(*placed.arrays[:2], fresh))
    launch = placed.launch(device)
    report = device.profile(
        launch.kernel, launch.grid, launch.block, launch.args, launch.shared_bytes, checks="all"
    )
    assert report.findings == ()
    assert placed.wrong(device) is None


def test_kernels_can_be_recorded_into_a_plan(device):
    def solve(recording, a, b):
        c = recording.empty((a.shape[0], b.shape[1]), "float32")
        sgemm_double_buffered(recording, a, b, c, tile=SMALL["sgemm_double_buffered"])
        return c

    plan = record(solve, ArraySpec("a", (20, 30), np.float32), ArraySpec("b", (30, 40), np.float32))
    a, b = np.ones((20, 30), np.float32), np.ones((30, 40), np.float32)
    (c,) = plan.run(device, [a, b])
    np.testing.assert_array_equal(c, a @ b)


# --- shapes and what is refused -----------------------------------------------------------------


@pytest.mark.parametrize("family", [sgemm, hgemm])
def test_a_shape_is_chosen_that_fills_the_chip(family):
    assert family.best_tile(Sizes(8192, 8192, 64), 132) == family.SHAPES[0]
    assert family.best_tile(Sizes(128, 128, 64), 132) == family.SHAPES[-1]
    for size in (512, 1024, 2048, 4096):
        chosen = family.best_tile(Sizes(size, size, 64), 132)
        tiles = (size // chosen.bm) * (size // chosen.bn)
        assert tiles >= 0.9 * 132 or chosen == family.SHAPES[-1]


@pytest.mark.parametrize("tile", [*sgemm.SHAPES, *hgemm.SHAPES], ids=lambda tile: tile.name)
def test_the_shapes_keep_their_sums_in_registers(tile):
    kernel = (
        tile.kernel(True)
        if isinstance(tile, SgemmTile)
        else tile.kernel("hgemm_multistage", "__half", "__half", Epilogue(), True)
    )
    assert kernel.resources is not None and kernel.resources.local_bytes == 0


def empty(device, *shape, dtype=np.float32):
    return device.empty(shape, dtype)


def test_shapes_that_do_not_fit_are_named(device):
    a, b = empty(device, 3, 4), empty(device, 5, 6)
    with pytest.raises(ValueError, match="a is 3 x 4 and b 5 x 6; b must have as many rows"):
        sgemm_naive(device, a, b, empty(device, 3, 6))
    with pytest.raises(ValueError, match=r"c must have shape \(3, 6\); it has \(6, 3\)"):
        sgemm_coalesced(device, a, empty(device, 4, 6), empty(device, 6, 3))
    with pytest.raises(ValueError, match="b must have two axes"):
        sgemm_naive(device, a, empty(device, 4), empty(device, 3, 1))
    halves = [empty(device, *s, dtype=np.float16) for s in ((3, 4), (4, 6), (3, 6))]
    with pytest.raises(ValueError, match=r"bias must have shape \(6,\)"):
        hgemm_mma(device, *halves, bias=empty(device, 3))
    with pytest.raises(ValueError, match=r"residual must have shape \(3, 6\)"):
        hgemm_multistage(device, *halves, residual=halves[0])


def test_other_dtypes_and_addresses_are_refused(device):
    a, b, c = empty(device, 4, 4), empty(device, 4, 4), empty(device, 4, 4)
    with pytest.raises(ValueError, match="a must be of float16 or bfloat16; its dtype is float32"):
        hgemm_mma(device, a, b, c)
    half = empty(device, 4, 4, dtype=np.float16)
    with pytest.raises(ValueError, match="b must be of float16; its dtype is bfloat16"):
        hgemm_mma(device, half, empty(device, 4, 4, dtype=ml_dtypes.bfloat16), c)
    with pytest.raises(ArgumentError, match="float64"):
        sgemm_naive(device, empty(device, 4, 4, dtype=np.float64), b, c)
    with pytest.raises(ArgumentError, match="residual"):
        hgemm_mma(device, half, half, c, residual=half)
    with pytest.raises(ArgumentError, match="multiple of 16 bytes"):
        sgemm_vectorised(device, a, empty(device, 17)[1:].reshape(4, 4), c)


def test_matrices_beyond_a_grid_are_refused():
    with pytest.raises(ValueError, match="at most 2147483647 x 65535"):
        grid_of("sgemm_naive", 1, 70_000)
    with pytest.raises(ValueError, match=r"takes .* blocks"):
        tiles_of("sgemm_double_buffered", Sizes(1 << 30, 1 << 30, 1), 128, 256)
