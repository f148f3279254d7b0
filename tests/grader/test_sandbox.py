"""A learner's program cannot do harm, and whatever it does becomes a clear message."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from emulator import A100
from grader.frames import Frame, read_frames
from grader.lab import Case
from grader.sandbox import Failure, Limits, Recording, record_cases
from grader.submission import Submission
from kernels.runtime import ArraySpec, Plan

SOLVE = """
def solve(device, x):
    return device.empty(x.shape, x.dtype)
"""
CASES = [(Case(f"n={n}", {"n": n}), (ArraySpec("x", (n,), "float32"), 0.5)[:1]) for n in (10, 20)]


def recorded(text: str, limits: Limits | None = None) -> Recording:
    files = (("task.py", text.encode()),)
    root = Path(__file__).resolve().parents[2]
    return record_cases(Submission("task", Path("task.py"), files), CASES, root, limits)


def failure(text: str, limits: Limits | None = None) -> Failure:
    outcome = recorded(text, limits).outcome("n=20")
    assert isinstance(outcome, Failure), "a plan came back"
    return outcome


def test_a_plan_comes_back_for_every_case() -> None:
    done = recorded(SOLVE)
    assert done.failure is None
    for n in (10, 20):
        outcome = done.outcome(f"n={n}")
        assert isinstance(outcome, bytes)
        assert Plan.from_bytes(outcome).outputs[0].shape == (n,)


def test_kernels_are_compiled_for_the_chip_that_will_run_them() -> None:
    text = (
        "from kernels.runtime import cuda_program\n"
        "program = cuda_program('extern \"C\" __global__ void k() {}\\n')\n"
        "def solve(device, x):\n    device.launch(program['k'], 1, 1, ())\n    return x\n"
    )
    files = (("task.py", text.encode()),)
    root = Path(__file__).resolve().parents[2]
    done = record_cases(Submission("task", Path("task.py"), files), CASES, root, arch=A100)
    plan = done.outcome("n=10")
    assert isinstance(plan, bytes)
    assert [chip for chip, _ in Plan.from_bytes(plan).codes[0].cubins] == ["sm_90", "sm_80"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("def solve(device, x)\n    return x\n", "syntax-error", "task.py, line 1"),
        ("import os\nos._exit(0)\n", "ended-early", "exit code 0, while your file was being"),
        ("import sys\nsys.exit('no')\n", "ended-early", "SystemExit, no"),
        ("import os\nos.abort()\n", "ended-early", "SIGABRT"),
        ("import ctypes\nctypes.string_at(0)\n", "ended-early", "SIGSEGV"),
        ("big = bytearray(100 << 30)\n", "out-of-memory", "task.py, line 1"),
        ("import numpy\nnumpy.zeros(100 << 30)\n", "out-of-memory", "task.py, line 2"),
        ("1 / 0\n", "raised", "ZeroDivisionError in task.py, line 1"),
        ("raise type('Mine', (Exception,), {})('!')\n", "raised", "Mine in task.py"),
        ("import no_such_module\n", "raised", "no_such_module"),
        ("input()\n", "raised", "EOF"),
        ("def solution(): ...\n", "no-solve", "functions it has: solution"),
        ("solve = 3\n", "no-solve", "not a function"),
        ("", "no-solve", "none"),
        ("def solve(device): ...\n", "wrong-signature", "solve(device)"),
        ("def solve(device, x): ...\n", "wrong-return", "None"),
        ("def solve(device, x):\n    return [1]\n", "wrong-return", "returned 1"),
        ("def solve(device, x):\n    return x[0]\n", "raised", "task.py, line 2"),
        ("def solve(device, x):\n    if x: return x\n", "raised", "must not depend on the data"),
        ("def solve(d, x):\n    return solve(d, x)\n", "raised", "RecursionError"),
        (
            "from kernels.runtime import cuda_program\n"
            "program = cuda_program('__global__ void k() { oops; }\\n', name='k.cu')\n",
            "compile-error",
            "k.cu(1): error",
        ),
        (
            "from kernels.runtime import cuda_program\n"
            "program = cuda_program('extern \"C\" __global__ void k() {}\\n')\n"
            "def solve(device, x):\n    device.launch(program['kk'], 1, 1, ())\n",
            "bad-launch",
            "did you mean 'k'",
        ),
        (
            "from kernels.runtime import cuda_program\n"
            "program = cuda_program('extern \"C\" __global__ void k() {}\\n')\n"
            "def solve(device, x):\n    device.launch(program['k'], 0, 1, ())\n",
            "bad-launch",
            "grid.x is 0",
        ),
    ],
)
def test_what_goes_wrong_is_named_with_the_learners_line(text: str, code: str, words: str) -> None:
    found = failure(text)
    assert found.code == code, found
    assert words in found.message


@pytest.mark.parametrize("text", ["while True:\n    pass\n", "import time\ntime.sleep(600)\n"])
def test_an_endless_program_is_stopped_where_it_was(text: str) -> None:
    started = time.monotonic()
    found = failure(text, Limits(wall_seconds=2))
    assert found.code == "timed-out"
    assert "task.py, line" in found.message
    assert time.monotonic() - started < 20


def test_processor_time_is_limited_too() -> None:
    found = failure("while True:\n    pass\n", Limits(cpu_seconds=1))
    assert found.code == "timed-out"
    assert "processor time" in found.message


def test_one_case_that_fails_does_not_hide_the_others() -> None:
    done = recorded(
        "def solve(device, x):\n    if x.size == 20:\n        raise ValueError('twenty')\n"
        "    return device.empty(x.shape, x.dtype)\n"
    )
    assert isinstance(done.outcome("n=10"), bytes)
    outcome = done.outcome("n=20")
    assert isinstance(outcome, Failure) and "twenty" in outcome.message


def test_a_program_that_ends_in_a_case_is_blamed_there() -> None:
    done = recorded(
        "import os\ndef solve(device, x):\n    if x.size == 20:\n        os._exit(3)\n"
        "    return device.empty(x.shape, x.dtype)\n"
    )
    assert isinstance(done.outcome("n=10"), bytes)
    outcome = done.outcome("n=20")
    assert isinstance(outcome, Failure)
    assert (outcome.code, "inside solve" in outcome.message) == ("ended-early", True)


def test_what_is_printed_is_kept_short_and_clean() -> None:
    done = recorded("print('\\x1b[31mred\\x1b[0m' + 'x' * 100_000)\n" + SOLVE)
    assert done.printed.startswith("redx")
    assert len(done.printed) < 5000
    assert "100,0" in done.printed


def test_files_cannot_grow_without_end() -> None:
    found = failure("with open('big', 'wb') as file:\n    while True: file.write(bytes(1 << 20))\n")
    assert "File too large" in found.message


def test_the_environment_and_the_home_folder_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "12345")
    done = recorded("import os\nprint(dict(os.environ), os.path.expanduser('~'))\n" + SOLVE)
    assert "12345" not in done.printed
    assert str(Path.home()) + "'" not in done.printed
    assert "coalesce-" in done.printed


@pytest.mark.parametrize("namespaces", [True, False])
def test_no_network(namespaces: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5)\n"
        done = recorded(text + SOLVE, Limits(namespaces=namespaces))
    walls = done.held
    closed = walls["network"].startswith("none") or "tcp" in walls
    assert closed == (done.failure is not None)


def test_children_end_with_their_program() -> None:
    """Also without a process namespace: the one who waits takes in the orphans and ends them."""
    for namespaces in (True, False):
        token = f"orphan-{os.getpid()}-{namespaces}"
        text = (
            "import ctypes, os, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    if os.fork() == 0:\n"
            f"        ctypes.CDLL(None).prctl(15, b'{token[:15]}')\n"
            "        time.sleep(600)\n"
            "    os._exit(0)\n"
            "time.sleep(0.2)\n"
        )
        done = recorded(text + SOLVE, Limits(namespaces=namespaces))
        assert done.failure is None, done.failure
        names = [_name(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        assert token[:15] not in names


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def test_the_sandbox_says_which_walls_stand() -> None:
    with_all, without = recorded(SOLVE), recorded(SOLVE, Limits(namespaces=False))
    assert {"network", "processes", "files", "programs", "limits"} <= set(with_all.held)
    assert without.held["network"].startswith("the machine's")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recorded("open('a file', 'w').write('x')\n" + SOLVE)
    assert list(tmp_path.iterdir()) == []


def test_damaged_frames_end_the_reading() -> None:
    good = b'24 3\n{"kind":"a","fields":{}}xyz'
    assert read_frames(good) == (Frame("a", {}, b"xyz"),)
    for damaged in (b"", b"nonsense\n", b"1 1\n", b"3 0\n[1]", b"-1 5\nabc", b"9" * 60, good[:-1]):
        assert read_frames(damaged) == ()
        assert read_frames(good + damaged)[:1] == (Frame("a", {}, b"xyz"),)
