"""memcheck: accesses outside of what was allocated end the launch and name the line."""

from __future__ import annotations

import pytest

from emulator import DeviceFault
from tests.emulator.checked import run
from tests.emulator.planted import OUTSIDE, Case


@pytest.mark.parametrize("checks", ["memcheck", "all"])
@pytest.mark.parametrize("case", OUTSIDE, ids=lambda case: case.name)
def test_a_planted_access_ends_the_launch_on_its_line(case: Case, checks: str) -> None:
    with pytest.raises(DeviceFault) as caught:
        run(case, checks)
    finding = caught.value.finding
    assert finding.check == "memcheck"
    assert {finding.line} == case.lines
    assert case.kind in finding.kind
