"""What the topic's benchmark writes can be read; what it searches through is right."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import bank_conflicts_h100, ncu_bank_conflicts, recorded, transpose_search
from benchmarks.transpose_search import Variant
from kernels.bank_conflicts import BY_NAME

ORIGIN = {"device": "NVIDIA H100", "date": "2026-11-23", "command": "python -m x", "cuda": "13.0"}
TIMED = {
    "bytes": 8000, "median_us": 2.0, "low_us": 1.9, "high_us": 2.2, "samples": 30,
    "gigabytes_per_s": 4.0,
}  # fmt: skip


@pytest.fixture
def h100(tmp_path):
    record = {
        "origin": ORIGIN,
        "kernels": [{"kernel": "histogram_warps", "case": "one value", **TIMED}],
        "transposes": [
            {"kernel": "transpose_best", "rows": 8192, "cols": 8192, **TIMED, "of_copy": 0.97},
            {"kernel": "transpose_best", "rows": 3, "cols": 4, "failure": "wrong"},
        ],
        "search": {"failure": "out of memory"},
    }
    path = tmp_path / "h100.json"
    path.write_text(json.dumps(record))
    return recorded.bank_conflicts(path)


def test_figures_come_with_their_origin(h100):
    assert h100.kernel("histogram_warps", "one value").gigabytes_per_s == 4.0
    assert h100.transpose().of_copy == h100.kernel("transpose_best").of_copy == 0.97
    assert h100.origin.command == "python -m x"


def test_what_failed_or_was_not_run_is_no_figure(h100, tmp_path):
    with pytest.raises(recorded.NotRecorded, match="it has: 8192 x 8192"):
        h100.transpose("transpose_best", 3, 4)
    with pytest.raises(recorded.NotRecorded, match=r"python -m benchmarks\.bank_conflicts_h100"):
        recorded.bank_conflicts(tmp_path / "nothing.json")


def test_every_kernel_is_timed():
    rng = np.random.default_rng(0)
    timed = {case.name for case in bank_conflicts_h100.cases(1, rng, 1000)}
    assert timed | set(bank_conflicts_h100.LADDER) == set(BY_NAME)


@pytest.mark.parametrize(
    "variants",
    [
        transpose_search.quads(),
        transpose_search.words(),
        transpose_search.words(in_quads=True),
        transpose_search.words(out_quads=True),
    ],
)
def test_variants_are_all_different_and_fit_an_sm(variants):
    assert len({variant.name for variant in variants}) == len(variants)
    for variant in variants:
        _, threads, shared = variant.launch(132, 8192, 8192)
        assert threads <= 1024 and shared <= 227 << 10


@pytest.mark.parametrize(
    "variant",
    [
        Variant("early", 64, 32, 64, group=2, load="LD_FIRST_OUT", store="ST_STREAM"),
        Variant("late", 32, 64, 128, group=1),
        Variant("stream", 64, 64, 256, stages=3),
        Variant("words", 64, 32, 256, in_quads=True),
        Variant("words", 32, 32, 128, out_quads=True),
        Variant("aligned", 64, 64, 256, sector=32),
    ],
    ids=lambda variant: variant.family,
)
def test_a_variant_is_right_on_the_software_gpu(device, variant):
    for rows, cols in ((64, 128), (132, 100), (133, 100), (132, 101), (77, 131)):
        if not variant.takes(rows, cols):
            continue
        x = np.arange(rows * cols, dtype=np.uint32).reshape(rows, cols)
        y = device.empty((cols, rows), np.uint32)
        grid, block, shared = variant.launch(2, rows, cols)
        kernel = transpose_search.program(variant.source)[variant.symbol]
        device.launch(kernel, grid, block, (device.asarray(x), y, rows, cols), shared)
        np.testing.assert_array_equal(device.to_host(y), x.T)


def test_counters_are_taken_of_every_kernel(device):
    every = ncu_bank_conflicts.launches(device)
    assert {case.entry for case, _, _ in every} == set(BY_NAME)
    assert len({case for case, _, _ in every}) == len(every)
    for _, _, launch in every[::9]:
        counters = device.profile(launch.kernel, launch.grid, launch.block, launch.args).counters
        assert set(ncu_bank_conflicts.METRICS) <= set(counters)
