"""Rows that arrive in pieces have the best that they have in one piece."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.topk import reference, topk_merge
from tests.kernels.topk.rows import KINDS, checked, keys_of

VARIANTS = ((np.float32, True), (ml_dtypes.bfloat16, False), (np.int32, True))


def nothing_yet(device, rows, k, dtype):
    return device.asarray(np.zeros((rows, k), dtype)), device.asarray(np.full((rows, k), -1, "i4"))


def plain(keys):
    """Keys with one zero and one NaN, as they come back."""
    if keys.dtype.kind in "iu":
        return keys
    wide = keys.astype(np.float32) + np.float32(0)
    return np.where(np.isnan(wide), np.float32(np.nan), wide)


@settings(max_examples=60)
@given(
    variant=st.sampled_from(VARIANTS), kind=st.sampled_from(KINDS), k=st.integers(1, 40),
    pieces=st.lists(st.integers(0, 40) | st.integers(1, 900), min_size=1, max_size=4),
    rows=st.integers(1, 3), data=st.data(), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_pieces_in_any_order_find_the_best(device, variant, kind, k, pieces, rows, data, seed):
    dtype, largest = variant
    n = max(sum(pieces), 1)
    keys = keys_of(kind, dtype, (rows, n), np.random.default_rng(seed))
    starts = np.cumsum([0, *pieces])
    values, indices = nothing_yet(device, rows, k, dtype)
    for i in data.draw(st.permutations(range(len(pieces)))):
        piece = device.asarray(np.ascontiguousarray(keys[:, starts[i] : starts[i + 1]]))
        topk_merge(device, values, indices, piece, int(starts[i]), largest=largest)
    got, at = device.to_host(values), device.to_host(indices)
    for row in range(rows):
        wanted = reference.topk(keys[row, : starts[-1]], min(k, starts[-1]), largest=largest)
        assert np.array_equal(at[row, : wanted.size], wanted)
        assert np.array_equal(
            plain(got[row, : wanted.size]),
            plain(keys[row][wanted]),
            equal_nan=got.dtype.kind != "u",
        )
        assert (at[row, wanted.size :] == -1).all()


def test_pieces_of_rows_may_be_shorter_and_no_check_objects(device, rng):
    keys = keys_of("special", np.float32, (2, 800), rng)
    values, indices = nothing_yet(device, 2, 40, np.float32)
    lengths = np.array([[400, 100], [0, 300]], np.int32)
    for i in range(2):
        piece = device.asarray(np.ascontiguousarray(keys[:, 400 * i : 400 * i + 400]))
        some = device.asarray(lengths[i])
        assert checked(device, topk_merge, values, indices, piece, 400 * i, lengths=some) == 1
    at = device.to_host(indices)
    assert np.array_equal(at[0], reference.topk(keys[0, :400], 40))
    among = np.concatenate([np.arange(100), np.arange(400, 700)])
    assert np.array_equal(at[1], among[reference.topk(keys[1, among], 40)])


def test_what_does_not_fit_is_refused(device):
    piece = device.empty((1, 2000), np.float32)
    with pytest.raises(ValueError, match=r"k is 1025, but .* at most 1024 places"):
        topk_merge(device, *nothing_yet(device, 1, 1025, np.float32), piece, 0)
    for offset in (-1, (1 << 31) - 2000):
        with pytest.raises(ValueError, match=f"the piece is elements {offset} to"):
            topk_merge(device, *nothing_yet(device, 1, 8, np.float32), piece, offset)
