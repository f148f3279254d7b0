"""racecheck: planted races are found on their lines, correct kernels are left in peace."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.coalescing import ENTRIES, place
from kernels.runtime import EmulatedDevice
from tests.emulator.checked import run
from tests.emulator.planted import COPIES, CORRECT, GLOBAL_RACES, HARMLESS, SHARED_RACES, Case


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", (*SHARED_RACES, *COPIES, *GLOBAL_RACES), ids=by_name)
def test_a_planted_race_is_found_on_its_lines(case: Case) -> None:
    findings = run(case)
    assert {f.check for f in findings} == {"racecheck"}
    assert {side.line for f in findings for side in f.sides} == case.lines
    assert all(f.severity == "error" and case.kind in f.kind for f in findings)
    for first, second in (f.sides for f in findings):
        assert (first.block, first.thread) != (second.block, second.thread) or case in COPIES
        assert "write" in (first.kind, second.kind) or "atomic" in (first.kind, second.kind)


@pytest.mark.parametrize("case", CORRECT, ids=by_name)
def test_a_correct_kernel_is_left_in_peace(case: Case) -> None:
    assert run(case, ("racecheck", "initcheck")) == ()


@pytest.mark.parametrize("case", HARMLESS, ids=by_name)
def test_writes_of_equal_values_are_mentioned_not_called_errors(case: Case) -> None:
    (finding,) = run(case)
    assert finding.severity == "info" and case.kind in finding.kind
    assert {finding.line} == case.lines
    assert "the result is the same" in finding.message


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_the_coalescing_kernels_are_left_in_peace(name: str) -> None:
    device = EmulatedDevice()
    entry = next(e for e in ENTRIES if e.name == name)
    launch = place(device, entry, 1 << 13, entry.typical, np.random.default_rng(0)).launch(device)
    report = device.profile(
        launch.kernel, launch.grid, launch.block, launch.args, launch.shared_bytes, checks="all"
    )
    assert report.findings == ()
