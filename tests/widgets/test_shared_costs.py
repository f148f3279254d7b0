from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recorded
from kernels import bank_conflicts
from kernels.runtime import EmulatedDevice
from widgets import cost, shared_table, transposes_beside_copies
from widgets.costs import Cost


@pytest.fixture(scope="module")
def costs() -> list[Cost]:
    device = EmulatedDevice()
    x = device.asarray(np.ones((64, 64), dtype=np.float32))
    y = device.empty((64, 64), np.float32)
    steps = (bank_conflicts.transpose_naive, bank_conflicts.transpose_tiled)
    return [cost(device, step, x, y, useful_bytes=2 * x.nbytes) for step in steps]


@dataclass(frozen=True)
class Transpose:
    name: str
    case: str
    gigabytes_per_s: float
    of_copy: float | None


@dataclass(frozen=True)
class Record:
    origin: recorded.Origin
    transposes: tuple[Transpose, ...]


def nothing() -> recorded.BankConflicts:
    return recorded.bank_conflicts(Path("nowhere") / "nothing.json")


def test_a_table_says_what_conflicts_cost(costs: list[Cost]) -> None:
    naive, tiled = repr(shared_table(costs)).splitlines()[1:3]
    assert naive.split()[:3] == ["transpose_naive", "4", "32"]
    assert tiled.split()[:6] == ["transpose_tiled", "4", "4", "32", "1", "94%"]


def test_what_nothing_does_has_no_column(costs: list[Cost]) -> None:
    assert "atomic" not in repr(shared_table(costs))
    assert "wavefronts" not in repr(shared_table(costs[:1])).splitlines()[0]


def test_what_is_not_recorded_is_said(costs: list[Cost]) -> None:
    for shown in (shared_table(costs, nothing), transposes_beside_copies(nothing)):
        assert "python -m benchmarks.bank_conflicts_h100" in repr(shown)
        assert "ecorded" in shown._repr_html_()


def test_times_of_two_kinds_make_no_table(costs: list[Cost]) -> None:
    measured = replace(costs[0], timing=replace(costs[0].timing, kind="measured"))
    with pytest.raises(ValueError, match="times of one kind"):
        shared_table([measured, costs[1]])


def test_transposes_are_shown_as_shares_of_a_copy() -> None:
    record = Record(
        recorded.Origin("NVIDIA H100", "2026-11-23", "python -m x"),
        (
            Transpose("transpose_best", "8192 x 8192", 2900.0, 0.97),
            Transpose("torch", "8192 x 8192", 971.0, 0.32),
            Transpose("copy_best", "8192 x 8192", 2990.0, 1.0),
            Transpose("transpose_best", "3 x 4", 1.0, None),
        ),
    )
    lines = repr(transposes_beside_copies(lambda: record)).splitlines()
    assert lines[1].split("  ") == ["8192 x 8192", "2,990", "2,900", "97%", "971", "32%"]
    assert lines[-1] == "Recorded: NVIDIA H100, 2026-11-23, by: python -m x"
