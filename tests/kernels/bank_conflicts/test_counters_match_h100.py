"""The software GPU counts the topic's wavefronts as Nsight Compute read them on an H100."""

from __future__ import annotations

import json

import pytest

from benchmarks.ncu_bank_conflicts import METRICS, launches
from benchmarks.origin import RESULTS

FILE = RESULTS / "bank_conflicts_counters_h100.json"
AGAIN = "run on a GPU: python -m benchmarks.ncu_bank_conflicts"


@pytest.fixture(scope="module")
def recorded():
    assert FILE.exists(), f"{FILE} is missing; {AGAIN}"
    return json.loads(FILE.read_text())


def test_the_record_is_of_an_h100(recorded):
    assert "H100" in recorded["origin"]["device"]
    assert recorded["origin"]["command"] and recorded["ncu"]


def test_every_wavefront_is_the_hardwares(device, recorded):
    every = launches(device)
    cases = [(r["entry"], tuple(r["sizes"]), r["pattern"]) for r in recorded["launches"]]
    mine = [(case.entry, case.sizes, case.pattern) for case, _, _ in every]
    assert mine == cases, f"the cases have changed since; {AGAIN}"
    differ = []
    for record, (case, _, launch) in zip(recorded["launches"], every, strict=True):
        ours = device.profile(launch.kernel, launch.grid, launch.block, launch.args).counters
        theirs = record["counters"]
        differ += [
            f"{case}, {metric}: {ours[metric]}, ncu {theirs.get(metric)}"
            for metric in METRICS
            if ours[metric] != theirs.get(metric)
        ]
    assert not differ
