"""Modelled times of atomics: who adds to one word waits for all others that do, as on an H100."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.atomic_rates import SOURCE, THREADS
from benchmarks.origin import RESULTS
from kernels.runtime import cuda_program, open_device

RECORD = json.loads((RESULTS / "atomic_rates_h100.json").read_text())["rates"]
FEW = [row for row in RECORD if row["kernel"] == "reduce" and row["words"] <= 8192]
BLOCKS, TURNS = 264, 2
# Which lines share a slice of L2 is the chip's secret: with a handful, a factor of two is luck.
FACTOR = 2.5


def additions_per_ns(words: int, stride: int) -> float:
    device = open_device("emulated")
    kernel = cuda_program(SOURCE)["reduce"]
    memory = device.asarray(np.zeros(words, np.uint32))
    arguments = (memory, np.uint32(words), np.uint32(stride), np.int32(TURNS))
    report = device.profile(kernel, BLOCKS, THREADS, arguments)
    assert max(report.bounds, key=report.bounds.__getitem__) == "atomics"
    return BLOCKS * THREADS * TURNS / report.bounds["atomics"] / 1e3


@pytest.mark.parametrize("row", FEW, ids=lambda row: f"{row['words']} words by {row['stride']}")
def test_additions_to_few_words_take_as_long_as_recorded(row):
    modelled = additions_per_ns(row["words"], row["stride"])
    assert 1 / FACTOR < modelled / row["additions_per_ns"] < FACTOR


def test_the_same_launch_always_takes_the_same_time():
    assert len({additions_per_ns(1024, 8) for _ in range(3)}) == 1
