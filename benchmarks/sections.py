"""A record made of sections, written after each, so that a later failure loses nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contest import said
from benchmarks.origin import write

Record = dict[str, Any]


class Sections:
    """Runs the sections of a benchmark and keeps what they found in ``record``."""

    def __init__(self, record: Record, output: Path) -> None:
        self.record = record
        self.output = output

    def run(self, name: str, section: Callable[[], Any]) -> None:
        """Run a section; a failure is what it found."""
        started = time.monotonic()
        try:
            self.record[name] = section()
        except Exception as error:  # noqa: BLE001 - one section must not lose the others
            self.record[name] = {"failure": said(error)}
        write(self.output, self.record)
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def rows_of(record: Record, section: str) -> list[Record]:
    """A section's rows; none when it failed as a whole."""
    rows = record.get(section, [])
    return rows if isinstance(rows, list) else []


def failures(record: Record, sections: tuple[str, ...]) -> list[str]:
    """Everything that failed or was wrong in these sections, in words."""
    said = [f"{name}: {fault}" for name, fault in record["wrong"].items()]
    for section in sections:
        rows = record.get(section, [])
        rows = [{"name": section, **rows}] if isinstance(rows, dict) else rows
        for row in rows:
            if "failure" in row:
                case = ", ".join(f"{k} {what}" for k, what in row.items() if k != "failure")
                who = next((str(row[k]) for k in ("kernel", "copy", "name") if k in row), case)
                said.append(f"{section}, {who}: {row['failure']}")
    return said
