"""The software GPU counts what Nsight Compute read on an H100, launch by launch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.counter_cases import CounterCase, counter_cases
from benchmarks.origin import RESULTS
from kernels.coalescing import BY_NAME, ENTRIES, place

FILE = RESULTS / "coalescing_counters_h100.json"
EXACT = [
    f"l1tex__t_{what}_pipe_lsu_mem_global_op_{direction}.sum"
    for what in ("requests", "sectors")
    for direction in ("ld", "st")
]
AGAIN = "run on a GPU: python -m benchmarks.ncu_counters"


@pytest.fixture(scope="module")
def launches():
    assert FILE.exists(), f"{FILE} is missing; {AGAIN}"
    return json.loads(FILE.read_text())["launches"]


def test_the_record_is_of_an_h100():
    assert FILE.exists(), f"{FILE} is missing; {AGAIN}"
    origin = json.loads(FILE.read_text())["origin"]
    assert "H100" in origin["device"]
    assert origin["date"] and origin["command"] and origin["driver"]


def test_every_case_is_recorded(launches):
    recorded = {CounterCase.of(launch) for launch in launches}
    assert recorded == set(counter_cases()), f"the cases have changed since; {AGAIN}"


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_requests_and_sectors_are_the_hardwares(device, launches, name):
    differ = []
    mine = [launch for launch in launches if launch["entry"] == name]
    assert mine, f"no launch of {name} is recorded; {AGAIN}"
    for recorded in mine:
        case = CounterCase.of(recorded)
        placed = place(
            device, BY_NAME[name], case.n, case.numbers, np.random.default_rng(0),
            shift_in=case.shift_in, shift_out=case.shift_out,
        )  # fmt: skip
        launch = placed.launch(device)
        shape = launch.blocks, launch.threads
        assert shape == (recorded["grid"], recorded["block"]), (
            f"{case}: launched otherwise; {AGAIN}"
        )
        found = device.profile(launch.kernel, launch.grid, launch.block, launch.args).counters
        hardware = {metric: recorded["counters"].get(metric) for metric in EXACT}
        ours = {metric: found[metric] for metric in EXACT}
        if ours != hardware:
            differ.append((case, ours, hardware))
    assert not differ, f"{len(differ)} of {len(mine)} launches differ: {differ[:3]}"
