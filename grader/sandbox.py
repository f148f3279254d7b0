"""Running a learner's file in a child process, whose only product is plans, as bytes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from emulator import H100
from grader.explain_failure import ended, exception, timed_out, wrong_signature
from grader.frames import Frame, read_frames
from grader.lab import Argument, Case
from grader.submission import Submission
from grader.verdict import Finding
from kernels.runtime import Arch, ArraySpec

SHOWN = 4000  # characters of what a program printed
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH")


@dataclass(frozen=True)
class Limits:
    """What a learner's program may use while it is recorded; kernels do not run there."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 60
    memory: int = 6 << 30  # address space; NVRTC and Numba together take 1.1 GiB
    processes: int = 64  # and threads
    file_bytes: int = 64 << 20
    namespaces: bool = True  # False: do as where the system does not permit them


@dataclass(frozen=True)
class Failure:
    """Why there is no plan."""

    code: str  # of grader.verdict.CODES
    message: str
    meaning: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Recording:
    """What the child brought back."""

    plans: Mapping[str, bytes]  # by case
    failures: Mapping[str, Failure]  # by case
    failure: Failure | None  # before any case
    printed: str
    held: Mapping[str, str] = field(default_factory=dict)  # the walls that stood

    def outcome(self, case: str) -> bytes | Failure:
        """A case's plan, or why there is none."""
        if self.failure is not None:
            return self.failure
        if case in self.plans:
            return self.plans[case]
        return self.failures.get(case) or Failure("ended-early", "no plan came back for this case")


def record_cases(
    submission: Submission,
    cases: Sequence[tuple[Case, tuple[Argument, ...]]],
    root: Path,
    limits: Limits | None = None,
    arch: Arch = H100,
) -> Recording:
    """Run the submission's file once and record ``solve`` for every case.

    ``arch`` is the chip that kernels are compiled for.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="coalesce-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        job = _prepare(folder, submission, cases, root, limits, arch)
        with contextlib.ExitStack() as stack:
            frames, stacks, out, err = (
                stack.enter_context(tempfile.TemporaryFile()) for _ in range(4)
            )
            code = _run(folder, job, (frames, stacks, out, err), limits)
            said = read_frames(_all(frames, limits.file_bytes))
            printed = _printed(_all(out, limits.file_bytes), _all(err, limits.file_bytes))
            traces = _all(stacks, 1 << 20).decode(errors="replace")
    return _understand(said, code, traces, printed.replace(f"{folder}/files/", ""), cases, limits)


def _prepare(
    folder: Path,
    submission: Submission,
    cases: Sequence[tuple[Case, tuple[Argument, ...]]],
    root: Path,
    limits: Limits,
    arch: Arch,
) -> Path:
    for part in ("files", "work", "home", "cache"):
        (folder / part).mkdir()
    for name, data in submission.files:
        (folder / "files" / name).write_bytes(data)
    job = folder / "job.json"
    job.write_text(
        json.dumps(
            {
                "root": str(root),
                "folder": str(folder),
                "file": str(folder / "files" / submission.main),
                "arch": asdict(arch),
                "cases": [
                    {"name": case.name, "arguments": [_plain(a) for a in arguments]}
                    for case, arguments in cases
                ],
                "limits": {
                    "wall_seconds": limits.wall_seconds,
                    "cpu_seconds": limits.cpu_seconds,
                    "memory": limits.memory,
                    "processes": limits.processes,
                    "file_bytes": limits.file_bytes,
                    "namespaces": limits.namespaces,
                },
            }
        )
    )
    return job


def _plain(argument: Argument) -> Any:
    if isinstance(argument, ArraySpec):
        return {
            "name": argument.name,
            "shape": list(argument.shape),
            "dtype": str(np.dtype(argument.dtype)),
            "offset": argument.offset,
        }
    return argument


def _run(folder: Path, job: Path, files: Sequence[IO[bytes]], limits: Limits) -> int | None:
    """Exit code of the child, below zero for a signal; None when its time was up."""
    frames, stacks, out, err = files
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "work"),
        "LANG": "C.UTF-8",
        "COALESCE_CACHE": str(folder / "cache"),  # nobody else's compiled kernels are in reach
        "NUMBA_CACHE_DIR": str(folder / "cache"),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    } | {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    child = Path(__file__).with_name("child.py")
    command = [sys.executable, "-I", "-B", str(child), str(job)]
    process = subprocess.Popen(
        [*command, str(frames.fileno()), str(stacks.fileno())],
        cwd=folder / "work",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        pass_fds=(frames.fileno(), stacks.fileno()),
        start_new_session=True,
    )
    try:
        return process.wait(limits.wall_seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # The session's processes; those that left it die with the namespace's first process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _all(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    return file.read(most)


def _printed(out: bytes, err: bytes) -> str:
    text = (out[: 4 * SHOWN] + err[: 4 * SHOWN]).decode(errors="replace")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]", "", text)
    total = len(out) + len(err)
    return text if len(text) <= SHOWN else text[:SHOWN] + f"\n... ({total:,} bytes in all)"


def _understand(
    said: Sequence[Frame],
    code: int | None,
    traces: str,
    printed: str,
    cases: Sequence[tuple[Case, tuple[Argument, ...]]],
    limits: Limits,
) -> Recording:
    plans: dict[str, bytes] = {}
    failures: dict[str, Failure] = {}
    failure: Failure | None = None
    held: Mapping[str, str] = {}
    names = {case.name for case, _ in cases}
    stage, running, finished = "started", None, False
    for frame in said:
        case = frame.fields.get("case")
        if frame.kind == "held" and not held:
            held = {str(k): str(v) for k, v in frame.fields.get("held", {}).items()}
        elif frame.kind in ("ready", "import"):
            stage = frame.kind
        elif frame.kind == "case" and case in names:
            stage, running = "case", case
        elif frame.kind == "plan" and case in names:
            plans[case] = frame.body
            running = None
        elif frame.kind == "error":
            found = exception(frame.fields, limits)
            running = None
            if case in names:
                failures[case] = found
            else:
                failure = failure or found
        elif frame.kind == "signature" and case in names:
            failures[case] = wrong_signature(frame.fields)
            running = None
        elif frame.kind == "no-solve":
            failure = failure or _no_solve(frame.fields)
        elif frame.kind == "done":
            finished = True
    if failure is None and not finished:
        # ended in the middle: by itself, by a signal, or because its time was up
        stop = timed_out(traces, stage, limits) if code is None else ended(code, stage, limits)
        if running is None and not plans and not failures:
            failure = stop
        for name in names - plans.keys() - failures.keys():
            failures[name] = stop
    return Recording(plans, failures, failure, printed, held)


def _no_solve(fields: Mapping[str, Any]) -> Failure:
    found = ", ".join(str(name) for name in fields.get("found", ())) or "none"
    if fields.get("is_there"):
        return Failure("no-solve", "solve is there, but it is not a function.")
    return Failure(
        "no-solve",
        f"The file has no function solve(device, ...) (functions it has: {found}).",
        "The grader calls solve to learn which kernels you launch; keep its name.",
    )
