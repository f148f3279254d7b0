"""compute-sanitizer on a GPU and the software GPU's checkers, over the same planted bugs.

``python -m benchmarks.sanitizer`` runs every case of ``tests.emulator.planted`` that
compute-sanitizer has a check for, and all correct kernels, and writes
``benchmarks/results/sanitizer_h100.json``: the lines that it names. A test compares.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.origin import RESULTS, gpu_origin, write
from emulator.errors import EmulatorError
from emulator.nvrtc import compile_cuda
from tests.emulator.planted import BUGS, CORRECT, Array, Case

MODULE = "benchmarks.sanitizer"
ROOT = Path(__file__).resolve().parent.parent
RECORD = RESULTS / "sanitizer_h100.json"
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
FATAL = "memcheck"  # an error ends the context, so each case has a process of its own
PLACE = re.compile(r"case_(\d+)\.cu:(\d+)")  # "at kernel(float *)+0x90 in case_003.cu:6"
SECONDS = 150  # for one run of a tool; a hung case is reported as failed


def all_cases() -> tuple[Case, ...]:
    """Bugs first, then correct kernels; a case is its number here."""
    return (*BUGS, *CORRECT)


def find_sanitizer() -> str:
    """compute-sanitizer's command line. Raises SystemExit when there is none."""
    found = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(found).exists():
        raise SystemExit("compute-sanitizer is not installed")
    return found


def launch(number: int, arch: str) -> None:
    """Run one case through the driver, its arrays in allocations of their own."""
    from cuda.bindings import driver as cu

    from kernels.runtime.cuda import driver

    case = all_cases()[number]
    cubin = compile_cuda(case.source, f"case_{number:03}.cu", arch).cubin
    module = driver(cu.cuModuleLoadData(cubin))
    function = driver(cu.cuModuleGetFunction(module, b"kernel"))
    rng = np.random.default_rng(0)
    held, values = [], []
    for argument in case.arguments:
        kind = np.dtype(argument.dtype)
        if not isinstance(argument, Array):
            values.append(np.array([argument.value], kind))
            continue
        there = driver(cu.cuMemAlloc(max(argument.size * kind.itemsize, 1)))
        if argument.fill != "empty":
            host = {"random": rng.random, "arange": np.arange, "zeros": np.zeros}
            bits = host[argument.fill](argument.size).astype(kind)
            driver(cu.cuMemcpyHtoD(there, bits.ctypes.data, bits.nbytes))
        held.append(there)
        values.append(np.array([int(there)], np.uint64))
    pointers = np.array([v.ctypes.data for v in values], np.uint64)
    shape = [*(*case.grid, 1, 1)[:3], *(*case.block, 1, 1)[:3]]
    start = cu.cuLaunchCooperativeKernel if case.cooperative else None
    if start is not None:
        driver(start(function, *shape, case.shared_bytes, 0, pointers.ctypes.data))
    else:
        driver(cu.cuLaunchKernel(function, *shape, case.shared_bytes, 0, pointers.ctypes.data, 0))
    driver(cu.cuCtxSynchronize())
    for there in held:
        driver(cu.cuMemFree(there))


def replay(numbers: Sequence[int]) -> None:
    """What compute-sanitizer watches. A case that fails is named and does not stop the rest."""
    from kernels.runtime import DeviceError, open_device

    device: Any = open_device("cuda")
    for number in numbers:
        try:
            launch(number, device.sm)
        except DeviceError as error:  # what memcheck found has ended the context
            print(f"case {number} ended in {error}")
        except EmulatorError as error:
            print(f"case {number} failed to compile: {error}")


def watch(sanitizer: str, tool: str, numbers: Sequence[int]) -> str:
    """The tool's report over some cases."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        # or a neighbouring array hides what strays into it
        padding = ["--padding", "512"] if tool == FATAL else []
        options = ["--tool", tool, *padding, "--print-limit", "100000", "--log-file", str(log)]
        replaying = [sys.executable, "-m", MODULE, "--replay", *map(str, numbers)]
        command = [sanitizer, *options, *replaying]
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS
            )
            printed = done.stdout
        except subprocess.TimeoutExpired as error:
            printed = (error.stdout or b"").decode() + "\nthe run failed: out of time"
        said = log.read_text() if log.exists() else ""
        return said + "\n".join(x for x in printed.splitlines() if "failed" in x)


def lines_named(report: str) -> dict[int, set[int]]:
    """Source lines by case. Frames of a device's call stack count as well."""
    found: dict[int, set[int]] = {}
    for text in report.splitlines():
        if "Host Frame" in text:
            continue
        for number, line in PLACE.findall(text):
            found.setdefault(int(number), set()).add(int(line))
    return found


def record(sanitizer: str, output: Path) -> None:
    """Run everything and write."""
    from kernels.runtime import open_device

    cases = all_cases()
    rows: list[dict[str, Any]] = []
    reports: dict[str, str] = {}
    for tool in TOOLS:
        buggy = [n for n, c in enumerate(cases) if c.check == tool and c.sanitizer]
        correct = [n for n, c in enumerate(cases) if not c.check]
        groups = [[n] for n in buggy] + [correct] if tool == FATAL else [buggy + correct]
        text = "\n".join(watch(sanitizer, tool, group) for group in groups if group)
        reports[tool] = text
        lines = lines_named(text)
        failed = set(map(int, re.findall(r"case (\d+) failed", text)))
        rows += [
            {
                "case": cases[n].name,
                "tool": tool,
                "planted": sorted(cases[n].lines) if cases[n].check == tool else [],
                "lines": sorted(lines.get(n, ())),
                "failed": n in failed,
            }
            for n in buggy + correct
        ]
    version = subprocess.run([sanitizer, "--version"], capture_output=True, text=True, check=False)
    device: Any = open_device("cuda")
    named = version.stdout.strip().splitlines()[-1]
    write(output, {"origin": gpu_origin(MODULE, device), "sanitizer": named, "cases": rows})
    for tool, text in reports.items():
        output.with_name(f"{tool}.log").write_text(text)
    agree = sum(row["planted"] == row["lines"] for row in rows)
    for row in rows:
        if row["planted"] != row["lines"]:
            print(row)
    print(f"{agree} of {len(rows)} name the planted lines and no other; written to {output}")


def main() -> int:
    """Record."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--output", type=Path, default=RECORD)
    parser.add_argument("--replay", type=int, nargs="+", help="launch only; what is watched")
    arguments = parser.parse_args()
    if arguments.replay:
        replay(arguments.replay)
    else:
        record(find_sanitizer(), arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
