"""The notebook magic: ``%%lab 01_coalescing/aos_scan.cu`` writes the cell to the lab's file and
checks the task.

The check runs in a process of its own, so that nothing in the notebook can stand in its way, and a
kernel that stops a GPU leaves the notebook's own arrays alone.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.catalogue import Course, UnknownName, course, find_task
from grader.history import write_whole
from grader.html import as_html
from grader.submission import SUFFIXES
from grader.verdict import Verdict
from grader.words import as_text

USAGE = "%%lab LAB/FILE [--grade] [--device emulated|cuda] [--save-only]"


@dataclass(frozen=True)
class Shown:
    """A verdict as a notebook shows it."""

    verdict: Verdict
    note: str = ""

    def __repr__(self) -> str:
        text = as_text(self.verdict)
        return f"{self.note}\n{text}" if self.note else text

    def _repr_html_(self) -> str:
        return as_html(self.verdict, self.note)


class MagicError(Exception):
    """The cell's first line is not what the magic takes."""

    def _render_traceback_(self) -> list[str]:
        return [f"%%lab: {self}"]


def register(shell: Any) -> None:
    """Give a shell the cell magic ``%%lab`` and the line magic ``%lab``."""

    def lab(line: str, cell: str | None = None) -> Shown | None:
        return run_magic(line, cell)

    shell.register_magic_function(lab, magic_kind="line_cell", magic_name="lab")


def run_magic(line: str, cell: str | None, where: Course | None = None) -> Shown | None:
    """Save the cell (if there is one) and check the task it belongs to."""
    where = where or course()
    options = _options(line)
    lab_name, _, file = options.target.strip("/").rpartition("/")
    if not lab_name:
        raise MagicError(f"which lab's file? {USAGE}; for example %%lab 01_coalescing/aos_scan.cu")
    try:
        lab = where.lab(lab_name)
        task = find_task(lab, file)
    except UnknownName as error:
        raise MagicError(str(error)) from None
    note = ""
    if cell is not None:
        suffix = Path(file).suffix
        if suffix not in (".py", ".cu"):
            raise MagicError(f"{file!r} must end in .py or .cu: the cell becomes that file")
        path = where.labs / lab.name / f"{task.name}{suffix}"
        note = _save(path, cell, where)
    elif Path(file).suffix not in ("", *SUFFIXES):
        raise MagicError(f"there is no file {file!r} in lab {lab.name}")
    if options.save_only:
        print(note)
        return None
    return Shown(_judge(lab.name, task.name, options, where), note)


def _options(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="%%lab", add_help=False, exit_on_error=False)
    parser.add_argument("target")
    parser.add_argument("--grade", action="store_true")
    parser.add_argument("--device", choices=("emulated", "cuda"))
    parser.add_argument("--save-only", action="store_true")
    try:
        options, extra = parser.parse_known_args(shlex.split(line))
    except (argparse.ArgumentError, ValueError) as error:
        raise MagicError(f"{error}; {USAGE}") from None
    except SystemExit:
        raise MagicError(f"which lab's file? {USAGE}") from None
    if extra:
        raise MagicError(f"unknown option {extra[0]}; {USAGE}")
    return options


def _save(path: Path, cell: str, where: Course) -> str:
    """Write the cell; what was there is kept. Whether it is any good is the check's business."""
    shown = path.relative_to(where.root)
    try:
        kept = write_whole(path, cell if cell.endswith("\n") else f"{cell}\n")
    except OSError as error:
        raise MagicError(
            f"cannot write {shown}: {error.strerror}. The file is as it was, your cell still here"
        ) from None
    return f"Saved to {shown}" + (f"; before: {kept.relative_to(where.root)}" if kept else "")


def _judge(lab: str, task: str, options: argparse.Namespace, where: Course) -> Verdict:
    command = [sys.executable, "-m", "grader", "grade" if options.grade else "check", lab]
    command += ["--task", task, "--json", "--quiet"]
    command += ["--path", str(where.labs / lab)]
    command += ["--device", options.device] if options.device else []
    done = subprocess.run(command, cwd=where.root, capture_output=True, text=True, check=False)
    try:
        return Verdict.from_json(done.stdout)
    except (ValueError, TypeError, KeyError):
        words = done.stderr.strip() or f"the grader ended with code {done.returncode}"
        raise MagicError(words) from None
