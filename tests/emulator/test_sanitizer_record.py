"""compute-sanitizer on an H100 and the software GPU say the same of the same kernels.

That the software GPU names the planted lines and no other is tested beside each checker; here the
recorded runs of compute-sanitizer are held to the same lines, but for what it cannot see.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.sanitizer import RECORD, all_cases

# Where compute-sanitizer says something else, and why the software GPU is not made to agree.
DIFFERENT = {
    ("local array overrun", "memcheck"): "sees local memory's end, not an array's within it",
    ("histogram cleared without a barrier", "racecheck"): "takes atomics for no access",
    ("histogram copied out without a barrier", "racecheck"): "takes atomics for no access",
    ("producer and consumer warps, named barriers", "racecheck"): "does not order by bar.arrive",
    ("warps hand over through a flag in shared memory", "racecheck"): "orders by barriers alone",
    ("copies that arrive at an mbarrier", "synccheck"): "misses a wait before arrivals of copies",
    ("halo that nobody loads", "initcheck"): "watches global memory alone",
    ("accumulator in shared memory that nobody cleared", "initcheck"): "watches global memory",
    ("padding of a tile's last row", "initcheck"): "watches global memory alone",
}


def recorded() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(RECORD.read_text())["cases"]
    return rows


@pytest.mark.parametrize("tool", ("memcheck", "racecheck", "initcheck", "synccheck"))
def test_compute_sanitizer_names_the_planted_lines(tool: str) -> None:
    rows = [row for row in recorded() if row["tool"] == tool]
    assert rows, "the record holds no run of this tool"
    other = {
        (row["case"], row["tool"])
        for row in rows
        if row["lines"] != row["planted"] or row["failed"]
    }
    assert other == {name for name in DIFFERENT if name[1] == tool}


def test_the_record_holds_every_case_there_is() -> None:
    planted = {case.name: sorted(case.lines) for case in all_cases()}
    rows = recorded()
    assert {row["case"] for row in rows if not row["planted"]} >= {
        case.name for case in all_cases() if not case.check
    }
    for row in rows:
        if row["planted"]:
            assert planted[row["case"]] == row["planted"]
