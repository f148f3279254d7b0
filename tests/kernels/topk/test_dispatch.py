"""``topk`` takes the step that the record says is fastest, and finds what all steps find."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

from benchmarks import topk_fastest
from kernels.topk import BY_NAME, reference, topk, topk_whole
from kernels.topk.dispatch import fastest, table
from kernels.topk.launches import Rows
from tests.kernels.topk.rows import check, checked, keys_of

FLOAT = np.dtype(np.float32)


def test_the_table_is_what_the_record_makes():
    record = json.loads(topk_fastest.RECORD.read_text())
    assert topk_fastest.text(topk_fastest.made(record)) == topk_fastest.TABLE.read_text()


def test_a_recorded_point_takes_its_own_step():
    for line in table():
        assert fastest(Rows(line.rows, line.n, line.k, FLOAT)).name == line.step


def test_no_step_is_asked_for_more_than_it_takes():
    for k in (1, 7, 1000, 1024, 1025, 1 << 16):
        for n in (k, 2 * k, 1 << 20):
            for rows in (1, 3, 100, 5000):
                most = fastest(Rows(rows, n, k, FLOAT)).most_k
                assert most is None or k <= most


def test_a_step_is_left_out_where_it_was_not_timed_on_all_data():
    rows = {"rows": 1, "n": 64, "k": 8}
    record = {
        "origin": {"device": "x", "date": "y", "command": "z"},
        "ladder": [
            {**rows, "data": "uniform", "torch_us": 1.0, "ours_us": 9.0, "topk_air_us": 2.0},
            {**rows, "data": "adversarial", "torch_us": 1.0, "ours_us": 9.0},
        ],
    }
    assert [line["step"] for line in topk_fastest.made(record)["fastest"]] == ["topk_filtered"]


def test_it_finds_the_best(device, rng):
    for n, k in ((300, 20), (2000, 2000)):
        x = rng.standard_normal((2, n), dtype=np.float32)
        values, indices = device.empty((2, k), np.float32), device.empty((2, k), np.int32)
        topk(device, device.asarray(x), values, indices, largest=False)
        for row, at in zip(x, device.to_host(indices), strict=True):
            assert set(at) == set(reference.topk(row, k, largest=False))


def test_it_sorts_what_it_finds_when_asked_to(device, rng):
    x = rng.integers(0, 50, (2, 300)).astype(np.float32)
    values, indices = device.empty((2, 20), np.float32), device.empty((2, 20), np.int32)
    topk(device, device.asarray(x), values, indices, sorted=True)
    for row, best, at in zip(x, device.to_host(values), device.to_host(indices), strict=True):
        assert np.array_equal(at, reference.topk(row, 20))
        assert np.array_equal(best, row[at])


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [1, 255, 3000])
def test_all_elements_are_copied(device, dtype, n, rng):
    keys = keys_of("special", dtype, (4, n), rng)
    check(device, topk, keys, n, shift=1, largest=False)
    check(device, topk, keys, n, lengths=[n, n // 2, 0, -3])


def test_elements_that_are_copied_may_be_sorted(device, rng):
    x = keys_of("special", np.float32, (2, 5000), rng)
    values, indices = device.empty(x.shape, np.float32), device.empty(x.shape, np.int32)
    lengths = np.array([5000, 3000], np.int32)
    topk(device, device.asarray(x), values, indices, lengths=device.asarray(lengths), sorted=True)
    for row, at, length in zip(x, device.to_host(indices), lengths, strict=True):
        assert np.array_equal(at[:length], reference.topk(row[:length], length))
        assert (at[length:] == -1).all()


def test_copying_is_one_launch_that_no_check_objects_to(device, rng):
    x = device.asarray(rng.standard_normal((2, 3000), dtype=np.float32))
    values, indices = device.empty((2, 3000), np.float32), device.empty((2, 3000), np.int32)
    lengths = device.asarray(np.array([3000, 100], np.int32))
    assert checked(device, topk, x, values, indices, lengths=lengths) == 1


def test_copying_less_than_all_is_refused(device):
    x = device.empty((1, 10), np.float32)
    values, indices = device.empty((1, 9), np.float32), device.empty((1, 9), np.int32)
    with pytest.raises(ValueError, match="k is 9, but a row has 10 elements, all of which it"):
        topk_whole(device, x, values, indices)


def test_every_step_of_the_table_is_there():
    assert {line.step for line in table()} <= BY_NAME.keys()
