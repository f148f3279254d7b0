"""Nsight Compute's command line: finding it, asking for metrics, reading its table."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("/opt/nvidia/nsight-compute/*/ncu", "/usr/local/cuda/bin/ncu",
           "/usr/local/cuda*/nsight-compute*/ncu")  # fmt: skip


def find_ncu() -> str:
    """Nsight Compute's command line. Raises SystemExit when there is none."""
    if (found := shutil.which("ncu")) is not None:
        return found
    for pattern in FOLDERS:
        if installed := sorted(Path("/").glob(pattern[1:])):
            return str(installed[-1])
    raise SystemExit("Nsight Compute (ncu) is not installed: not in PATH, nor in " + str(FOLDERS))


def available(ncu: str) -> list[str]:
    """Base names of the metrics that this chip has."""
    done = subprocess.run([ncu, "--query-metrics"], capture_output=True, text=True, check=False)
    return [line.split()[0] for line in done.stdout.splitlines() if "__" in line.partition(" ")[0]]


def profile(ncu: str, metrics: Sequence[str], module: str, *arguments: str) -> tuple[str, str]:
    """ncu's table over ``python -m module --replay``, and what was said besides.

    Clocks are left alone (``--clock-control none``): counts do not depend on them.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ncu.csv"
        done = subprocess.run(
            [ncu, "--csv", "--page", "raw", "--print-units", "base", "--metrics", ",".join(metrics),
             "--clock-control", "none", "--profile-from-start", "off", "--log-file", str(log),
             sys.executable, "-m", module, "--replay", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        table = log.read_text() if log.exists() else ""
        return table, f"exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


def rows(table: str) -> list[dict[str, str]]:
    """One row a launch, in order, from ncu's CSV with its messages round it."""
    lines = table.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith('"ID"')]
    if not starts:
        return []
    body = [line for line in lines[starts[0] :] if line.startswith('"')]
    # the second line holds units, and no ID
    found = [row for row in csv.DictReader(io.StringIO("\n".join(body))) if row["ID"]]
    return sorted(found, key=lambda row: int(row["ID"]))


def number(text: str) -> float | None:
    """A metric's value; None where ncu has none."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def version(ncu: str) -> str:
    """ncu's version line."""
    said = subprocess.run([ncu, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.strip().splitlines()[-1]
