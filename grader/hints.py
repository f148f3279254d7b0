"""Hints, one at a time; which ones somebody has seen is kept in their state directory."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from grader.lab import Task


@dataclass(frozen=True)
class Hints:
    """The hints of a task that have been shown."""

    shown: tuple[str, ...]
    left: int

    @property
    def latest(self) -> str:
        """The last one shown, "" when there is none."""
        return self.shown[-1] if self.shown else ""


def state_directory() -> Path:
    """``$COALESCE_STATE``, or ``coalesce`` in the user's state directory."""
    override = os.environ.get("COALESCE_STATE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "coalesce"


def hints(lab: str, task: Task, *, at_least: int = 0, one_more: bool = False) -> Hints:
    """The hints seen so far, after unlocking ``at_least`` so many, or one more.

    Where the state cannot be kept, nothing is lost but the memory of what was shown.
    """
    path = state_directory() / "hints.json"
    seen = _read(path)
    key = f"{lab}/{task.name}"
    before = seen.get(key, 0)
    now = min(max(before + one_more, at_least), len(task.hints))
    if now != before:
        seen[key] = now
        _write(path, seen)
    return Hints(task.hints[:now], len(task.hints) - now)


def forget(lab: str, task: Task) -> None:
    """Begin anew with a task's hints."""
    path = state_directory() / "hints.json"
    seen = _read(path)
    if seen.pop(f"{lab}/{task.name}", None) is not None:
        _write(path, seen)


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, int) and v >= 0}


def _write(path: Path, seen: dict[str, int]) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(seen, indent=2, sort_keys=True) + "\n")
        temporary.replace(path)
