"""Every step of the ladder finds the best of each row, of whatever keys, and no check objects."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.launches import launches_of
from kernels.topk import ENTRIES, reference, topk_block_select, topk_filtered
from tests.kernels.topk.rows import KINDS, check, checked, keys_of, placed

LADDER = [one for one in ENTRIES if one.step is not topk_filtered]  # test_results.py has that
DTYPES = (np.float16, ml_dtypes.bfloat16, np.int32, np.uint32)
# An instance is compiled for each, which takes longer than running it: each step takes the largest
# of float32, and the smallest of one of the others.
VARIANTS = [
    pytest.param(one, dtype, largest, id=f"{one.name}-{np.dtype(dtype).name}")
    for i, one in enumerate(LADDER)
    for dtype, largest in ((np.float32, True), (DTYPES[i % len(DTYPES)], False))
]
MOST = 40  # of k, where registers hold as many entries: longer queues take long to compile


@pytest.mark.parametrize(("entry", "dtype", "largest"), VARIANTS)
@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS), n=st.integers(1, 40) | st.integers(1, 3000),
    lengths=st.lists(st.floats(-0.1, 1.2) | st.just(1.0), min_size=1, max_size=3),
    part=st.floats(0, 1), shift=st.integers(0, 8), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
@example(kind="equal", n=1, lengths=[1.0], part=1.0, shift=0, seed=0)
@example(kind="special", n=3000, lengths=[1.0, 0.01, 0.0], part=1.0, shift=1, seed=0)
def test_the_best_are_found(device, entry, dtype, largest, kind, n, lengths, part, shift, seed):
    keys = keys_of(kind, dtype, (len(lengths), n), np.random.default_rng(seed))
    k = max(1, round(part * part * n))  # small ones more often
    if entry.most_k:
        k = min(k, MOST if largest else 32)
    lengths = [round(one * n) for one in lengths]
    check(device, entry.step, keys, k, shift=shift, lengths=lengths, largest=largest)


@pytest.mark.parametrize("entry", LADDER, ids=lambda one: one.name)
def test_long_rows_have_many_blocks(device, entry, rng):
    for kind in ("adversarial", "equal"):
        keys = keys_of(kind, np.float32, (2, 30_000), rng)
        check(device, entry.step, keys, MOST, lengths=[30_000, 20_000])


def test_lanes_may_have_longer_queues(device, rng):
    check(device, topk_block_select, keys_of("few", np.float32, (1, 9000), rng), 128, largest=False)


@pytest.mark.parametrize("entry", LADDER, ids=lambda one: one.name)
def test_no_check_has_anything_to_say_and_launches_may_be_repeated(device, entry, rng):
    keys = keys_of("special", np.float32, (2, 10_000), rng)
    x = placed(device, keys, 3)
    values, indices = device.empty((2, 40), np.float32), device.empty((2, 40), np.int32)
    lengths = device.asarray(np.array([10_000, 9000], np.int32))
    checked(device, entry.step, x, values, indices, lengths=lengths, times=2)
    wanted = [reference.topk(keys[0], 40), reference.topk(keys[1, :9000], 40)]
    assert np.array_equal(np.sort(device.to_host(indices)), np.sort(wanted))


@pytest.mark.parametrize("entry", [one for one in LADDER if one.most_k], ids=lambda one: one.name)
def test_more_than_registers_hold_is_refused(device, entry):
    x, most = device.empty((1, 5000), np.float32), entry.most_k
    values, indices = device.empty((1, most + 1), np.float32), device.empty((1, most + 1), np.int32)
    with pytest.raises(ValueError, match=rf"k is {most + 1}, but .* at most {most} places"):
        entry.step(device, x, values, indices)


@pytest.mark.parametrize("entry", [one for one in LADDER if one.most_k], ids=lambda one: one.name)
def test_queues_stay_in_registers(device, entry):
    x = device.empty((2, 20_000), np.float32)
    values, indices = device.empty((2, 128), np.float32), device.empty((2, 128), np.int32)
    for one in launches_of(device, entry.step, x, values, indices):
        assert one.kernel.resources is not None and one.kernel.resources.local_bytes <= 8
