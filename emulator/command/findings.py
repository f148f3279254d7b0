"""Findings as compute-sanitizer prints them, for people."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from emulator.command.session import Session
from emulator.report import Finding

BAR = "========="
WIDTH = 100
PLACE = re.compile(r"\((\d+), (\d+), (\d+)\)")  # of a block or a thread: not to be wrapped


def findings_text(session: Session, tools: Sequence[str]) -> str:
    """Every finding, and a summary line."""
    lines = [f"{BAR} {', '.join(tools)}: {session.signature}"]
    for finding in session.findings:
        lines += [f"{BAR} {line}".rstrip() for line in _finding(finding)]
    count = len(session.errors)
    remarks = len(session.findings) - count
    note = "" if session.report else "; the kernel was stopped"
    more = f", {remarks} remark{'s' * (remarks != 1)}" if remarks else ""
    lines.append(f"{BAR} ERROR SUMMARY: {count} error{'s' * (count != 1)}{more}{note}")
    return "\n".join(lines)


def _finding(finding: Finding) -> Iterator[str]:
    word = "Error" if finding.severity == "error" else "Remark"
    head, *rest = PLACE.sub(r"(\1,\2,\3)", finding.message).split("\n")
    yield from textwrap.wrap(
        f"{word} ({finding.check}): {head}", WIDTH - len(BAR) - 1, subsequent_indent="    "
    )
    for line in rest:
        yield f"    {line.rstrip()}"
    yield ""
