"""What a task's verdict says of right and wrong kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grader.bench import Bench
from grader.judge import judge
from grader.lab import Case, Limit, Task
from grader.submission import Submission
from grader.verdict import TaskVerdict
from kernels.runtime import EmulatedDevice

Submit = Callable[[str], Submission]
Double = Callable[..., str]


def verdict(task: Task, bench: Bench, submission: Submission) -> TaskVerdict:
    return judge(task, submission, bench, lambda _: None)


def test_a_right_kernel_passes_with_its_counts_beside_the_solutions(
    task: Task, bench: Bench, submit: Submit, double: Double
) -> None:
    found = verdict(task, bench, submit(double()))
    assert (found.passed, found.code) == (True, "passed")
    counted = found.cases[-1].measures
    assert [(m.name, m.yours, m.solution) for m in counted] == [
        ("sectors", 1024, 1024), ("requests", 256, 256)
    ]  # fmt: skip
    assert found.speed == pytest.approx(1.0)
    assert found.speed_kind == "modelled"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("y[i] = 2 * x[i];", "kernel-fault", "Is there a guard"),
        ("if (i < n - 1) y[i] = 2 * x[i];", "not-written", "The last one is left out"),
        ("if (i < n && i > 0) y[i] = 2 * x[i];", "not-written", "The first one is left out"),
        ("if (i < n) y[i] = x[i];", "wrong-values", "every wrong element is 0.5 times"),
        ("if (i < n) y[i] = 2 * x[(i + 1) % n];", "wrong-values", "1 element to its right"),
        ("if (i < n) y[i] = 0;", "wrong-values", "all wrong ones are 0"),
        ("if (i < n) y[i] = 7;", "wrong-values", "does not depend on the input"),
        ("if (i < n) y[i] = 2 * x[i] / (i % 8 != 3);", "not-finite", "i % 8 == 3"),
        ("if (i < n) y[i] = 2 * x[i] * 1.0001f;", "wrong-values", "all are close"),
        ("if (i < n) y[n - 1 - i] = 2 * x[i];", "wrong-values", "in the wrong places"),
        ("if (i < n) y[i] = 2 * x[i], const_cast<float*>(x)[i] = 0;", "input-changed", "'x'"),
        ("while (n > 0) { if (y[0] == 5) break; }", "kernel-fault", "none of them can go on"),
        ("for (unsigned k = 1; k != 0; k += 2) *(volatile float*)y = k;", "kernel-timed-out",
         "loop"),
        ("__trap();", "kernel-fault", "trap"),
        ("__shared__ float s[1024]; if (i < n) { s[threadIdx.x] = x[i]; y[i] = 2 * x[i]; }"
         " if (threadIdx.x + 1 < blockDim.x && i + 1 < n) y[i + 1] = 2 * s[threadIdx.x + 1];",
         "hazard", "right by luck"),
        ("if (i == 0) *(float*)(size_t)(n / 9999) = 0;", "kernel-fault", "null pointer"),
        ("if (i < n) y[(i * 8) % n + (i * 8) / n] = 2 * x[(i * 8) % n + (i * 8) / n];",
         "too-costly", "32 bytes or more apart"),
        ("if (i < n) { y[i] = x[i]; y[i] = 2 * x[i]; y[i] += 0; }", "too-costly", "more than once"),
    ],
)  # fmt: skip
def test_each_kind_of_wrong_has_its_words(
    task: Task, bench: Bench, submit: Submit, double: Double, body: str, code: str, words: str
) -> None:
    if code == "too-costly":  # a permutation only where 8 divides n
        task = replace(task, public=task.public[2:])
    found = verdict(task, bench, submit(double(body)))
    assert found.code == code, found.message
    assert words in f"{found.message}\n{found.meaning}"
    assert found.passed == (code == "passed")


def test_hidden_cases_are_drawn_from_the_seed(
    task: Task, bench: Bench, submit: Submit, double: Double
) -> None:
    hidden = replace(bench, hidden=True)
    names = {verdict(task, hidden, submit(double())).cases[-1].case for _ in range(2)}
    other = verdict(task, replace(hidden, seed=4), submit(double())).cases[-1]
    assert len(names) == 1
    assert other.kind == "hidden"
    assert other.case not in names


def test_a_kernel_for_the_public_sizes_alone_fails_on_a_hidden_one(
    task: Task, bench: Bench, submit: Submit, double: Double
) -> None:
    body = "if (i < n && (n == 100 || n == 1000 || n == 4096)) y[i] = 2 * x[i];"
    assert verdict(task, bench, submit(double(body))).passed
    found = verdict(task, replace(bench, hidden=True), submit(double(body)))
    assert found.code == "not-written"
    assert [case.kind for case in found.cases if not case.passed] == ["hidden"]


def test_an_answer_kept_from_the_first_run_is_noticed(
    task: Task, bench: Bench, submit: Submit, double: Double
) -> None:
    text = double("if (i < n) { if (!done[i]) kept[i] = 2 * x[i]; done[i] = 1; y[i] = kept[i]; }")
    text = text.replace(
        'extern "C"', '__device__ float kept[4096];\n__device__ int done[4096];\nextern "C"'
    )
    found = verdict(task, bench, submit(text))
    assert found.code == "not-repeatable"
    assert "kept from one run to the next" in found.meaning


def test_a_numba_kernel_is_judged_alike(
    task: Task, bench: Bench, submit: Submit, double: Double
) -> None:
    found = verdict(task, bench, submit(
        "from numba import cuda\n"
        "@cuda.jit\n"
        "def twice(x, y):\n"
        "    i = cuda.grid(1)\n"
        "    if i < x.size:\n"
        "        y[i] = x[i] + x[i]\n"
        "def solve(device, x):\n"
        "    y = device.empty(x.shape, x.dtype)\n"
        "    device.launch(twice, -(-x.size // 256), 256, (x, y))\n"
        "    return y\n"
    ))  # fmt: skip
    assert found.passed, found.message


class PretendedGpu(EmulatedDevice):
    """The software GPU behind a real one's interface; times are the launches' modelled ones."""

    kind = "cuda"
    stream = 0

    def prepare(self, *launch: Any, **together: Any) -> Any:
        device = self

        class Ready:
            def start(self, stream: int) -> None:
                device.took += device.profile(*launch, **together).time_us or 0.0

        return Ready()

    def time_work(self, work: Any, *, repeat: int, warmup: int) -> list[float]:
        self.took = 0.0
        work(0)
        return [self.took]

    def range(self, label: str) -> Any:
        from contextlib import nullcontext

        return nullcontext(label)


@pytest.fixture
def on_gpu(task: Task, bench: Bench) -> tuple[Task, Bench]:
    large = Case("n=8000000", {"n": 1 << 20}, devices=("cuda",))
    return replace(task, public=(*task.public[:1], large)), replace(bench, device=PretendedGpu())


def test_on_a_gpu_speed_is_relative_to_the_solution(
    on_gpu: tuple[Task, Bench], submit: Submit, double: Double
) -> None:
    task, bench = on_gpu
    found = verdict(task, bench, submit(double()))
    assert found.passed, found.message
    assert found.speed == pytest.approx(1.0)
    assert found.speed_kind == "measured"
    timed = found.cases[-1]
    assert timed.gigabytes_per_s is not None and timed.gigabytes_per_s > 0
    assert timed.share_of_memory_bandwidth is not None


def test_on_a_gpu_a_slow_kernel_is_refused(
    on_gpu: tuple[Task, Bench], submit: Submit, double: Double
) -> None:
    task, bench = on_gpu
    body = "if (i < n) { float s = 0; for (int k = 0; k < 9; ++k) s += ((volatile const float*)x)" \
           "[(i + k * 99991) % n] * (k == 0); y[i] = 2 * s; }"  # fmt: skip
    found = verdict(task, bench, submit(double(body)))
    assert (found.passed, found.code) == (False, "too-slow"), found.message
    assert "the reference solution takes" in " ".join(found.message.split())


def test_on_a_gpu_counts_are_judged_unless_the_kernel_is_faster(
    on_gpu: tuple[Task, Bench], submit: Submit, double: Double
) -> None:
    """L1 can hide on one chip what is uncoalesced all the same."""
    task, bench = on_gpu
    bench = replace(bench, kernel_seconds=30)  # large grids: what is judged is not how fast we are
    counted = Case("n=4096", {"n": 4096}, counted=True)
    task = replace(task, public=(counted, *task.public[1:]), slowest=1e9)
    wasteful = double("if (i < n) { y[i] = x[i]; y[i] = 2 * x[i]; y[i] += 0; }")
    assert verdict(task, bench, submit(wasteful)).code == "too-costly"
    slower = double("for (int k = 0; k < 300; ++k) if (i < n) ((volatile float*)y)[i] = 2 * x[i];")
    (bench.solutions / "double.py").write_text(slower)
    few = replace(task, limits=(Limit("requests", 0.001, 0, "too many"),))
    found = verdict(few, bench, submit(wasteful))
    assert found.passed, found.message
    assert found.speed is not None and found.speed > 1.05


def test_on_a_gpu_what_the_timed_runs_compute_is_checked(
    on_gpu: tuple[Task, Bench], submit: Submit, double: Double
) -> None:
    task, bench = on_gpu
    text = double("if (i < n) y[i] = runs > 1 ? y[i] : 2 * x[i];")
    text = text.replace(
        'extern "C"', '__device__ int runs;\n__global__ void count() { ++runs; }\nextern "C"'
    )
    text = text.replace(
        "    return y", "    device.launch(program['count'], 1, 1, ())\n    return y"
    )
    found = verdict(task, bench, submit(text))
    assert not found.passed


def test_what_the_grader_draws_is_the_same_for_the_same_seed(bench: Bench) -> None:
    one, two = (bench.rng("task", "case", 1).random(4) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, bench.rng("task", "case", 2).random(4))
