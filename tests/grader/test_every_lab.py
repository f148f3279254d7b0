"""Every lab: its tasks are whole, its solutions pass, and no check has anything to say of them."""

from __future__ import annotations

import numpy as np
import pytest

from grader.catalogue import course
from kernels.runtime import open_device, record
from tests.grader.labs import graded, task_of

TASKS = [(lab, task.name) for lab in course().names() for task in course().lab(lab).tasks]
every = pytest.mark.parametrize(("lab", "name"), TASKS)


@every
def test_a_task_is_whole(lab: str, name: str) -> None:
    task = task_of(lab, name)
    assert len(task.hints) >= 3
    assert any(case.counted for case in task.public)
    assert any(case.devices == ("cuda",) for case in task.public)
    assert any("emulated" in case.devices and not case.counted for case in task.public)
    names = [case.name for case in task.public]
    assert len(set(names)) == len(names)
    assert task.moved_bytes(task.public[0]) > 0


@every
@pytest.mark.parametrize("seed", [1, 2])
def test_solutions_pass(lab: str, name: str, seed: int) -> None:
    verdict = graded(lab, name, course().solutions / course().lab(lab).name, seed)
    assert verdict.passed, verdict.message
    assert verdict.speed == pytest.approx(1.0)


@every
def test_no_check_has_anything_to_say_of_a_solution(lab: str, name: str) -> None:
    task, device = task_of(lab, name), open_device("emulated")
    path = course().solutions / course().lab(lab).name / f"{name}.py"
    space: dict[str, object] = {"__file__": str(path)}
    exec(path.read_text(), space)
    for case in task.public[:3]:
        plan = record(space["solve"], *task.arguments(case))  # type: ignore[arg-type]
        loaded = plan.load(device, task.make_inputs(case, np.random.default_rng(1)))
        for call in loaded.calls():
            assert call.by(device.profile, checks=("all",)).findings == ()
