"""Turning checks on: their names, where findings go, what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import Report
from kernels.runtime import EmulatedDevice, cuda_program

SOURCE = r"""
extern "C" __global__ void reverse(const float* in, float* out) {
  __shared__ float tile[64];
  tile[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = tile[63 - threadIdx.x];
}
"""


def profile(checks: object, in_: np.ndarray | None = None) -> Report:
    device = EmulatedDevice()
    values = np.arange(64, dtype=np.float32) if in_ is None else in_
    args = (device.asarray(values), device.empty(64, np.float32))
    program = cuda_program(SOURCE)
    return device.profile(program["reverse"], 1, 64, args, checks=checks)  # type: ignore[arg-type]


def test_an_unknown_check_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no check 'racechek'; there are memcheck, racecheck"):
        profile(["racechek"])


def test_checks_are_off_unless_asked_for() -> None:
    assert profile(()).findings == ()
    assert profile(("memcheck",)).findings == ()


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        (["racecheck"], {"racecheck"}),
        (["initcheck"], {"initcheck"}),
        ("racecheck", {"racecheck"}),
        ("all", {"racecheck", "initcheck"}),
        ({"all"}, {"racecheck", "initcheck"}),
    ],
)
def test_each_check_finds_its_own(checks: object, expected: set[str]) -> None:
    assert {finding.check for finding in profile(checks).findings} == expected


def test_findings_do_not_change_counters_or_end_the_launch() -> None:
    plain, checked = profile(()), profile("all")
    assert checked.counters == plain.counters
    assert checked.time_us == plain.time_us


def test_a_race_names_both_sides_and_what_is_lost() -> None:
    (finding, *_) = (f for f in profile("racecheck").findings if "read-after" in f.kind)
    first, second = finding.sides
    assert (first.kind, first.line, first.source_text) == (
        "write", 4, "tile[threadIdx.x] = in[threadIdx.x];",
    )  # fmt: skip
    assert (second.kind, second.line) == ("read", 5)
    assert first.thread == (31, 0, 0) and second.thread == (32, 0, 0)
    assert finding.count == 32
    assert "on tile[31] (shared)" in finding.message
    assert "the read gets 31, or what was there before" in finding.message
    assert "32 times in this launch" in finding.message


def test_findings_are_printed_with_the_report() -> None:
    assert "read-after-write hazard on tile[" in str(profile("racecheck"))
