"""A course with one small lab, and submissions to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grader.bench import Bench
from grader.lab import Case, Expected, Limit, Task
from grader.submission import Submission
from kernels.runtime import ArraySpec, open_device

DOUBLE = '''
from kernels.runtime import cuda_program

program = cuda_program("""
extern "C" __global__ void twice(const float* x, float* y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    BODY
}
""")


def solve(device, x):
    y = device.empty(x.shape, x.dtype)
    device.launch(program["twice"], -(-x.size // 256), 256, (x, y, x.size))
    return y
'''
RIGHT = "if (i < n) y[i] = 2 * x[i];"


def _double(body: str = RIGHT) -> str:
    return DOUBLE.replace("BODY", body)


@pytest.fixture
def double() -> Callable[..., str]:
    """A submission to the task ``double``: right, or with another body of its kernel."""
    return _double


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches which hints somebody has seen."""
    monkeypatch.setenv("COALESCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def task() -> Task:
    """y = 2 * x, on 100, 1000 and, counted, 4096 floats."""

    def sized(n: int, counted: bool = False, hidden: bool = False) -> Case:
        return Case(f"n={n}", {"n": n}, counted=counted, hidden=hidden)

    return Task(
        name="double",
        title="Double",
        goal="y = 2 * x",
        public=(sized(100), sized(1000), sized(4096, counted=True)),
        draw_hidden=lambda rng: (sized(int(rng.integers(2000, 3000)), hidden=True),),
        arguments=lambda case: (ArraySpec("x", (case["n"],), "float32"),),
        make_inputs=lambda case, rng: (rng.standard_normal(case["n"]).astype(np.float32),),
        reference=lambda case, x: (Expected(2 * x.astype(np.float64), "float32", 0.0),),
        tolerance="none: doubling is exact.",
        limits=(
            Limit("sectors", 1.2, 8, "neighbours apart"),
            Limit("requests", 1.2, 8, "too many"),
        ),
        hints=("first", "second"),
        moved_bytes=lambda case: 8 * case["n"],
    )


@pytest.fixture
def bench(tmp_path: Path, repository: Path) -> Bench:
    """The software GPU, and a solution of the task."""
    solutions = tmp_path / "solutions"
    solutions.mkdir()
    (solutions / "double.py").write_text(_double())
    return Bench(repository, solutions, open_device("emulated"), 3, hidden=False, kernel_seconds=2)


@pytest.fixture
def submit() -> Callable[[str], Submission]:
    """A submission to the task from a file's text."""

    def made(text: str) -> Submission:
        return Submission("double", Path("double.py"), (("double.py", text.encode()),))

    return made
