"""Every kernel of the topic computes what its NumPy reference does, at any size and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.bank_conflicts import (
    BY_NAME,
    ENTRIES,
    broadcast,
    column_sums_padded,
    histogram_lanes,
    histogram_shared,
    place,
    profile,
    program,
    read_shared,
    scattered,
    transpose_best,
    transpose_tiled,
)
from kernels.bank_conflicts import patterns as places
from kernels.bank_conflicts.column_sums import STRIP
from kernels.bank_conflicts.launches import matrix, tiles
from kernels.bank_conflicts.transpose import BEST_THREADS, BEST_TILE
from kernels.runtime import ArgumentError, ArraySpec, record

# round a warp's 32, a tile's 32 or 64, a strip's 256; and anything else
EDGE = st.integers(0, 70) | st.sampled_from([127, 128, 129, 255, 256, 257]) | st.integers(0, 300)
LENGTH = st.integers(0, 70) | st.sampled_from([255, 256, 257]) | st.integers(0, 40_000)
MATRICES = [entry for entry in ENTRIES if entry.sizes == ("rows", "cols")]
HISTOGRAMS = [entry for entry in ENTRIES if entry.file == "histogram.cu"]


def wrong(device, entry, sizes, seed, numbers=None, inputs=None, shift_in=0, shift_out=0):
    placed = place(
        device, entry, sizes, numbers, np.random.default_rng(seed), inputs=inputs,
        shift_in=shift_in, shift_out=shift_out,
    )  # fmt: skip
    entry.step(device, *placed.on_device, placed.output, *placed.numbers)
    return placed.wrong(device)


@pytest.mark.parametrize("entry", MATRICES, ids=lambda entry: entry.name)
@settings(max_examples=25)
@given(
    rows=EDGE, cols=EDGE, seed=st.integers(0, 2**32 - 1), shifts=st.tuples(*[st.sampled_from(
        [0, 4, 8, 16])] * 2),
)  # fmt: skip
@example(rows=64, cols=128, seed=0, shifts=(0, 0))
@example(rows=68, cols=63, seed=0, shifts=(0, 0))
@example(rows=63, cols=132, seed=0, shifts=(0, 4))
@example(rows=72, cols=132, seed=0, shifts=(16, 0))
@example(rows=72, cols=132, seed=0, shifts=(0, 16))
def test_a_matrix_gives_what_the_reference_gives(device, entry, rows, cols, seed, shifts):
    assert wrong(device, entry, (rows, cols), seed, None, None, *shifts) is None


@settings(max_examples=25)
@given(rows=st.integers(500, 700), cols=st.integers(500, 700))
@example(rows=640, cols=700)  # several tiles, those at the edges not full: in 16 bytes an access
@example(rows=700, cols=640)
def test_the_best_transpose_finds_every_tile(device, rows, cols):
    x = np.arange(rows * cols, dtype=np.float32).reshape(rows, cols)
    y = device.empty((cols, rows), np.float32)
    transpose_best(device, device.asarray(x), y)
    np.testing.assert_array_equal(device.to_host(y), x.T)


@pytest.mark.parametrize("entry", HISTOGRAMS, ids=lambda entry: entry.name)
@settings(max_examples=20)
@given(
    n=LENGTH, shift=st.integers(0, 17), seed=st.integers(0, 2**32 - 1),
    values=st.sampled_from([1, 2, 30, 256]),
)  # fmt: skip
def test_a_histogram_counts_every_byte_wherever_it_begins(device, entry, n, shift, seed, values):
    data = np.random.default_rng(seed).integers(256 - values, 256, n, dtype=np.uint8)
    assert wrong(device, entry, (n,), seed, inputs=(data,), shift_in=shift) is None


def test_a_histogram_adds_to_what_is_there(device):
    counts = device.asarray(np.full(256, 5, dtype=np.uint32))
    x = device.asarray(np.zeros(1000, dtype=np.uint8))
    histogram_shared(device, x, counts, blocks=3)
    histogram_lanes(device, x, counts, blocks=2)
    assert (counts[0], counts[1]) == (2005, 5)


@settings(max_examples=30)
@given(
    n=st.integers(0, 400),
    width=st.sampled_from(places.WIDTHS),
    rounds=st.integers(0, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_reads_are_of_the_places_that_were_asked_for(device, n, width, rounds, seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 1 << 32, places.table_elements(width) * width // 4, dtype=np.uint32)
    entry, inputs = BY_NAME["read_shared"], (table, scattered(seed))
    assert wrong(device, entry, (n,), seed, (width, rounds), inputs) is None


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_check_has_anything_to_say(device, entry):
    for edge in (33, 128):
        sizes = {1: (77 * edge,), 2: (edge, edge + 31)}[len(entry.sizes)]
        placed = place(device, entry, sizes, rng=np.random.default_rng(edge))
        one = placed.launch(device)
        report = device.profile(one.kernel, one.grid, one.block, one.args, checks=("all",))
        assert report.findings == ()
        assert placed.wrong(device) is None


def test_kernels_can_be_recorded_into_a_plan(device):
    def solve(recording, x):
        y = recording.empty(x.shape[::-1], x.dtype)
        transpose_best(recording, x, y)
        return y

    plan = record(solve, ArraySpec("x", (70, 90), np.float32, offset=3))
    x = np.arange(6300, dtype=np.float32).reshape(70, 90)
    np.testing.assert_array_equal(plan.run(device, [x])[0], x.T)


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("transpose_best", f"constexpr int TILE = {BEST_TILE};"),
        ("transpose_best", f"constexpr int QUAD_THREADS = {BEST_THREADS['transpose_best']};"),
        ("transpose_best", f"constexpr int THREADS = {BEST_THREADS['transpose_best_any']};"),
        ("column_sums", f"constexpr int STRIP = {STRIP};"),
        ("patterns", f"constexpr int PLACES = {places.PLACES};"),
        ("patterns", f"constexpr int LOADS = {places.LOADS};"),
    ],
)
def test_the_python_side_knows_the_sources_numbers(family, line):
    assert line in program(family).source


# --- places -------------------------------------------------------------------------------------


def test_places_are_what_they_are_called():
    assert places.strided(3, 1).tolist() == [1 + 3 * lane for lane in range(32)]
    assert places.strided(33)[31] == 1023
    assert set(broadcast().tolist()) == {0}
    assert broadcast(4).tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    assert places.column(33, 2)[:3].tolist() == [2, 35, 68]
    assert places.column(at=1, swizzled=True)[:3].tolist() == [1, 32, 67]
    assert sorted(places.permuted(1).tolist()) == list(range(32))


@given(st.integers(0, 40), st.integers(0, 2000), st.integers(0, 2**32 - 1))
def test_places_are_never_outside_the_table(stride, offset, seed):
    for chosen in (places.strided(stride, offset), scattered(seed), places.column(33, offset % 32)):
        assert chosen.dtype == np.int32 and chosen.shape == (32,)
        assert chosen.min() >= 0 and chosen.max() < places.PLACES


# --- what is refused ----------------------------------------------------------------------------


def floats(device, *shape):
    return device.empty(shape, np.float32)


def test_shapes_that_do_not_fit_are_refused(device):
    with pytest.raises(ValueError, match=r"y must have shape \(7, 5\); it has \(5, 7\)"):
        transpose_tiled(device, floats(device, 5, 7), floats(device, 5, 7))
    with pytest.raises(ValueError, match=r"x must have two axes; its shape is \(35,\)"):
        transpose_best(device, floats(device, 35), floats(device, 7, 5))
    with pytest.raises(ValueError, match=r"sums must have shape \(2, 7\)"):
        column_sums_padded(device, floats(device, 257, 7), floats(device, 1, 7))
    with pytest.raises(ValueError, match=r"counts must have shape \(256,\)"):
        histogram_lanes(device, device.empty(9, np.uint8), device.empty(255, np.uint32))


def test_a_width_that_no_access_has_is_refused(device):
    words = device.empty(8, np.uint32)
    with pytest.raises(ValueError, match="width is 2; 4, 8 or 16 bytes"):
        read_shared(device, words, words, words, 2)
    with pytest.raises(ValueError, match=r"places must have shape \(32,\)"):
        read_shared(device, words, words, words, 4)


def test_other_dtypes_are_refused(device):
    with pytest.raises(ArgumentError, match="float64"):
        transpose_best(device, device.empty((2, 2), np.float64), floats(device, 2, 2))


def test_what_no_grid_or_index_covers_is_refused(device):
    class Huge:
        shape = (1 << 31, 1)

    with pytest.raises(ValueError, match="the longest edge"):
        matrix("transpose_best", "x", Huge())
    with pytest.raises(ValueError, match="a grid has"):
        tiles("transpose_tiled", 1 << 30, 1 << 30, 32, 32)
    with pytest.raises(ValueError, match="0 blocks"):
        counts = device.empty(256, np.uint32)
        histogram_lanes(device, device.empty(9, np.uint8), counts, blocks=0)


def test_a_profile_is_of_the_step_that_was_asked_for(device):
    report = profile(device, transpose_tiled, floats(device, 32, 32), floats(device, 32, 32))
    assert report.kernel == "transpose_tiled"
