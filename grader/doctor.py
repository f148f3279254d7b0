"""What works on this machine, and what to do where something does not."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from grader.catalogue import Course
from grader.hints import state_directory
from grader.names import OURS, found_at, stranger

PACKAGES = ("numpy", "llvmlite", "numba", "numba-cuda", "cuda-bindings")
KERNEL = 'extern "C" __global__ void fill(int* out) { out[threadIdx.x] = threadIdx.x; }\n'


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        lines = [f"{'ok  ' if self.ok else 'FAIL'}  {self.what}: {self.found}"]
        return "\n".join([*lines, f"      {self.advice}"] if self.advice else lines)


def examine(course: Course) -> list[Examined]:
    """Everything, in the order in which one thing needs another."""
    found = [_python(), _packages(), *_names()]
    if all(one.ok for one in found):
        found += [_cache(), _state(), *_devices(), _child(course)]
    return [*found, *_labs(course)]


def as_json(findings: list[Examined]) -> str:
    """For a program to read."""
    return json.dumps([asdict(f) for f in findings], indent=2)


def _python() -> Examined:
    version = platform.python_version()
    return Examined(
        "Python", sys.version_info >= (3, 11), f"{version}, {sys.executable}",
        "" if sys.version_info >= (3, 11) else "3.11 or newer is needed: make start PYTHON=...",
    )  # fmt: skip


def _packages() -> Examined:
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    advice = f"missing: {', '.join(missing)}; run `make setup` and use .venv" if missing else ""
    return Examined("packages", not missing, ", ".join(versions), advice)


def _names() -> Iterator[Examined]:
    for name in OURS:
        wrong = stranger(name)
        yield Examined(f"import {name}", wrong is None, str(found_at(name)), wrong or "")


def _cache() -> Examined:
    from emulator.cache import directory

    return _writable("compiled kernels", directory(), "COALESCE_CACHE")


def _state() -> Examined:
    return _writable("hints seen", state_directory(), "COALESCE_STATE")


def _writable(what: str, folder: Path, variable: str) -> Examined:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Examined(what, True, f"kept in {folder}")
    except OSError as error:
        return Examined(
            what, False, f"cannot be kept in {folder}: {error.strerror}",
            f"everything works without, only slower; to keep them, set {variable} to a folder of "
            "yours",
        )  # fmt: skip


def _devices() -> Iterator[Examined]:
    import numpy as np

    from emulator.nvrtc import version
    from kernels.runtime import EmulatorError, RuntimeFault, cuda_program, open_device
    from kernels.runtime.device import why_no_cuda

    kinds = ["emulated"]
    missing = why_no_cuda()
    if missing is None:
        kinds.append("cuda")
    else:
        yield Examined("GPU", True, f"none is used: {missing}. The software GPU stands in")
    try:
        program = cuda_program(KERNEL)
    except (RuntimeFault, EmulatorError) as error:
        yield Examined("compiler", False, str(error), "run `make setup` again")
        return
    yield Examined("compiler", True, "NVRTC {}.{}".format(*version()))
    for kind in kinds:
        try:
            device = open_device(kind)
            out = device.empty(32, np.int32)
            device.launch(program["fill"], 1, 32, (out,))
            right = bool((device.to_host(out) == np.arange(32)).all())
        except (RuntimeFault, EmulatorError) as error:
            yield Examined(kind, False, str(error))
        else:
            yield Examined(kind, right, device.name, "" if right else "it computes wrong numbers")


def _child(course: Course) -> Examined:
    """Whether learners' programs can be run, and behind which walls."""
    from grader.sandbox import record_cases
    from grader.submission import Submission

    probe = Submission("probe", Path("probe.py"), (("probe.py", b""),))
    done = record_cases(probe, [], course.root)
    walls = {k: v for k, v in done.held.items() if v.startswith(("the machine's", "not fenced"))}
    works = done.failure is not None and done.failure.code == "no-solve"
    if not works:
        why = done.failure.message if done.failure else "no answer"
        return Examined("learners' programs", False, f"cannot be run: {why} {done.printed}")
    if not walls:
        return Examined("learners' programs", True, "run without network, in a folder of their own")
    gaps = "; ".join(f"{what}: {why}" for what, why in walls.items())
    return Examined(
        "learners' programs", True, f"run, with limits, but {gaps}",
        "fine for your own files; to judge other people's, use a machine or container that permits "
        "user namespaces",
    )  # fmt: skip


def _labs(course: Course) -> Iterator[Examined]:
    for lab in course.names():
        folder = course.labs / lab
        there = folder.is_dir() and os.access(folder, os.W_OK)
        advice = "" if there else "`python -m grader make-labs` writes the starters"
        yield Examined(f"labs/{lab}", there, "there" if there else "not there", advice)
    git = subprocess.run(
        ["git", "-C", str(course.root), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    ) if _has("git") else None  # fmt: skip
    if git is not None and git.returncode == 0:
        yield Examined("course", True, f"version {git.stdout.strip()}")


def _has(program: str) -> bool:
    from shutil import which

    return which(program) is not None
