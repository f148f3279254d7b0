"""What the benchmark holds right and wrong, on the software GPU."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest

from benchmarks import sections, topk_fastest, topk_h100
from kernels.topk import reference, topk, topk_sort

STEPS = {"sorted": partial(topk, sorted=True), "merged": topk_h100.in_pieces}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("dtype", "largest"), [(np.float32, True), (ml_dtypes.bfloat16, False)])
def test_what_sorts_and_what_merges_is_right(device, step, dtype, largest, rng):
    for rows, n, k in ((1, 1, 1), (2, 997, 30)):
        keys = rng.integers(-300, 300, (rows, n)).astype(dtype)
        assert topk_h100.wrong(device, step, keys, k, largest, in_order=True) is None


def test_what_is_wrong_is_said(device, rng):
    keys = rng.integers(-300, 300, (2, 500)).astype(np.float32)

    def others(device, x, values, indices, *, largest):
        topk_sort(device, x, values, indices, largest=not largest)

    def backwards(device, x, values, indices, *, largest):
        topk_sort(device, x, values, indices, largest=largest)
        values[...], indices[...] = values[:, ::-1].copy(), indices[:, ::-1].copy()

    def unread(device, x, values, indices, *, largest):
        topk_sort(device, x, values, indices, largest=largest)
        values[...] = 0.5

    def broken(device, x, values, indices, *, largest):
        raise RuntimeError("no such kernel")

    for step, words in (
        (others, "row 0 of 2 x 500, k 20: other elements"),
        (backwards, "row 0 of 2 x 500, k 20: in another order"),
        (unread, "row 0 of 2 x 500, k 20: other values than lie there"),
        (broken, "RuntimeError: no such kernel (2 x 500, k 20)"),
    ):
        assert topk_h100.wrong(device, step, keys, 20, True, in_order=True) == words
    assert topk_h100.wrong(device, backwards, keys, 20, True) is None


def test_sorting_a_row_finds_its_best(rng):
    keys = rng.standard_normal((1, 400), dtype=np.float32)
    values, at = topk_h100.by_sorting(keys, 30)
    assert np.array_equal(at[::-1], reference.topk(keys[0], 30))
    assert np.array_equal(values, keys[0, at])


def test_others_that_are_timed_are_no_steps():
    rows = {"rows": 1, "n": 64, "k": 8, "data": "uniform"}
    peers = {"torch_us": 1.0, "cupy_us": 2.0, "topk_us": 3.0}
    record = {
        "origin": {"device": "x", "date": "y", "command": "z"},
        "ladder": [{**rows, **peers, "ours_us": 9.0, "topk_air_us": 8.0}],
    }
    assert [line["step"] for line in topk_fastest.made(record)["fastest"]] == ["topk_air"]


def test_whoever_is_slower_than_any_other_is_behind():
    assert topk_h100.slower({"topk_us": 3.0, "torch_us": 9.0, "cupy_us": 2.0})
    assert not topk_h100.slower({"topk_us": 3.0, "torch_us": 9.0})
    assert not topk_h100.slower({"failure": "other keys than torch"})


def test_what_failed_is_called_by_its_case_where_it_has_no_name():
    record = {"wrong": {}, "grid": [{"rows": 1, "k": 8, "failure": "other keys than torch"}]}
    assert sections.failures(record, ("grid",)) == ["grid, rows 1, k 8: other keys than torch"]
