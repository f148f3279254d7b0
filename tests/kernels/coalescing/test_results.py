"""Every kernel of the topic computes what its NumPy reference does, at any size and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.coalescing import (
    BY_NAME,
    ENTRIES,
    copy_aligned,
    copy_best,
    copy_elements,
    copy_float4,
    copy_ilp4,
    copy_offset,
    copy_stride,
    energy_aos,
    launch_of,
    place,
)
from kernels.coalescing.block_copy import ITEMS
from kernels.coalescing.numba_copies import ITEMS as NUMBA_ITEMS
from kernels.runtime import ArgumentError, ArraySpec, record

NUMBERS = {
    (): st.just(()),
    ("offset",): st.tuples(st.integers(0, 40)),
    ("stride",): st.tuples(st.integers(0, 40)),
    ("element_bytes", "offset", "stride"): st.tuples(
        st.sampled_from([1, 2, 4, 8, 16]), st.integers(0, 40), st.integers(0, 20)
    ),
}
# round warps, blocks, tiles of four and eight floats a thread; and anything else
SIZES = (
    st.integers(0, 70)
    | st.sampled_from([1023, 1024, 1025, 4095, 4096, 4097, 8191, 8192, 8193])
    | st.integers(0, 20_000)
)


def run(device, entry, n, numbers, seed, shift_in=0, shift_out=0):
    placed = place(
        device, entry, n, numbers, np.random.default_rng(seed),
        shift_in=shift_in, shift_out=shift_out,
    )  # fmt: skip
    entry.step(device, *placed.on_device, placed.output, *numbers)
    return placed


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@settings(max_examples=25)
@given(data=st.data(), n=SIZES, seed=st.integers(0, 2**32 - 1))
def test_a_kernel_gives_what_its_reference_gives(device, entry, data, n, seed):
    numbers = data.draw(NUMBERS[entry.numbers])
    shifts = st.sampled_from([0, 4, 8, 12, 20]) if entry.any_alignment else st.just(0)
    shift_in, shift_out = data.draw(shifts), data.draw(shifts)
    placed = run(device, entry, n, numbers, seed, shift_in, shift_out)
    assert placed.wrong(device) is None


@settings(max_examples=60)
@given(
    nbytes=st.integers(0, 200) | st.integers(16_000, 17_000) | st.integers(0, 40_000),
    shift_in=st.integers(0, 33),
    shift_out=st.integers(0, 33),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_copy_takes_any_byte_count_at_any_address(
    device, nbytes, shift_in, shift_out, seed
):
    data = np.random.default_rng(seed).integers(0, 256, nbytes, dtype=np.uint8)
    x, y = (
        device.empty(nbytes + shift_in, np.uint8),
        device.empty(nbytes + shift_out + 32, np.uint8),
    )
    x[shift_in:] = data
    y[...] = 0xAB
    copy_best(device, x[shift_in:], y[shift_out : shift_out + nbytes])
    expected = np.full(nbytes + shift_out + 32, 0xAB, dtype=np.uint8)
    expected[shift_out : shift_out + nbytes] = data
    np.testing.assert_array_equal(device.to_host(y), expected)


@settings(max_examples=20)
@given(n=st.integers(0, 5000), blocks=st.integers(1, 9), threads=st.integers(1, 200))
def test_loads_in_flight_do_not_depend_on_the_grid(device, n, blocks, threads):
    x = device.asarray(np.arange(n, dtype=np.float32))
    y = device.empty(n, np.float32)
    copy_ilp4(device, x, y, blocks=blocks, threads=threads)
    np.testing.assert_array_equal(device.to_host(y), np.arange(n))


def test_nothing_is_written_past_the_end(device, rng):
    for entry in ENTRIES:
        if entry.numbers or entry.relative_error:
            continue
        x, y = device.asarray(np.zeros(1000, np.float32)), device.empty(2000, np.float32)
        entry.step(device, x, y[:1000])
        assert np.isnan(device.to_host(y)[1000:]).all(), entry.name


def test_the_numba_twins_divide_the_work_as_their_cuda_twins_do(device, rng):
    assert ITEMS == NUMBA_ITEMS
    for name in ("copy_strided", "copy_coalesced"):
        ours = place(device, BY_NAME[name], 10_007, (), rng).launch(device)
        twin = place(device, BY_NAME[f"numba_{name}"], 10_007, (), rng).launch(device)
        assert (ours.grid, ours.block) == (twin.grid, twin.block)


def test_kernels_can_be_recorded_into_a_plan(device):
    def solve(recording, x):
        y = recording.empty(x.shape, x.dtype)
        copy_best(recording, x, y)
        return y

    plan = record(solve, ArraySpec("x", (1000,), np.float32, offset=3))
    x = np.arange(1000, dtype=np.float32)
    (y,) = plan.run(device, [x])
    np.testing.assert_array_equal(y, x)


# --- what is refused ----------------------------------------------------------------------------


def floats(device, n):
    return device.empty(n, np.float32)


def test_an_input_that_is_too_short_is_named(device):
    with pytest.raises(ValueError, match="copy_aligned: x holds 9 elements; 10 are needed"):
        copy_aligned(device, floats(device, 9), floats(device, 10))
    with pytest.raises(ValueError, match="x holds 14 elements; 15 are needed"):
        copy_offset(device, floats(device, 14), floats(device, 10), 5)
    with pytest.raises(ValueError, match="x holds 18 elements; 19 are needed"):
        copy_stride(device, floats(device, 18), floats(device, 10), 2)
    with pytest.raises(ValueError, match=r"x \(in elements of 8 bytes\) holds 5 elements; 10"):
        copy_elements(device, floats(device, 10), floats(device, 20), 8)


def test_numbers_that_index_before_the_start_are_refused(device):
    with pytest.raises(ValueError, match="offset is -1"):
        copy_offset(device, floats(device, 20), floats(device, 10), -1)
    with pytest.raises(ValueError, match="stride is -2"):
        copy_stride(device, floats(device, 20), floats(device, 10), -2)


def test_an_element_size_that_no_access_has_is_refused(device):
    with pytest.raises(ValueError, match="element_bytes is 3; 1, 2, 4, 8 or 16"):
        copy_elements(device, floats(device, 10), floats(device, 10), 3)


def test_other_dtypes_alignments_and_shapes_are_refused(device):
    with pytest.raises(ArgumentError, match="float64"):
        copy_aligned(device, device.empty(10, np.float64), floats(device, 10))
    with pytest.raises(ArgumentError, match="multiple of 16 bytes"):
        copy_float4(device, floats(device, 11)[1:], floats(device, 10))
    with pytest.raises(ValueError, match=r"shape \(10, 8\)"):
        energy_aos(device, floats(device, 80), floats(device, 10))
    with pytest.raises(ValueError, match="40 bytes and y 44"):
        copy_best(device, floats(device, 10), floats(device, 11))


def test_arrays_beyond_32_bit_indices_are_refused(device):
    class Huge:
        size = (1 << 30) + 1

    with pytest.raises(ValueError, match="32-bit"):
        copy_aligned(device, Huge(), floats(device, 10))


def test_a_grid_of_no_threads_is_refused(device):
    with pytest.raises(ValueError, match="0 blocks"):
        copy_ilp4(device, floats(device, 10), floats(device, 10), blocks=0)


def test_what_makes_no_single_launch_is_refused(device):
    with pytest.raises(ValueError, match="makes 0 launches"):
        launch_of(device, lambda _: None)
