"""What a step selected is put in order: the best first, of equal ones the lower index first."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kernels.topk import reference, sort_found
from tests.kernels.topk.rows import checked, keys_of


def shuffled(device, keys, k, rng, left_over, largest):
    """The best k of each row in any order, with ``left_over`` of index -1 behind them."""
    there = k - left_over
    best = [reference.topk(row, there, largest=largest) for row in keys]
    at = np.full((len(keys), k), -1, np.int32)
    for row, wanted in zip(at, best, strict=True):
        row[:there] = rng.permutation(wanted)
    values = np.where(at >= 0, np.take_along_axis(keys, np.maximum(at, 0), 1), keys.dtype.type(0))
    return device.asarray(values.astype(keys.dtype)), device.asarray(at), best


@pytest.mark.parametrize("kind", ["normal", "special", "equal"])
@pytest.mark.parametrize("k", [1, 2, 100, 129, 5000])
@pytest.mark.parametrize(("dtype", "largest"), [(np.float32, True), (ml_dtypes.bfloat16, False)])
def test_the_best_come_first(device, kind, k, dtype, largest, rng):
    keys = keys_of(kind, dtype, (2, 6000), rng)
    left_over = k // 3
    values, at, best = shuffled(device, keys, k, rng, left_over, largest)
    sort_found(device, device.asarray(keys), values, at, largest=largest)
    got, where = device.to_host(values), device.to_host(at)
    for row, wanted in enumerate(best):
        assert np.array_equal(where[row, : k - left_over], wanted)
        assert got[row, : k - left_over].tobytes() == keys[row][wanted].tobytes()
        assert (where[row, k - left_over :] == -1).all()


@pytest.mark.parametrize("k", [100, 5000])
def test_no_check_has_anything_to_say(device, k, rng):
    keys = keys_of("few", np.float32, (1, 6000), rng)
    values, at, best = shuffled(device, keys, k, rng, 0, True)
    checked(device, sort_found, device.asarray(keys), values, at)
    assert np.array_equal(device.to_host(at), best)
