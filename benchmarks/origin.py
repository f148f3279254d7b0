"""Where a figure comes from: device, driver, versions, date, command; and where it is kept."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "numba", "numba-cuda", "llvmlite", "cuda-bindings", "cupy-cuda13x",
            "cupy-cuda12x", "torch", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")  # fmt: skip


def command(module: str) -> str:
    """The command that runs this benchmark as it was run, but for where its output went."""
    arguments, given = [], iter(sys.argv[1:])
    for argument in given:
        if argument == "--output":
            next(given, None)
        elif not argument.startswith("--output="):
            arguments.append(argument)
    return " ".join(["python -m", module, *arguments])


def origin(module: str, device_name: str) -> dict[str, Any]:
    """What stands at the head of every results file."""
    return {
        "device": device_name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command(module),
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name)) is not None},
    }


def gpu_origin(module: str, device: Any) -> dict[str, Any]:
    """The same for a GPU, with its driver and compiler."""
    from emulator import nvrtc

    return {
        **origin(module, device.name),
        "driver": _driver(),
        "cuda": f"{device.driver_version // 1000}.{device.driver_version % 1000 // 10}",
        "nvrtc": ".".join(map(str, nvrtc.version())),
        "sm_count": device.arch.sm_count,
        "l2_bytes": device.l2_bytes,
    }


def write(path: Path, record: dict[str, Any]) -> None:
    """Keep a record; a half-written file never replaces a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, sort_keys=False) + "\n")
    temporary.replace(path)


def cpu_model() -> str:
    """The processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    done = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (
        done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout else "unknown"
    )
