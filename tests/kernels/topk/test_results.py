"""The best k of each row are what NumPy's stable sort says, whatever keys, ties and lengths."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.topk import FilterShape, topk_filtered
from tests.kernels.topk.rows import KINDS, check, checked, keys_of, placed

# a pivot that is too good as often as not, and one of several blocks that is safe
MISLED = FilterShape(items=1, block=64, loads=1, blocks_per_sm=1, margin=0.0)
FILTERED = FilterShape(items=1, parts=2, block=128, loads=2)
SHAPES = (None, MISLED, FILTERED)

# Each is compiled for itself, which takes longer than running it: (dtype, shape, largest, whether
# rows have lengths).
VARIANTS = (
    (np.float32, None, True, True), (np.float32, None, True, False),
    (ml_dtypes.bfloat16, MISLED, False, False), (np.float16, FILTERED, True, True),
)  # fmt: skip


@settings(max_examples=100)
@given(
    variant=st.sampled_from(VARIANTS), kind=st.sampled_from(KINDS),
    n=st.integers(1, 40) | st.integers(1, 3000),
    lengths=st.lists(st.floats(-0.1, 1.2) | st.just(1.0), min_size=1, max_size=4),
    part=st.floats(0, 1), shift=st.integers(0, 8), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_best_are_found(device, variant, kind, n, lengths, part, shift, seed):
    dtype, shape, largest, uneven = variant
    keys = keys_of(kind, dtype, (len(lengths), n), np.random.default_rng(seed))
    k = max(1, round(part * part * n))  # small ones more often
    given = [round(one * n) for one in lengths] if uneven else None
    check(
        device, topk_filtered, keys, k, shift=shift, lengths=given, largest=largest, shape=shape
    )  # fmt: skip


def test_long_rows_take_the_filter(device, rng):
    check(device, topk_filtered, rng.standard_normal((1, 300_001), dtype=np.float32), 77)
    check(device, topk_filtered, keys_of("adversarial", np.float32, (2, 70_000), rng), 2048)


def test_all_elements_may_be_asked_for(device, rng):
    for n in (1, 2, 1024, 40_000):
        check(device, topk_filtered, rng.standard_normal((1, n), dtype=np.float32), n)


@pytest.mark.parametrize("kind", ["normal", "equal", "special"])
@pytest.mark.parametrize("shape", SHAPES, ids=["alone", "misled", "filtered"])
def test_no_check_has_anything_to_say(device, kind, shape, rng):
    x = placed(device, keys_of(kind, np.float32, (2, 2000), rng), 3)
    values, indices = device.empty((2, 100), np.float32), device.empty((2, 100), np.int32)
    checked(device, topk_filtered, x, values, indices, shape=shape)


def test_what_does_not_fit_is_refused(device):
    x, i = device.empty((3, 10), np.float32), device.empty((3, 4), np.int32)
    with pytest.raises(ValueError, match="k is 11, but a row has 10"):
        topk_filtered(device, x, device.empty((3, 11), np.float32), device.empty((3, 11), np.int32))
    with pytest.raises(ValueError, match=r"values must have shape \(3, 'k'\)"):
        topk_filtered(device, x, device.empty((2, 4), np.float32), i)
    with pytest.raises(ValueError, match="indices must have the shape of values"):
        topk_filtered(device, x, device.empty((3, 5), np.float32), i)
    with pytest.raises(ValueError, match="its dtype is float64"):
        topk_filtered(
            device, device.empty((3, 10), np.float64), device.empty((3, 4), np.float64), i
        )
    with pytest.raises(ValueError, match=r"lengths must have shape \(3,\)"):
        topk_filtered(
            device, x, device.empty((3, 4), np.float32), i, lengths=device.empty(2, np.int32)
        )
