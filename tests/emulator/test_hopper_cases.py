"""Small kernels of clusters, TMA and wgmma leave what they leave on an H100."""

from __future__ import annotations

import functools

import pytest

from benchmarks.hopper_case import Case
from benchmarks.hopper_cases import agrees, cases, recorded
from kernels.runtime import EmulatedDevice, Program

ALL = cases()
AGAIN = "run on an H100: python -m benchmarks.hopper_cases"


@functools.cache
def program(source: str, options: tuple[str, ...]) -> Program:
    return next(c for c in ALL if (c.source, c.options) == (source, options)).program()


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_a_case_leaves_what_it_should(case: Case) -> None:
    device = EmulatedDevice(timeout_s=120)
    placed = case.on(device)
    kernel = program(case.source, case.options)
    theirs = recorded().get(case.name)
    counted = theirs["counters"] if theirs else {}
    counters = {name: counted[name] for name in case.counters if name in counted}
    report = case.run(device, kernel, placed, "profile" if counters else "launch")
    found = [device.to_host(array) for array in placed.outputs]
    for output, expected in zip(found, placed.expected or (), strict=False):
        assert not case.differs(output, expected)
    if theirs is not None:
        differ = [agrees(case, o, e) for o, e in zip(found, theirs["outputs"], strict=True)]
        assert not any(differ), f"{differ}; if the case has changed, {AGAIN}"
        ours = {name: report.counters.get(name) for name in counters} if counters else {}
        assert ours == counters


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_no_check_complains_about_a_case(case: Case) -> None:
    device = EmulatedDevice(timeout_s=120)
    placed = case.on(device)
    report = device.profile(
        program(case.source, case.options)[case.kernel], case.grid, case.block, placed.arguments,
        case.shared_bytes, cluster=case.cluster, checks="all",
    )  # fmt: skip
    assert report.findings == ()


def test_what_is_recorded_is_of_cases_that_there_are() -> None:
    assert recorded().keys() <= {case.name for case in ALL}, AGAIN
