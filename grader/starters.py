"""Starters from solutions: marked regions become what the learner fills in.

A region in a solution, in Python or CUDA C++:

    // BEGIN SOLUTION: what to do here (about 7 lines)
    the solution's lines
    // STARTER
    // the starter's lines, each behind a comment mark
    // END SOLUTION

The starter has a FILL ME IN note and the lines after STARTER without their comment marks. Its last
line holds a hash of all before it, so that a file that somebody has worked on is told from one that
is merely out of date.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.catalogue import DEFINITION, Course
from grader.history import keep
from grader.submission import SUFFIXES

BEGIN = re.compile(r"^(\s*)(//|#) BEGIN SOLUTION: (.+)$")
STARTER = re.compile(r"^\s*(//|#) STARTER$")
END = re.compile(r"^\s*(//|#) END SOLUTION$")
SEAL = re.compile(r"(?m)^(?://|#) Generated from (\S+) by `make generate`; ([0-9a-f]{16})\n\Z")


class MarkError(ValueError):
    """A solution's marks do not pair up; the message names file and line."""


@dataclass(frozen=True)
class Starter:
    """A file of ``labs/`` as it should be, and what is there."""

    path: Path
    source: str  # the solution's path within the course
    text: str

    @property
    def state(self) -> str:
        """One of: current, missing, stale (made from an older solution), edited."""
        if not self.path.exists():
            return "missing"
        there = self.path.read_text(errors="replace")
        if there == self.text:
            return "current"
        return "stale" if is_untouched(there) else "edited"


def strip(solution: str, name: str) -> str:
    """A solution's text with every marked region turned into its starter.

    Raises :class:`MarkError`.
    """
    lines: list[str] = []
    mark = ""
    region = ""  # "solution" or "starter" inside one
    for number, line in enumerate(solution.splitlines(), 1):
        begin = BEGIN.match(line)
        if begin:
            if region:
                raise MarkError(f"{name}:{number}: a region begins inside another")
            indent, mark, note = begin.groups()
            lines.append(f"{indent}{mark} FILL ME IN: {note}")
            region = "solution"
        elif STARTER.match(line):
            if region != "solution":
                raise MarkError(f"{name}:{number}: STARTER outside a region")
            region = "starter"
        elif END.match(line):
            if not region:
                raise MarkError(f"{name}:{number}: END SOLUTION without its beginning")
            region = ""
        elif region == "starter":
            uncommented = re.sub(rf"^(\s*){re.escape(mark)} ?", r"\1", line, count=1)
            if uncommented == line:
                raise MarkError(f"{name}:{number}: a starter's line must begin with {mark}")
            lines.append(uncommented.rstrip())
        elif not region:
            lines.append(line)
    if region:
        raise MarkError(f"{name}: a region does not end")
    return "\n".join(lines) + "\n"


def is_untouched(text: str) -> bool:
    """Whether a starter is as it was generated, by whatever version of its solution."""
    seal = SEAL.search(text)
    return seal is not None and _hash(text[: seal.start()]) == seal[2]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def starters(course: Course) -> Iterator[Starter]:
    """Every file that ``labs/`` should have."""
    for lab in course.names():
        for path in sorted((course.solutions / lab).iterdir()):
            if path.name == DEFINITION or path.suffix not in SUFFIXES:
                continue
            source = path.relative_to(course.root).as_posix()
            mark, gap = ("#", "\n\n") if path.suffix == ".py" else ("//", "")
            text = strip(path.read_text(), source) + gap
            seal = f"{mark} Generated from {source} by `make generate`; {_hash(text)}\n"
            yield Starter(course.labs / lab / path.name, source, text + seal)


@dataclass(frozen=True)
class Made:
    """What ``make-labs`` did with one file."""

    starter: Starter
    before: str  # its state until now
    written: bool
    kept: Path | None = None  # where a learner's version went


def make(course: Course, *, replace_edited: bool = False) -> list[Made]:
    """Write every starter that is missing or stale.

    A file that somebody has worked on is left alone; with ``replace_edited`` it is kept beside the
    lab and replaced.
    """
    done = []
    for starter in starters(course):
        state = starter.state
        kept = None
        write = state in ("missing", "stale") or (state == "edited" and replace_edited)
        if write:
            if state == "edited":
                kept = keep(starter.path)
            starter.path.parent.mkdir(parents=True, exist_ok=True)
            starter.path.write_text(starter.text)
        done.append(Made(starter, state, write, kept))
    return done
